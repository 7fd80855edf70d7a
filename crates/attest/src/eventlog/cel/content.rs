//! What records say about what was measured.

use serde::Serialize;

use super::super::bytes::any_text;
use super::super::event::EventType;
use super::super::loader::Ipl;

/// What a record says about what was measured, by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// An event of a boot log (`pcclient_std`).
    PcClient {
        /// Its type.
        event_type: EventType,
        /// Its data.
        data: Vec<u8>,
    },
    /// An event of systemd (`systemd`).
    Systemd(SystemdEvent),
    /// An entry of an IMA list (`ima_template`).
    ImaTemplate {
        /// The template.
        name: String,
        /// The template's data.
        data: Vec<u8>,
    },
    /// Management of the log itself (`cel`): nothing was measured by anyone else.
    Management {
        /// What it says.
        text: String,
    },
    /// Something else.
    Other {
        /// Its type: as the record spells it, or a number.
        content_type: String,
        /// What it says, in the encoding of the log.
        data: Vec<u8>,
    },
}

/// What systemd says about what it measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SystemdEvent {
    /// What kind of event it is: `phase`, `machine-id`, `filesystem`, `volume-key` ...
    pub event_type: Option<String>,
    /// The text that was measured, or that names what was.
    pub string: String,
    /// The boot that it belongs to.
    pub boot_id: Option<String>,
    /// When it was, in microseconds of the boot's clock.
    pub timestamp: Option<u64>,
}

/// The event of systemd whose digest is a MAC under the key of a volume.
const VOLUME_KEY: &str = "volume-key";

impl Content {
    /// What the digests must be of, where the content says so.
    pub(super) fn measured(&self) -> Option<&[u8]> {
        match self {
            Self::Systemd(event) if event.event_type.as_deref() != Some(VOLUME_KEY) => Some(event.string.as_bytes()),
            // The template hash of IMA is not simply that of the data for every template; `ima` checks it.
            _ => None,
        }
    }

    /// The type of the event, if it has one, and what it says, if that is text.
    pub(super) fn text(&self) -> Option<(Option<String>, String)> {
        match self {
            Self::PcClient { event_type, data } => {
                let text = match (*event_type, Ipl::of(data)) {
                    (EventType::IPL, Ipl::GrubCommand(text) | Ipl::GrubKernel(text)) => any_text(text),
                    (EventType::IPL | EventType::ACTION | EventType::EFI_ACTION, _) => any_text(data),
                    _ => return None,
                };
                Some((Some(event_type.to_string()), text))
            }
            Self::Systemd(event) => Some((event.event_type.clone(), event.string.clone())),
            Self::Management { text } => Some((Some("cel".to_owned()), text.clone())),
            Self::ImaTemplate { .. } | Self::Other { .. } => None,
        }
    }
}
