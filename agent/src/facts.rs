//! What the host says of itself. Nothing of it is proven, and the engine knows.

use std::path::Path;

use vouchsafe_model::HostFacts;

use crate::state_directory::read_bounded;
use crate::tpm::{Tpm, TpmError, manufacturer};

/// Collects the facts that need no TPM.
pub fn of_host() -> HostFacts {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    HostFacts {
        hostname: text(uname.nodename()),
        os: operating_system(Path::new("/etc/os-release"))
            .or_else(|| operating_system(Path::new("/usr/lib/os-release")))
            .unwrap_or_else(|| text(uname.sysname())),
        kernel: text(uname.release()),
        architecture: text(uname.machine()),
        tpm_manufacturer: String::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
    .sanitised()
}

/// Adds what the TPM says of itself.
///
/// # Errors
/// When the TPM cannot be asked.
pub fn with_tpm(facts: HostFacts, tpm: &Tpm) -> Result<HostFacts, TpmError> {
    Ok(HostFacts { tpm_manufacturer: manufacturer(tpm)?, ..facts }.sanitised())
}

/// `PRETTY_NAME` of an os-release file (os-release(5)).
fn operating_system(path: &Path) -> Option<String> {
    let content = read_bounded(path).ok().flatten()?;
    pretty_name(&String::from_utf8_lossy(&content))
}

fn pretty_name(content: &str) -> Option<String> {
    let value = content.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?.trim();
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    let name = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    (!name.is_empty()).then(|| name.replace('\\', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_name_as_os_release_quotes_it() {
        let content = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
        assert_eq!(pretty_name(content).as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(pretty_name("PRETTY_NAME='One \\$2'").as_deref(), Some("One $2"));
        assert_eq!(pretty_name("PRETTY_NAME=Alpine").as_deref(), Some("Alpine"));
        assert_eq!(pretty_name("NAME=x"), None);
        assert_eq!(pretty_name("PRETTY_NAME=\"\""), None);
    }

    #[test]
    fn every_host_has_a_kernel_and_an_architecture() {
        let facts = of_host();
        assert!(!facts.kernel.is_empty() && !facts.architecture.is_empty() && !facts.os.is_empty(), "{facts:?}");
        assert_eq!(facts.agent_version, env!("CARGO_PKG_VERSION"));
    }
}
