//! `vouchsafe init`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use vouchsafe_model::spiffe::{PeerName, TrustDomain};

/// Makes the folder of a new server: authority, certificates, settings.
///
/// Nothing is overwritten: a folder that holds a server already is left as it is. The certificate authority, all keys and
/// the engine's secret are made here and are readable by their owner alone. Start the server with `vouchsafe serve`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  Try it on this machine:
    vouchsafe init --dir ./engine --trust-domain example.org \\
      --host localhost --ip 127.0.0.1 --listen 127.0.0.1

  A server that is reached by two names:
    vouchsafe init --dir /var/lib/vouchsafe --trust-domain example.org \\
      --host engine.example.org --host engine.internal")]
pub(crate) struct InitArgs {
    /// The folder to make, or an empty one that only its owner can enter.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// The SPIFFE trust domain: the name under which all identities are issued, such as example.org.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) trust_domain: TrustDomain,

    /// A DNS name under which agents and operators reach the server; the first one goes into the URLs.
    #[arg(long = "host", value_name = "NAME", required_unless_present = "ips", value_parser = host_name)]
    pub(crate) hosts: Vec<String>,

    /// An IP address under which they reach it.
    #[arg(long = "ip", value_name = "ADDR")]
    pub(crate) ips: Vec<IpAddr>,

    /// The port of the enrolment door, for hosts that have no identity yet.
    #[arg(long, value_name = "PORT", default_value_t = 8441, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) enrol_port: u16,

    /// The port of the API, for everyone who has one.
    #[arg(long, value_name = "PORT", default_value_t = 8443, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) api_port: u16,

    /// The port for probes and metrics: plain HTTP, on this machine only.
    #[arg(long, value_name = "PORT", default_value_t = 8444, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ops_port: u16,

    /// The address on which enrolment and API are served; `::` for IPv6 and IPv4.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0")]
    pub(crate) listen: IpAddr,

    /// The name of the first operator, whose certificate is made.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub(crate) operator: PeerName,
}

/// Reads a DNS name, so that a wrong one is refused before anything is made.
fn host_name(text: &str) -> Result<String, String> {
    match rustls_pki_types::DnsName::try_from(text) {
        Ok(_) if text.parse::<IpAddr>().is_err() => Ok(text.to_owned()),
        Ok(_) => Err("this is an IP address: use --ip".to_owned()),
        Err(_) if text.parse::<IpAddr>().is_ok() => Err("this is an IP address: use --ip".to_owned()),
        Err(_) => Err("not a DNS name".to_owned()),
    }
}
