//! The boot menu: `BootOrder` and the options that it names (UEFI 2.10, 3.1.3 `EFI_LOAD_OPTION`).

use std::collections::BTreeMap;

use super::super::bytes::{Bytes, utf16_text};
use super::super::device_path;
use super::super::facts::BootOption;
use super::super::variable::Variable;

/// The most options that are told: a variable may repeat one number over and over.
const MAX_OPTIONS: usize = 1024;

/// What the variables of the boot menu say.
#[derive(Default)]
pub(super) struct BootMenu {
    order: Option<Vec<u16>>,
    /// In the order of their events.
    measured: Vec<u16>,
    options: BTreeMap<u16, (String, Option<String>)>,
}

impl BootMenu {
    pub(super) fn add(&mut self, event: &[u8]) {
        let Some(variable) = Variable::parse(event) else { return };
        if variable.is("BootOrder") {
            let numbers =
                variable.data.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
            self.order = Some(numbers.take(MAX_OPTIONS).collect());
        } else if let Some(number) = variable.boot_number().filter(|_| self.measured.len() < MAX_OPTIONS) {
            self.measured.push(number);
            self.options.extend(load_option(variable.data).map(|option| (number, option)));
        }
    }

    /// The options in the order of `BootOrder`; in that of their events when it was not measured.
    pub(super) fn finish(self) -> Vec<BootOption> {
        let Self { order, measured, options } = self;
        order
            .unwrap_or(measured)
            .into_iter()
            .map(|number| {
                let (description, path) =
                    options.get(&number).cloned().map_or((None, None), |(text, path)| (Some(text), path));
                BootOption { number, description, path }
            })
            .collect()
    }
}

/// The description and the device path of an option.
fn load_option(data: &[u8]) -> Option<(String, Option<String>)> {
    let mut bytes = Bytes::new(data);
    let _attributes = bytes.u32()?;
    let path_len = usize::from(bytes.u16()?);
    let units = bytes.rest().chunks_exact(2);
    let text_len = units.take_while(|unit| *unit != [0, 0]).count().checked_mul(2)?;
    let description = utf16_text(bytes.take(text_len)?);
    bytes.take(2)?;
    Some((description, bytes.take(path_len).and_then(device_path::text)))
}
