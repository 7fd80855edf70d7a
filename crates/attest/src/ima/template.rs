//! Templates: which fields an entry has, and in which order.

use std::borrow::Cow;

/// The longest name of a template, in bytes. The kernel's longest list of fields has 77.
pub const MAX_TEMPLATE_NAME_LEN: usize = 255;

/// The longest template data that is read, in bytes: an extended attribute of the greatest size (64 KiB) with its names,
/// a path and digests, twice.
pub const MAX_TEMPLATE_DATA_LEN: usize = 256 * 1024;

/// The most fields that a template has (`TEMPLATE_NUM_FIELDS_MAX`).
const MAX_FIELDS: usize = 15;

/// A field of a template, as the kernel's documentation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Digest,
    DigestNg,
    DigestNgV2,
    DigestModsig,
    Name,
    NameNg,
    Signature,
    Buffer,
    Modsig,
    EvmSignature,
    XattrNames,
    XattrLengths,
    XattrValues,
    Uid,
    Gid,
    Mode,
}

use Field::{
    Buffer, Digest, DigestModsig, DigestNg, DigestNgV2, EvmSignature, Gid, Mode, Modsig, Name, NameNg, Signature, Uid,
    XattrLengths, XattrNames, XattrValues,
};

const NAMED: [(&str, &[Field]); 8] = [
    ("ima-ng", &[DigestNg, NameNg]),
    ("ima-sig", &[DigestNg, NameNg, Signature]),
    ("ima", &[Digest, Name]),
    ("ima-buf", &[DigestNg, NameNg, Buffer]),
    ("ima-ngv2", &[DigestNgV2, NameNg]),
    ("ima-sigv2", &[DigestNgV2, NameNg, Signature]),
    ("ima-modsig", &[DigestNg, NameNg, Signature, DigestModsig, Modsig]),
    ("evm-sig", &[DigestNg, NameNg, EvmSignature, XattrNames, XattrLengths, XattrValues, Uid, Gid, Mode]),
];

impl Field {
    const ALL: [Self; 16] = [
        Digest,
        DigestNg,
        DigestNgV2,
        DigestModsig,
        Name,
        NameNg,
        Signature,
        Buffer,
        Modsig,
        EvmSignature,
        XattrNames,
        XattrLengths,
        XattrValues,
        Uid,
        Gid,
        Mode,
    ];

    /// What the kernel calls it.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Digest => "d",
            DigestNg => "d-ng",
            DigestNgV2 => "d-ngv2",
            DigestModsig => "d-modsig",
            Name => "n",
            NameNg => "n-ng",
            Signature => "sig",
            Buffer => "buf",
            Modsig => "modsig",
            EvmSignature => "evmsig",
            XattrNames => "xattrnames",
            XattrLengths => "xattrlengths",
            XattrValues => "xattrvalues",
            Uid => "iuid",
            Gid => "igid",
            Mode => "imode",
        }
    }

    /// How long a number is, in bytes; `None` for what is none.
    pub(super) const fn number_len(self) -> Option<usize> {
        match self {
            Uid | Gid => Some(4),
            Mode => Some(2),
            _ => None,
        }
    }

    /// Whether a line without its column has it empty: what signs is often absent, and editors take blanks off the end.
    pub(super) const fn may_be_absent(self) -> bool {
        matches!(self, Signature | DigestModsig | Modsig | EvmSignature)
    }
}

/// A template: its name, and its fields if they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template<'a> {
    pub(super) name: &'a str,
    /// `None` when at least one field is not known.
    pub(super) fields: Option<Cow<'static, [Field]>>,
    is_ima: bool,
}

impl<'a> Template<'a> {
    /// The template of this name: one of the kernel's own, or a list of fields (`ima_template_fmt=d-ng|n-ng`). `None` when
    /// it is no name at all.
    pub(super) fn find(name: &'a [u8]) -> Option<Self> {
        if let Some((name, fields)) = NAMED.iter().find(|(named, _)| named.as_bytes() == name) {
            return Some(Self { name, fields: Some(Cow::Borrowed(fields)), is_ima: *name == "ima" });
        }
        let is_name = !name.is_empty() && name.len() <= MAX_TEMPLATE_NAME_LEN && name.iter().all(u8::is_ascii_graphic);
        let name = std::str::from_utf8(name).ok().filter(|_| is_name)?;
        Some(Self { name, fields: listed(name).map(Cow::Owned), is_ima: false })
    }

    /// Whether it is the oldest template, which is written and hashed like no other.
    pub(super) fn is_ima(&self) -> bool {
        self.is_ima
    }
}

/// The fields of a list of fields, if each is known and there once, the file's digest and its name first.
///
/// The name of a template is no part of what is hashed: a forger may call an entry by any. With the first two fields
/// fixed, no other field can be made to look like the digest or the path.
fn listed(name: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for id in name.split('|') {
        let field = Field::ALL.into_iter().find(|field| field.id() == id)?;
        if fields.contains(&field) || fields.len() == MAX_FIELDS {
            return None;
        }
        fields.push(field);
    }
    matches!(fields.as_slice(), [Digest | DigestNg | DigestNgV2, Name | NameNg, ..]).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_known_by_name_or_by_their_fields() {
        let fields = |name: &'static str| Template::find(name.as_bytes()).unwrap().fields;
        assert_eq!(fields("ima-sig").unwrap().as_ref(), [DigestNg, NameNg, Signature]);
        assert_eq!(fields("d-ng|n-ng|sig").unwrap().as_ref(), [DigestNg, NameNg, Signature]);
        assert_eq!(fields("d|n").unwrap().as_ref(), [Digest, Name]);
        for order in ["n-ng|d-ng", "d-modsig|n-ng", "d-ng|xattrvalues|n-ng", "d-ng", "n"] {
            assert_eq!(
                fields(order),
                None,
                "{order}: which fields are the file's digest and path is not for a list to say"
            );
        }
        assert_eq!(fields("ima-cgpath"), None);
        assert_eq!(fields("d-ng|n-ng|n-ng"), None, "which of the two names is the file's");
    }

    #[test]
    fn a_name_is_printable_and_bounded() {
        let longest = [b'x'; MAX_TEMPLATE_NAME_LEN];
        assert!(Template::find(&longest).is_some());
        for name in [&b""[..], b"ima ng", b"ima\0", b"\x1b[2J", &[0xFF], &[b'x'; MAX_TEMPLATE_NAME_LEN + 1]] {
            assert_eq!(Template::find(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_list_of_more_fields_than_the_kernel_takes_is_not_known() {
        let others = Field::ALL.map(Field::id).into_iter().filter(|id| !matches!(*id, "d-ng" | "n-ng"));
        let all: Vec<_> = ["d-ng", "n-ng"].into_iter().chain(others).collect();
        let ids = |count: usize| all.get(..count).unwrap().join("|");
        assert_eq!(Template::find(ids(15).as_bytes()).unwrap().fields.unwrap().len(), 15);
        assert_eq!(Template::find(ids(16).as_bytes()).unwrap().fields, None);
    }
}
