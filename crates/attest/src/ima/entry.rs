//! One entry of a list.

use std::borrow::Cow;

use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::fields::{Fields, IMA_DIGEST_LEN, MAX_EVENT_NAME_LEN, Misfit};
use super::template::Template;

/// The PCR that IMA extends unless its policy names another one (`CONFIG_IMA_MEASURE_PCR_IDX`).
pub(super) const IMA_PCR: u32 = 10;
/// The template hash of a list is a SHA-1 digest, whatever the banks.
pub(super) const TEMPLATE_HASH_LEN: usize = 20;

/// An entry, whose form was checked: the kernel may have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub(super) number: u64,
    pub(super) pcr: u32,
    pub(super) logged: [u8; TEMPLATE_HASH_LEN],
    pub(super) template: Template<'a>,
    /// As in a binary list.
    pub(super) data: Cow<'a, [u8]>,
    /// What it says, when that can be told of bytes that are not its own.
    fields: Option<Fields<'a>>,
}

impl<'a> Entry<'a> {
    /// Room for an entry. Lists are read into such room, as moving entries about takes as long as reading them.
    pub(super) fn blank() -> Self {
        let (template, data) = (Template::default(), Cow::Borrowed(&[][..]));
        Self { number: 0, pcr: 0, logged: [0; TEMPLATE_HASH_LEN], template, data, fields: None }
    }

    /// Takes template data that lies in the list, and checks its form.
    #[inline]
    pub(super) fn borrow(&mut self, data: &'a [u8]) -> Result<(), Misfit> {
        self.data = Cow::Borrowed(data);
        self.fields = None;
        Fields::read_into(&mut self.fields, &self.template, data)
    }

    /// Takes template data that was made from a line, and checks its form.
    pub(super) fn own(&mut self, data: Vec<u8>) -> Result<(), Misfit> {
        self.fields = None;
        Fields::read(&self.template, &data)?;
        self.data = Cow::Owned(data);
        Ok(())
    }

    /// Which entry it is; the first since boot is 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The PCR that was extended.
    pub fn pcr(&self) -> u32 {
        self.pcr
    }

    /// The template: `ima-ng`, or a list of fields.
    pub fn template(&self) -> &'a str {
        self.template.name
    }

    /// The SHA-1 template hash that the list tells. Zero for a violation.
    pub fn logged_hash(&self) -> &[u8; TEMPLATE_HASH_LEN] {
        &self.logged
    }

    /// Whether the file changed while it was measured (time of measure and time of use, or open writers). The PCR was
    /// extended with ones, whatever the entry says.
    pub fn is_violation(&self) -> bool {
        self.logged == [0; TEMPLATE_HASH_LEN]
    }

    /// What the entry says; `None` when its template is not known.
    pub fn fields(&self) -> Option<Fields<'_>> {
        self.fields.or_else(|| Fields::read(&self.template, &self.data).ok().flatten())
    }

    /// The same, where they are, if they are at hand.
    pub(super) fn fields_at_hand(&self) -> Option<&Fields<'a>> {
        self.fields.as_ref()
    }

    /// The name, when it can be told without reading the entry once more.
    pub(super) fn name(&self) -> Option<&'a [u8]> {
        self.fields.as_ref().map(|fields| fields.name)
    }

    /// Whether the template hash that the list tells is that of the data. A violation has none.
    pub fn recomputes(&self) -> bool {
        self.is_violation() || self.template_hash(&SHA1_FOR_LEGACY_USE_ONLY).as_ref() == self.logged
    }

    /// The digest that the data has (`ima_calc_field_array_hash_tfm`): fields with their lengths, as a binary list has
    /// them, but for the template `ima`, whose name is filled up with zeros instead.
    pub(super) fn template_hash(&self, algorithm: &'static Algorithm) -> Digest {
        if !self.template.is_ima() {
            return digest(algorithm, &self.data);
        }
        let name = self.data.get(IMA_DIGEST_LEN.saturating_add(4)..).unwrap_or_default();
        let fill = [0; MAX_EVENT_NAME_LEN + 1];
        let mut context = Context::new(algorithm);
        context.update(self.data.get(..IMA_DIGEST_LEN).unwrap_or_default());
        context.update(name);
        context.update(fill.get(name.len()..).unwrap_or_default());
        context.finish()
    }
}
