//! What the server needs to speak to other systems: over TLS, or on this machine alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use reqwest::{Client, ClientBuilder, Identity, Url};
use vouchsafe_pki::files;

/// The longest token, in bytes.
const MAX_TOKEN_LEN: usize = 16 * 1024;
/// The longest file of certificates or of a key, in bytes.
const MAX_PEM_LEN: usize = 1024 * 1024;

/// A certificate by which the server is known, and its key.
pub(super) struct ClientCertificate {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A client that trusts these certificates alone, if some are named, and follows no redirects.
pub(super) fn client(ca_file: Option<&Path>, identity: Option<&ClientCertificate>) -> anyhow::Result<ClientBuilder> {
    // Another part of this process may have chosen it before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        let roots = files::read_file(file, MAX_PEM_LEN)?;
        let roots = reqwest::Certificate::from_pem_bundle(&roots)
            .with_context(|| format!("{} holds no certificates", file.display()))?;
        client = client.tls_certs_only(roots);
    }
    if let Some(ClientCertificate { certificate, key }) = identity {
        let mut pem = files::read_private_file(key, MAX_PEM_LEN)?.to_vec();
        pem.extend(files::read_file(certificate, MAX_PEM_LEN)?);
        let identity = Identity::from_pem(&pem)
            .with_context(|| format!("{} and {} do not go together", certificate.display(), key.display()))?;
        client = client.identity(identity);
    }
    Ok(client)
}

/// The token, as the file holds it now: it may be exchanged at any time.
pub(super) fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(None) };
    let bytes = files::read_private_file(file, MAX_TOKEN_LEN)?;
    let token = str::from_utf8(&bytes).with_context(|| format!("{} is no text", file.display()))?.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(Some(token.to_owned())) } else { bail!("{} holds no token", file.display()) }
}

/// A URL of the settings: over TLS, or of this machine.
pub(super) fn read_url(setting: &str, text: &str) -> anyhow::Result<Url> {
    // Whatever is in a URL is in logs. One that cannot be read is not shown: what it holds is not known.
    let url = Url::parse(text).with_context(|| format!("{setting} is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!("{setting} holds the name of a user or a password, which would be in logs: put a token into token_file")
    }
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback) {
        return Ok(url);
    }
    bail!("{setting}: '{text}' is neither https nor http on this machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_over_tls_or_of_this_machine_and_holds_no_secret() {
        for good in ["https://a.example.org/b?c=d", "http://localhost:8080/", "http://127.0.0.9/", "http://[::1]/"] {
            assert_eq!(read_url("x.url", good).unwrap().as_str(), good);
        }
        for (bad, why) in [
            ("http://a.example.org/", "neither https nor http on this machine"),
            ("ftp://localhost/", "neither https nor http on this machine"),
            ("https://ada:hunter2@a.example.org/", "put a token into token_file"),
            ("https://hunter2@a.example.org/", "put a token into token_file"),
            ("https://:hunter2@localhost/", "put a token into token_file"),
            ("https://ada:hunter2@[nowhere", "x.url is no URL"),
        ] {
            let error = format!("{:#}", read_url("x.url", bad).unwrap_err());
            assert!(error.starts_with("x.url") && error.contains(why), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
