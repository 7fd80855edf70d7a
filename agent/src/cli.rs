//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::Serialize;
use vouchsafe_model::{PcrSelection, hash};

use crate::config::LogFormat;

/// Owns this host's TPM and vouches for the host.
#[derive(Debug, Parser)]
#[command(name = "vouchsafe-agent", version, about, after_long_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Configuration file [default: /etc/vouchsafe/agent.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "VOUCHSAFE_AGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// What overrides the configuration.
    #[command(flatten)]
    pub flags: Flags,
}

/// Flags that override the configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    /// Where the agent keeps its state [default: /var/lib/vouchsafe-agent]
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    state_dir: Option<PathBuf>,
    /// The way to the TPM.
    #[arg(long, global = true, value_name = "TCTI", help = TCTI_HELP)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tcti: Option<String>,
    /// Algorithm of the attestation key, chosen when the keys are made [default: ecc]
    #[arg(long, global = true, value_name = "ALGORITHM", value_parser = ["ecc", "rsa"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    ak: Option<String>,
    /// Endorsement key to show: auto is the first that has a certificate, RSA before ECC [default: auto]
    #[arg(long, global = true, value_name = "KEY", value_parser = ["auto", "rsa", "ecc"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    ek: Option<String>,
    /// File with the TPM owner's password, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_auth_file: Option<PathBuf>,
    /// File with the endorsement hierarchy's password, where there is one
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    endorsement_auth_file: Option<PathBuf>,
    /// The boot event log, where it is not at its usual place
    #[arg(long, global = true, value_name = "FILE", help = EVENT_LOG_HELP)]
    #[serde(skip_serializing_if = "Option::is_none")]
    event_log: Option<PathBuf>,
    /// The IMA list, where it is not at its usual place
    #[arg(long, global = true, value_name = "FILE", help = IMA_LOG_HELP)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ima_log: Option<PathBuf>,
    /// The file that names the boot, where it is not at its usual place
    #[arg(long, global = true, value_name = "FILE", help = BOOT_ID_HELP)]
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id_file: Option<PathBuf>,
    /// Seconds that one request to the engine may take [default: 30]
    #[arg(long, global = true, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_timeout_secs: Option<u16>,
    /// What to log.
    #[arg(long, global = true, value_name = "LEVEL", help = LOG_LEVEL_HELP)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_level: Option<String>,
    /// Form of the log [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
}

/// What the agent can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol if need be, then attest for ever
    #[command(after_help = RUN_HELP)]
    Run {
        /// Join file, for while the device is not enrolled
        #[arg(long, value_name = "FILE")]
        join: Option<PathBuf>,
    },
    /// Enrol, and end
    #[command(after_help = ENROL_HELP)]
    Enrol {
        /// Join file that `vouchsafe token create` made
        #[arg(long, value_name = "FILE")]
        join: PathBuf,
        /// Seconds to go on trying while the engine is away
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait_secs: u64,
        /// Enrol although the device is enrolled: with the same keys, as the same device
        #[arg(long)]
        again: bool,
    },
    /// Say whether the device is enrolled, and how its last attestation went
    #[command(after_help = STATUS_HELP)]
    Status {
        /// Form of the answer
        #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
        format: StatusFormat,
    },
    /// Make a quote for other tools, without any engine
    #[command(after_long_help = QUOTE_HELP)]
    Quote {
        /// Qualifying data: 1 to 64 bytes in hexadecimal
        #[arg(long, value_name = "HEX", value_parser = parse_nonce)]
        nonce: Nonce,
        /// Bank and PCRs
        #[arg(long, value_name = "SELECTION", default_value = "sha256:0-7")]
        pcrs: PcrSelection,
        /// Directory for the files; it is made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write completions for a shell to standard output
    Completions {
        /// For which
        shell: Shell,
    },
    /// Write manual pages
    Man {
        /// Directory for them; it is made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// The form of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Qualifying data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(pub Vec<u8>);

/// The most qualifying data that every TPM takes, in bytes (TPM 2.0 Part 2, 10.4.3, as the stack holds it).
const MAX_NONCE: usize = 64;

fn parse_nonce(text: &str) -> Result<Nonce, String> {
    hash::from_hex(text)
        .filter(|bytes| (1..=MAX_NONCE).contains(&bytes.len()))
        .map(Nonce)
        .ok_or_else(|| format!("expected 1 to {MAX_NONCE} bytes in hexadecimal, such as 9009"))
}

const TCTI_HELP: &str = "\
The way to the TPM: device:PATH, swtpm:host=HOST,port=PORT or tabrmd:bus_type=TYPE [default: device:/dev/tpmrm0]";

const EVENT_LOG_HELP: &str = "\
Boot event log, binary; sent once per boot [default: /sys/kernel/security/tpm0/binary_bios_measurements]";

const IMA_LOG_HELP: &str = "\
IMA list, binary; what is new of it is sent [default: /sys/kernel/security/ima/binary_runtime_measurements]";

const BOOT_ID_HELP: &str = "\
File that names the boot to which a place in the IMA list belongs [default: /proc/sys/kernel/random/boot_id]";

const LOG_LEVEL_HELP: &str =
    "What to log: error, warn, info, debug, or by module: warn,vouchsafe_agent=debug [default: info]";

const AFTER_HELP: &str = "\
Every flag above has a key of the same name in the configuration file (state_dir, tcti, …) and a variable
(VOUCHSAFE_AGENT_STATE_DIR, …). Flags win over variables, variables over the file.

The logs explain the TPM's values to the engine. They need securityfs (mount -t securityfs securityfs
/sys/kernel/security), for IMA a policy (the kernel's ima_policy=tcb), and root to read them. A host without them attests by
values alone; `status` says which were found.

The TPM software stack writes messages of its own to standard error; TSS2_LOG=all+NONE silences it.

Exit codes:
  0  done, or told to end
  1  internal error
  2  wrong usage
  3  the configuration or the state cannot be used
  4  the TPM cannot be used
  5  the engine refuses the enrolment, or is not the engine of the join file
  6  the device is revoked
  7  the engine could not be reached in time
  8  the device is not enrolled, or its certificate has expired

Examples:
  vouchsafe-agent run --join join.json
  vouchsafe-agent --tcti swtpm:host=127.0.0.1,port=2321 --state-dir /tmp/agent run --join join.json
  vouchsafe-agent status --format json
  vouchsafe-agent quote --nonce 9009 --pcrs sha256:0-7 --out quote/";

const RUN_HELP: &str = "\
Examples:
  vouchsafe-agent run --join /etc/vouchsafe/join.json
  VOUCHSAFE_AGENT_LOG_FORMAT=json vouchsafe-agent run";

const ENROL_HELP: &str = "\
Examples:
  vouchsafe-agent enrol --join join.json
  vouchsafe-agent --ak rsa --ek ecc enrol --join join.json --wait-secs 600";

const STATUS_HELP: &str = "\
Exits 0 when the device is enrolled, 8 when it is not. Says too which measurement logs there are: run it as root, for nobody
else may read them.

Examples:
  vouchsafe-agent status
  vouchsafe-agent status --format json";

const QUOTE_HELP: &str = "\
Quotes with the device's attestation key, which is made first if there is none. Writes:
  quote.msg    what the TPM signed (TPMS_ATTEST)
  quote.sig    its signature (TPMT_SIGNATURE)
  quote.pcrs   the PCR values, in the binary form of tpm2_quote
  ak.pem       the public key, PEM
  ak.pub       the public area (TPM2B_PUBLIC)

Examples:
  vouchsafe-agent quote --nonce 9009 --out q
  tpm2_checkquote -u q/ak.pem -m q/quote.msg -s q/quote.sig -f q/quote.pcrs -g sha256 -q 9009
  vouchsafe verify quote --ak q/ak.pub --message q/quote.msg --signature q/quote.sig --pcrs q/quote.pcrs --nonce 9009";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
        let before =
            Cli::try_parse_from(["vouchsafe-agent", "--ak", "rsa", "--ek", "ecc", "run", "--join", "j"]).unwrap();
        let after =
            Cli::try_parse_from(["vouchsafe-agent", "run", "--join", "j", "--ak", "rsa", "--ek", "ecc"]).unwrap();
        for cli in [before, after] {
            let flags = serde_json::to_value(&cli.flags).unwrap();
            assert_eq!(flags, serde_json::json!({ "ak": "rsa", "ek": "ecc" }));
        }
    }

    #[test]
    fn nonces_are_hexadecimal_and_no_longer_than_a_tpm_takes() {
        assert_eq!(parse_nonce("9009"), Ok(Nonce(vec![0x90, 0x09])));
        assert!(parse_nonce(&"00".repeat(MAX_NONCE)).is_ok());
        for text in ["", "9", "xy", &"00".repeat(MAX_NONCE + 1)] {
            assert!(parse_nonce(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for arguments in [
            &["vouchsafe-agent"][..],
            &["vouchsafe-agent", "--ak", "dsa", "run"],
            &["vouchsafe-agent", "enrol"],
            &["vouchsafe-agent", "quote", "--nonce", "9009", "--pcrs", "sha256:24", "--out", "d"],
        ] {
            assert!(Cli::try_parse_from(arguments).is_err(), "{arguments:?}");
        }
    }
}
