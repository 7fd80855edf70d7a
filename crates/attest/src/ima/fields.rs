//! What an entry says, field by field.

use super::digest::FileDigest;
use super::error::ImaProblem;
use super::path::MAX_PATH_LEN;
use super::template::{Field, Template};

/// The longest name of a template `ima` (`IMA_EVENT_NAME_LEN_MAX`).
pub(super) const MAX_EVENT_NAME_LEN: usize = 255;
/// The digest of a template `ima`.
pub(super) const IMA_DIGEST_LEN: usize = 20;

/// The fields of an entry that mean something to a verifier. Those that its template does not have are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The file's digest. Zero in a violation.
    pub digest: Option<FileDigest<'a>>,
    /// The file's path, or what else the kernel calls what it measured. Blanks are underscores.
    pub name: &'a [u8],
    /// The file's `security.ima`, when that is a signature.
    pub signature: &'a [u8],
    /// What was measured instead of a file: a key, a command line, the state of a subsystem.
    pub buffer: Option<&'a [u8]>,
    /// The appended signature (PKCS #7). It is told and not checked: it is over the file without it, of which the list tells
    /// a digest that no policy lists.
    pub modsig: &'a [u8],
}

/// A problem, and how many bytes into the template data it is.
pub(super) type Misfit = (usize, ImaProblem);

impl<'a> Fields<'a> {
    /// Reads template data as it stands in a binary list.
    #[inline]
    pub(super) fn read(template: &Template<'_>, data: &'a [u8]) -> Result<Option<Self>, Misfit> {
        let mut read = None;
        Self::read_into(&mut read, template, data).map(|()| read)
    }

    /// The same, where it is to stay.
    #[inline]
    pub(super) fn read_into(into: &mut Option<Self>, template: &Template<'_>, data: &'a [u8]) -> Result<(), Misfit> {
        let Some(fields) = &template.fields else { return Ok(()) };
        if template.is_ima() {
            *into = Some(Self::read_ima(data)?);
            return Ok(());
        }
        let read = into.insert(Self::default());
        let mut offset = 0usize;
        let mut rest = data;
        for field in fields.iter() {
            let cut_off = || (offset, ImaProblem::FieldCutOff { field: field.id() });
            let (len, behind) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
            let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| cut_off())?;
            let (value, behind) = behind.split_at_checked(len).ok_or_else(cut_off)?;
            offset = offset.saturating_add(4);
            read.set(*field, value).map_err(|problem| (offset, problem))?;
            offset = offset.saturating_add(len);
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err((offset, ImaProblem::TrailingData { left: rest.len() })) }
    }

    /// The template `ima`: a digest without, and a name with its length, which has no NUL.
    fn read_ima(data: &'a [u8]) -> Result<Self, Misfit> {
        let (digest, rest) =
            data.split_at_checked(IMA_DIGEST_LEN).ok_or((0, ImaProblem::FieldCutOff { field: "d" }))?;
        let name = rest.get(4..).ok_or((IMA_DIGEST_LEN, ImaProblem::FieldCutOff { field: "n" }))?;
        let at = IMA_DIGEST_LEN.saturating_add(4);
        if name.contains(&0) {
            return Err((at, ImaProblem::NameNul));
        }
        Ok(Self { digest: FileDigest::without_name(digest), name, ..Self::default() })
    }

    #[inline]
    fn set(&mut self, field: Field, value: &'a [u8]) -> Result<(), ImaProblem> {
        let digest = |has_kind| FileDigest::parse(value, has_kind).ok_or(ImaProblem::Digest { field: field.id() });
        match field {
            Field::Digest => {
                let digest = FileDigest::without_name(value).ok_or(ImaProblem::Digest { field: field.id() })?;
                self.digest = Some(digest);
            }
            Field::DigestNg => self.digest = Some(digest(false)?),
            Field::DigestNgV2 => self.digest = Some(digest(true)?),
            Field::DigestModsig if value.is_empty() => {}
            Field::DigestModsig => drop(digest(false)?),
            // Kernels before 4.1 filled the field up to 256 bytes.
            Field::Name => {
                let end = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
                let (name, fill) = value.split_at_checked(end).ok_or(ImaProblem::NameNul)?;
                self.name = whole_name(name, !fill.is_empty())?;
            }
            Field::NameNg => {
                self.name = match value.split_last() {
                    Some((0, name)) => whole_name(name, true)?,
                    _ => return Err(ImaProblem::NameNul),
                };
            }
            Field::Signature => self.signature = value,
            Field::Buffer => self.buffer = Some(value),
            Field::Modsig => self.modsig = value,
            Field::Uid | Field::Gid | Field::Mode if !value.is_empty() && field.number_len() != Some(value.len()) => {
                return Err(ImaProblem::Number { field: field.id() });
            }
            // A portable EVM signature is over more of the inode than a list tells.
            Field::EvmSignature
            | Field::XattrNames
            | Field::XattrLengths
            | Field::XattrValues
            | Field::Uid
            | Field::Gid
            | Field::Mode => {}
        }
        Ok(())
    }
}

/// A name without a NUL in it, which ended in one.
fn whole_name(name: &[u8], is_ended: bool) -> Result<&[u8], ImaProblem> {
    if name.len() > MAX_PATH_LEN {
        Err(ImaProblem::NameLen { len: name.len() })
    } else if name.contains(&0) || !is_ended {
        Err(ImaProblem::NameNul)
    } else {
        Ok(name)
    }
}
