//! What a key may do and where it may go (TPM 2.0 Part 2, 8.3 `TPMA_OBJECT`).

use std::fmt;

use crate::tpm::{DecodeError, Reader};

/// Declares each bit once: constant, specification name and position.
macro_rules! object_attributes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $bit:literal;)+) => {
        impl ObjectAttributes {
            $($(#[$doc])* pub const $constant: Self = Self(1 << $bit);)+

            const NAMED: &[(&str, Self)] = &[$(($name, Self::$constant)),+];
            const DEFINED: u32 = $(1 << $bit)|+;
        }
    };
}

/// The attributes of a TPM object. Reserved bits are never set: the decoder refuses them, as a TPM does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ObjectAttributes(u32);

object_attributes! {
    /// The hierarchy of the key may not change: it never leaves this TPM by duplication of a parent.
    FIXED_TPM = "fixedTPM", 1;
    /// Saved contexts do not outlive a TPM Reset or Restart.
    ST_CLEAR = "stClear", 2;
    /// The parent may not change: the key itself is never duplicated.
    FIXED_PARENT = "fixedParent", 4;
    /// The TPM made the private part; nobody brought it.
    SENSITIVE_DATA_ORIGIN = "sensitiveDataOrigin", 5;
    /// USER role authorisation works with the auth value.
    USER_WITH_AUTH = "userWithAuth", 6;
    /// ADMIN role authorisation needs the policy.
    ADMIN_WITH_POLICY = "adminWithPolicy", 7;
    /// Usable only by the firmware that made it.
    FIRMWARE_LIMITED = "firmwareLimited", 8;
    /// Usable only by firmware of at least some security version.
    SVN_LIMITED = "svnLimited", 9;
    /// Exempt from dictionary attack protection.
    NO_DA = "noDA", 10;
    /// Duplication must wrap the key for its new parent.
    ENCRYPTED_DUPLICATION = "encryptedDuplication", 11;
    /// Signs only what the TPM itself made, or decrypts only structures that the TPM knows.
    RESTRICTED = "restricted", 16;
    /// May decrypt.
    DECRYPT = "decrypt", 17;
    /// May sign (or, in a symmetric cipher, encrypt).
    SIGN = "sign", 18;
    /// May sign only by `TPM2_CertifyX509`.
    X509_SIGN = "x509sign", 19;
}

impl ObjectAttributes {
    /// The attributes whose bits these are; `None` when a reserved bit is set.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::DEFINED == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `attributes` are set.
    pub const fn contains(self, attributes: Self) -> bool {
        self.0 & attributes.0 == attributes.0
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but not those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bits = reader.u32("objectAttributes")?;
        Self::from_bits(bits)
            .ok_or_else(|| reader.bad_value("objectAttributes", bits, "attributes without reserved bits"))
    }
}

impl fmt::Display for ObjectAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMED.iter().filter(|(_, attribute)| self.contains(*attribute)).map(|(name, _)| *name);
        f.write_str(names.next().unwrap_or("none"))?;
        names.try_for_each(|name| write!(f, "|{name}"))
    }
}

impl fmt::Debug for ObjectAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectAttributes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attestation_key_of_tpm2_tools_reads_as_its_names() {
        let attributes = ObjectAttributes::from_bits(0x0005_0072).unwrap();
        let names = "fixedTPM|fixedParent|sensitiveDataOrigin|userWithAuth|restricted|sign";
        assert_eq!(attributes.to_string(), names);
        assert!(!attributes.contains(ObjectAttributes::DECRYPT));
    }

    #[test]
    fn reserved_bits_are_refused() {
        for bit in [0, 3, 12, 13, 14, 15, 20, 31] {
            assert_eq!(ObjectAttributes::from_bits(1 << bit), None, "bit {bit}");
        }
        assert_eq!(ObjectAttributes::default().to_string(), "none");
    }
}
