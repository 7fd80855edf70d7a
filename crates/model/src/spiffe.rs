//! SPIFFE IDs: who a certificate says its holder is (SPIFFE-ID 1.0).

use std::fmt;
use std::str::FromStr;

use crate::id::{DeviceId, InvalidId, text_schema, text_serde};

/// The domain that one certificate authority vouches for: `example.org`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// The longest name, in bytes (SPIFFE-ID 1.0, 2.1).
    pub const MAX_LEN: usize = 255;
}

impl FromStr for TrustDomain {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new("trust domain", "a-z, 0-9, '.', '-' and '_'", text))
        }
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_serde!(TrustDomain);
text_schema!(TrustDomain, "A SPIFFE trust domain.", "trust-domain");

/// The name of an operator, an enforcement point or a server: 1 to 64 of a-z, 0-9, '.', '_' and '-'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(String);

impl PeerName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;
}

impl FromStr for PeerName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
        let expected = "1 to 64 of a-z 0-9 . _ - after a letter or digit";
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidId::new("name", expected, text)) }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

text_serde!(PeerName);
text_schema!(PeerName, "The name of an operator, an enforcement point or a server.", "peer-name");

/// What a certificate's holder may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerRole {
    /// A device that enrolled; it may attest for itself and for no other.
    Device(DeviceId),
    /// A person who operates the engines.
    Operator(PeerName),
    /// An enforcement point (NIST SP 800-207: PEP), which may ask for decisions.
    Enforcement(PeerName),
    /// A server of ours.
    Server(PeerName),
}

/// A SPIFFE ID of ours: `spiffe://example.org/device/uws2…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    /// The domain.
    pub trust_domain: TrustDomain,
    /// Who, in it.
    pub role: PeerRole,
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/", self.trust_domain)?;
        match &self.role {
            PeerRole::Device(id) => write!(f, "device/{id}"),
            PeerRole::Operator(name) => write!(f, "operator/{name}"),
            PeerRole::Enforcement(name) => write!(f, "enforcement/{name}"),
            PeerRole::Server(name) => write!(f, "server/{name}"),
        }
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            || InvalidId::new("SPIFFE ID of ours", "spiffe://DOMAIN/(device|operator|enforcement|server)/NAME", text);
        let rest = text.strip_prefix("spiffe://").ok_or_else(invalid)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some(kind), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let role = match kind {
            "device" => PeerRole::Device(name.parse().map_err(|_| invalid())?),
            "operator" => PeerRole::Operator(name.parse().map_err(|_| invalid())?),
            "enforcement" => PeerRole::Enforcement(name.parse().map_err(|_| invalid())?),
            "server" => PeerRole::Server(name.parse().map_err(|_| invalid())?),
            _ => return Err(invalid()),
        };
        Ok(Self { trust_domain: domain.parse().map_err(|_| invalid())?, role })
    }
}

text_serde!(SpiffeId);
text_schema!(SpiffeId, "A SPIFFE ID.", "uri");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_role() {
        for text in [
            "spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf",
            "spiffe://example.org/operator/ops",
            "spiffe://example.org/enforcement/edge-1",
            "spiffe://example.org/server/engine",
        ] {
            assert_eq!(text.parse::<SpiffeId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_other_schemes_roles_depths_and_case() {
        for text in [
            "https://example.org/operator/ops",
            "spiffe://example.org/admin/ops",
            "spiffe://example.org/operator/ops/more",
            "spiffe://example.org/operator",
            "spiffe://example.org/operator/",
            "spiffe://Example.org/operator/ops",
            "spiffe://user@example.org/operator/ops",
            "spiffe:///operator/ops",
            "spiffe://example.org/device/ops",
            "spiffe://example.org/operator/ops?x=1",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }
}
