//! Hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

use vouchsafe_wire::v1::agent::HttpRequest;

use super::ambiguity::{Ambiguity, HostFault};

/// The longest part of a name between two dots, and the longest name, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_LEN: usize = 63;
const MAX_NAME_LEN: usize = 253;

/// The host in lower case, with its port unless that is the scheme's own.
pub(super) fn normalise(authority: &[u8], scheme: Option<&str>) -> Result<String, Ambiguity> {
    if authority.len() > HttpRequest::MAX_HOST_LEN {
        return Err(Ambiguity::TooLarge { part: "host", max: HttpRequest::MAX_HOST_LEN });
    }
    let authority = std::str::from_utf8(authority).map_err(|_| HostFault::Character)?;
    if authority.contains('@') {
        return Err(HostFault::UserInfo.into());
    }
    let (host, port) = split_port(authority)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => address_v6(bracketed.strip_suffix(']').ok_or(HostFault::Address)?)?,
        None => name(host)?,
    };
    let own_port = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    Ok(match port {
        Some(port) if Some(port) != own_port => format!("{host}:{port}"),
        _ => host,
    })
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), HostFault> {
    let inside = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority.get(inside..).and_then(|rest| rest.find(':')).map(|colon| inside + colon) else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at_checked(colon).ok_or(HostFault::Port)?;
    let digits = port.strip_prefix(':').ok_or(HostFault::Port)?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let port = digits.parse().ok().filter(|_| is_plain).ok_or(HostFault::Port)?;
    Ok((host, Some(port)))
}

fn address_v6(text: &str) -> Result<String, HostFault> {
    let address: Ipv6Addr = text.parse().map_err(|_| HostFault::Address)?;
    Ok(format!("[{address}]"))
}

fn name(host: &str) -> Result<String, HostFault> {
    if host.is_empty() {
        return Err(HostFault::Empty);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !host.bytes().all(fits) {
        return Err(HostFault::Character);
    }
    if host.ends_with('.') {
        return Err(HostFault::TrailingDot);
    }
    if host.len() > MAX_NAME_LEN || host.split('.').any(|label| !(1..=MAX_LABEL_LEN).contains(&label.len())) {
        return Err(HostFault::Label);
    }
    let host = host.to_ascii_lowercase();
    // A name whose last part is a number is an address to some (WHATWG URL, 3.5), in decimal, octal or hexadecimal.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number && host.parse::<Ipv4Addr>().is_err() { Err(HostFault::Address) } else { Ok(host) }
}
