//! The way to the TPM: which TCTI (TCG TSS 2.0 TPM Command Transmission Interface), and how it is configured.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tss_esapi::tcti_ldr::TctiNameConf;

/// A TCTI with its configuration, as TPM tools write it: `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`,
/// `tabrmd:bus_type=system`.
#[derive(Clone, PartialEq, Eq)]
pub struct Tcti {
    text: String,
    configuration: TctiNameConf,
}

/// A text that names no way to a TPM.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is no way to a TPM: {reason}")]
pub struct InvalidTcti {
    text: String,
    reason: String,
}

/// The keys that each TCTI knows. tpm2-tss ignores or misreads others, so they are refused here.
const SWTPM_KEYS: &[&str] = &["host", "port"];
const TABRMD_KEYS: &[&str] = &["bus_name", "bus_type"];

impl Tcti {
    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 512;

    /// The device file, if it is one.
    pub fn device(&self) -> Option<&Path> {
        self.text.strip_prefix("device:").map(Path::new)
    }

    pub(crate) fn configuration(&self) -> TctiNameConf {
        self.configuration.clone()
    }
}

impl Default for Tcti {
    /// The kernel's resource manager, which keeps the objects of its users apart.
    fn default() -> Self {
        let configuration = TctiNameConf::Device(tss_esapi::tcti_ldr::DeviceConfig::default());
        Self::from_str("device:/dev/tpmrm0").unwrap_or(Self { text: "device:/dev/tpm0".to_owned(), configuration })
    }
}

impl FromStr for Tcti {
    type Err = InvalidTcti;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |reason: &str| InvalidTcti { text: text.chars().take(80).collect(), reason: reason.to_owned() };
        if text.len() > Self::MAX_LEN || text.contains('\0') {
            return Err(invalid("it is too long, or holds a NUL"));
        }
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let text = match name {
            "device" if options.is_empty() => "device:/dev/tpmrm0".to_owned(),
            "device" if options.starts_with('/') => text.to_owned(),
            "device" => return Err(invalid("the device must be an absolute path, such as device:/dev/tpmrm0")),
            "swtpm" => checked(text, options, SWTPM_KEYS).map_err(|reason| invalid(&reason))?,
            "tabrmd" => checked(text, options, TABRMD_KEYS).map_err(|reason| invalid(&reason))?,
            _ => return Err(invalid("expected device:PATH, swtpm:host=HOST,port=PORT or tabrmd:bus_type=TYPE")),
        };
        let configuration = TctiNameConf::from_str(&text).map_err(|_| invalid("its options are not understood"))?;
        Ok(Self { text, configuration })
    }
}

fn checked(text: &str, options: &str, keys: &[&str]) -> Result<String, String> {
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').ok_or_else(|| format!("'{option}' has no value"))?;
        if !keys.contains(&key) {
            // Among others swtpm:path=…: tpm2-tss 3.2 reaches a software TPM over TCP alone.
            return Err(format!("'{key}' is no option of it; there are {}", keys.join(" and ")));
        }
        if value.is_empty() {
            return Err(format!("'{key}' has no value"));
        }
    }
    Ok(text.to_owned())
}

impl fmt::Display for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Tcti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tcti({self})")
    }
}

impl Serialize for Tcti {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Tcti {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_a_tpm() {
        for text in [
            "device:/dev/tpmrm0",
            "device:/dev/tpm1",
            "swtpm:host=127.0.0.1,port=2321",
            "swtpm:port=4000",
            "tabrmd:bus_type=session",
            "tabrmd",
        ] {
            assert_eq!(text.parse::<Tcti>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_default_is_the_resource_manager_of_the_kernel() {
        assert_eq!(Tcti::default().to_string(), "device:/dev/tpmrm0");
        assert_eq!("device".parse::<Tcti>().unwrap(), Tcti::default());
        assert_eq!(Tcti::default().device(), Some(Path::new("/dev/tpmrm0")));
    }

    #[test]
    fn refuses_what_the_stack_would_silently_misread() {
        for text in [
            "",
            "/dev/tpmrm0",
            "device:tpmrm0",
            "swtpm:path=/run/tpm.sock",
            "swtpm:port=",
            "swtpm:port=70000",
            "swtpm:port",
            "tabrmd:bus_type=other",
            "mssim:port=2321",
            "device:/dev/tpm\0rm0",
        ] {
            assert!(text.parse::<Tcti>().is_err(), "{text:?}");
        }
        assert!(format!("device:/{}", "x".repeat(Tcti::MAX_LEN)).parse::<Tcti>().is_err());
    }

    #[test]
    fn says_which_options_there_are() {
        let error = "swtpm:path=/run/tpm.sock".parse::<Tcti>().unwrap_err();
        let expected =
            "'swtpm:path=/run/tpm.sock' is no way to a TPM: 'path' is no option of it; there are host and port";
        assert_eq!(error.to_string(), expected);
    }
}
