//! Why the TPM did not do what was asked of it, and what to do about it.

use super::response::{Response, ResponseCode};
use super::tcti::Tcti;

/// An operation on the TPM that failed. `doing` says what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TpmError {
    /// There is no way to the TPM.
    #[error("cannot reach the TPM at {tcti} ({cause}): {advice}")]
    Unreachable {
        /// The way that was tried.
        tcti: String,
        /// What went wrong.
        cause: String,
        /// What to do.
        advice: &'static str,
    },
    /// The connection to the TPM broke or a reset took its objects, again after both were made anew.
    #[error("{doing}: the connection to the TPM, or what was loaded into it, was lost ({code})")]
    ConnectionLost {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// Dictionary attack protection is in force.
    #[error(
        "{doing}: the TPM is locked out after too many failed authorisations ({code}); it recovers by itself with time \
         (`tpm2_getcap properties-variable` shows TPM2_PT_LOCKOUT_INTERVAL), or at once by \
         `tpm2_dictionarylockout --clear-lockout` with the lockout password"
    )]
    Lockout {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// The TPM was reset and not started.
    #[error(
        "{doing}: the TPM was reset and not started since ({code}); the firmware or the kernel does that at boot: \
         restart the host, or a software TPM with `--flags startup-clear`"
    )]
    NotStarted {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// The TPM failed its self-test.
    #[error(
        "{doing}: the TPM is in failure mode ({code}); power the host off and on, and replace the TPM if it returns"
    )]
    FailureMode {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// The TPM was busy for longer than it is waited for.
    #[error("{doing}: the TPM stayed busy ({code}) for {attempts} attempts")]
    Busy {
        /// What was asked.
        doing: &'static str,
        /// The last answer.
        code: ResponseCode,
        /// How often it was asked.
        attempts: u32,
    },
    /// No room in the TPM, after what could be flushed was flushed.
    #[error(
        "{doing}: the TPM has no room left ({code}); another program holds its objects: use the resource manager \
         (device:/dev/tpmrm0), or free them with `tpm2_flushcontext --transient-object`"
    )]
    Full {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// An authorisation value was wrong.
    #[error("{doing}: the authorisation was refused ({code}); set owner_auth_file or endorsement_auth_file")]
    WrongAuthorisation {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// A key was made by another TPM, or before this one was cleared.
    #[error(
        "{doing}: the key does not belong to this TPM, or the TPM was cleared since ({code}); remove the state directory \
         and enrol again"
    )]
    KeyOfAnotherTpm {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// Anything else that the TPM or the stack refused.
    #[error("{doing}: {code}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        code: ResponseCode,
    },
    /// An answer that the specification does not allow, or that cannot be put into words of the stack.
    #[error("{doing}: {reason}")]
    Unexpected {
        /// What was asked.
        doing: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A key needs an algorithm that the TPM does not have.
    #[error("the TPM has no {algorithm}, which {purpose} needs")]
    Unsupported {
        /// What it lacks.
        algorithm: &'static str,
        /// What for.
        purpose: &'static str,
    },
    /// The TPM has no endorsement key that could be made or found.
    #[error("the TPM has no endorsement key of the kind that was asked for ({preference}): {reason}")]
    NoEndorsementKey {
        /// What was asked for.
        preference: &'static str,
        /// Why not.
        reason: String,
    },
    /// The parent under which the keys were made is not there any more.
    #[error(
        "the storage root key has changed: the TPM was cleared, or the key at 0x81000001 replaced; remove the state \
         directory and enrol again"
    )]
    ParentChanged,
    /// The endorsement key that was found before cannot be made any more.
    #[error("the TPM makes another endorsement key than before: its endorsement seed was changed; enrol again")]
    EndorsementKeyChanged,
    /// A credential that this TPM cannot open.
    #[error("the engine's credential is not for this TPM's endorsement key and attestation key ({reason})")]
    CredentialRefused {
        /// What the TPM said.
        reason: String,
    },
    /// PCRs kept changing while they were quoted.
    #[error("the PCRs changed during each of {attempts} quotes")]
    PcrsUnsettled {
        /// How often they were quoted.
        attempts: u32,
    },
    /// A bank that is not allocated, or a PCR that is not there.
    #[error("the TPM quoted {quoted} where {wanted} was asked for: is the bank allocated (`tpm2_getcap pcrs`)?")]
    PcrsMissing {
        /// What was asked for.
        wanted: String,
        /// What it quoted.
        quoted: String,
    },
    /// The TPM took longer than it is waited for.
    #[error("the TPM did not answer within {limit_secs} s")]
    Timeout {
        /// How long it was waited for.
        limit_secs: u64,
    },
    /// More is asked of the TPM at once than its queue holds.
    #[error("too much is asked of the TPM at once")]
    QueueFull,
    /// The thread that owns the TPM has ended.
    #[error("the TPM is closed")]
    Closed,
}

/// What may be done about a failed operation before it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Nothing.
    None,
    /// Connect anew and do the operation once more.
    Reconnect,
    /// Flush every object and session that can be seen, and do the operation once more.
    Flush,
}

impl TpmError {
    /// The error that a failed command stands for.
    pub(crate) fn of(doing: &'static str, error: tss_esapi::Error) -> Self {
        let Some(code) = ResponseCode::of(error) else {
            return Self::Unexpected { doing, reason: error.to_string() };
        };
        match code.response() {
            Response::Busy => Self::Busy { doing, code, attempts: 1 },
            Response::Lockout => Self::Lockout { doing, code },
            Response::NotStarted => Self::NotStarted { doing, code },
            Response::FailureMode => Self::FailureMode { doing, code },
            Response::Full => Self::Full { doing, code },
            Response::StaleHandle | Response::Connection => Self::ConnectionLost { doing, code },
            Response::WrongAuthorisation => Self::WrongAuthorisation { doing, code },
            Response::Integrity => Self::KeyOfAnotherTpm { doing, code },
            Response::Refused => Self::Refused { doing, code },
        }
    }

    /// The error of a connection that cannot be made.
    pub(crate) fn unreachable(tcti: &Tcti, error: tss_esapi::Error) -> Self {
        let cause = ResponseCode::of(error).map_or_else(|| error.to_string(), |code| code.to_string());
        let advice = match tcti.device() {
            Some(_) => "does another program hold the device? /dev/tpmrm0 can be shared",
            None => "is it running, and is the address right?",
        };
        Self::Unreachable { tcti: tcti.to_string(), cause, advice }
    }

    /// The error of a device file that cannot be opened, found out without the stack, which would say so fifteen times.
    pub(crate) fn of_device_file(tcti: &Tcti) -> Option<Self> {
        use rustix::fs::{Access, access};
        let error = access(tcti.device()?, Access::READ_OK | Access::WRITE_OK).err()?;
        let advice = match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
                "there is no such device; is a TPM 2.0 present, enabled in the firmware, and its driver loaded?"
            }
            rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => {
                "this user may not open the device; add it to the group that owns it (tss)"
            }
            _ => "the device cannot be opened",
        };
        let cause = std::io::Error::from(error).to_string();
        Some(Self::Unreachable { tcti: tcti.to_string(), cause, advice })
    }

    /// An answer that makes no sense.
    pub(crate) fn unexpected(doing: &'static str, reason: impl Into<String>) -> Self {
        Self::Unexpected { doing, reason: reason.into() }
    }

    pub(crate) fn recovery(&self) -> Recovery {
        match self {
            Self::ConnectionLost { .. } => Recovery::Reconnect,
            Self::Full { .. } => Recovery::Flush,
            _ => Recovery::None,
        }
    }

    /// Whether trying again can never help: the keys are not of this TPM, or it cannot make such keys.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::KeyOfAnotherTpm { .. } | Self::ParentChanged | Self::Unsupported { .. })
    }
}
