//! What a TPM, or the stack in front of it, answers instead of a result (TPM 2.0 Part 2, 6.6 `TPM_RC`).

use std::fmt;

use bitfield::BitRange;
use tss_esapi::Error;
use tss_esapi::constants::response_code::Tss2ResponseCode;

/// A response code as tpm2-tss hands it up: the layer that made it in bits 16 to 23, its code below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseCode(u32);

/// What a response code asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The command was not carried out; the same command may succeed in a moment.
    Busy,
    /// Too many failed authorisations: nothing that dictionary attack protection covers works for now.
    Lockout,
    /// The TPM was reset and nobody has sent `TPM2_Startup` since.
    NotStarted,
    /// The TPM failed its self-test.
    FailureMode,
    /// No room for another object or session.
    Full,
    /// A handle that was good is not any more: the TPM was reset, or somebody flushed it.
    StaleHandle,
    /// The way to the TPM broke.
    Connection,
    /// An authorisation value was wrong.
    WrongAuthorisation,
    /// A blob was made by another TPM, or before this one was cleared.
    Integrity,
    /// Anything else.
    Refused,
}

const LAYER_TPM: u32 = 0;
const LAYER_ESYS: u32 = 7;
const LAYER_TCTI: u32 = 10;
const LAYER_RESOURCE_MANAGER: u32 = 11;
const LAYER_RESOURCE_MANAGER_TPM: u32 = 12;

/// Codes, without the number of the handle, session or parameter that they are about.
const NAMES: &[(u32, &str, Response)] = &[
    (0x100, "TPM_RC_INITIALIZE", Response::NotStarted),
    (0x101, "TPM_RC_FAILURE", Response::FailureMode),
    (0x120, "TPM_RC_DISABLED", Response::Refused),
    (0x12F, "TPM_RC_AUTH_UNAVAILABLE", Response::Refused),
    (0x143, "TPM_RC_COMMAND_CODE", Response::Refused),
    (0x148, "TPM_RC_NV_LOCKED", Response::Refused),
    (0x149, "TPM_RC_NV_AUTHORIZATION", Response::Refused),
    (0x14A, "TPM_RC_NV_UNINITIALIZED", Response::Refused),
    (0x082, "TPM_RC_ATTRIBUTES", Response::Refused),
    (0x083, "TPM_RC_HASH", Response::Refused),
    (0x084, "TPM_RC_VALUE", Response::Refused),
    (0x085, "TPM_RC_HIERARCHY", Response::Refused),
    (0x08A, "TPM_RC_TYPE", Response::Refused),
    (0x08B, "TPM_RC_HANDLE", Response::Refused),
    (0x08E, "TPM_RC_AUTH_FAIL", Response::WrongAuthorisation),
    (0x092, "TPM_RC_SCHEME", Response::Refused),
    (0x095, "TPM_RC_SIZE", Response::Refused),
    (0x09D, "TPM_RC_POLICY_FAIL", Response::Refused),
    (0x09F, "TPM_RC_INTEGRITY", Response::Integrity),
    (0x0A2, "TPM_RC_BAD_AUTH", Response::WrongAuthorisation),
    (0x0A6, "TPM_RC_CURVE", Response::Refused),
    (0x902, "TPM_RC_OBJECT_MEMORY", Response::Full),
    (0x903, "TPM_RC_SESSION_MEMORY", Response::Full),
    (0x904, "TPM_RC_MEMORY", Response::Full),
    (0x905, "TPM_RC_SESSION_HANDLES", Response::Full),
    (0x906, "TPM_RC_OBJECT_HANDLES", Response::Full),
    (0x908, "TPM_RC_YIELDED", Response::Busy),
    (0x90A, "TPM_RC_TESTING", Response::Busy),
    (0x920, "TPM_RC_NV_RATE", Response::Busy),
    (0x921, "TPM_RC_LOCKOUT", Response::Lockout),
    (0x922, "TPM_RC_RETRY", Response::Busy),
    (0x923, "TPM_RC_NV_UNAVAILABLE", Response::Busy),
];

impl ResponseCode {
    /// The code that an error of the stack carries; `None` for an error of the Rust wrapper itself.
    pub fn of(error: Error) -> Option<Self> {
        match error {
            Error::Tss2Error(Tss2ResponseCode::FormatZero(code)) => Some(Self(code.bit_range(31, 0))),
            Error::Tss2Error(Tss2ResponseCode::FormatOne(code)) => Some(Self(code.bit_range(31, 0))),
            Error::Tss2Error(Tss2ResponseCode::Success) | Error::WrapperError(_) => None,
        }
    }

    #[cfg(test)]
    pub(super) fn of_number(number: u32) -> Self {
        Self(number)
    }

    /// What it asks of the caller.
    pub fn response(self) -> Response {
        match self.layer() {
            LAYER_TPM | LAYER_RESOURCE_MANAGER_TPM => match self.plain() {
                0x910..=0x916 | 0x918..=0x91E => Response::StaleHandle,
                plain => named(plain).map_or(Response::Refused, |(_, response)| response),
            },
            // A broken command sequence of the stack mends itself the same way: by a new connection.
            LAYER_ESYS | LAYER_TCTI | LAYER_RESOURCE_MANAGER => Response::Connection,
            _ => Response::Refused,
        }
    }

    fn layer(self) -> u32 {
        self.0 >> 16 & 0xFF
    }

    /// The TPM's code without the number of the handle, session or parameter (TPM 2.0 Part 1, 39.4 "Format-One").
    fn plain(self) -> u32 {
        let code = self.0 & 0xFFF;
        if code & 0x80 == 0 { code } else { code & 0xBF }
    }
}

fn named(plain: u32) -> Option<(&'static str, Response)> {
    NAMES.iter().find(|(code, ..)| *code == plain).map(|(_, name, response)| (*name, *response))
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.layer() {
            LAYER_TPM | LAYER_RESOURCE_MANAGER_TPM => match self.plain() {
                0x910..=0x91E => "TPM_RC_REFERENCE",
                plain => named(plain).map_or("TPM response code", |(name, _)| name),
            },
            LAYER_ESYS => "TSS ESYS error",
            LAYER_TCTI => "TSS connection (TCTI) error",
            LAYER_RESOURCE_MANAGER => "resource manager error",
            _ => "TSS error",
        };
        write!(f, "{name} ({:#x})", self.0)
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_whatever_parameter_it_is_about() {
        // TPM_RC_INTEGRITY of parameter 1, TPM_RC_AUTH_FAIL of session 1, the latter also through a resource manager.
        assert_eq!(ResponseCode(0x1DF).response(), Response::Integrity);
        assert_eq!(ResponseCode(0x98E).response(), Response::WrongAuthorisation);
        assert_eq!(ResponseCode(0x000C_098E).response(), Response::WrongAuthorisation);
        assert_eq!(ResponseCode(0x98E).to_string(), "TPM_RC_AUTH_FAIL (0x98e)");
    }

    #[test]
    fn the_codes_that_ask_for_patience_are_busy() {
        for code in [0x908, 0x90A, 0x920, 0x922] {
            assert_eq!(ResponseCode(code).response(), Response::Busy, "{code:#x}");
        }
    }

    #[test]
    fn a_connection_error_is_no_tpm_code_of_the_same_number() {
        assert_eq!(ResponseCode(0x000A_000A).response(), Response::Connection);
        assert_eq!(ResponseCode(0x000A_0008).response(), Response::Connection);
        assert_eq!(ResponseCode(0x0000_0922).response(), Response::Busy);
        assert_eq!(ResponseCode(0x0009_0922).response(), Response::Refused, "the marshalling layer has no retry");
    }

    #[test]
    fn handles_lost_in_a_reset_are_stale() {
        for code in (0x910..=0x916).chain(0x918..=0x91E) {
            assert_eq!(ResponseCode(code).response(), Response::StaleHandle, "{code:#x}");
        }
    }
}
