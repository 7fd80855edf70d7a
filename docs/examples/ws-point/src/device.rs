//! Which device a certificate names. TLS has verified it when this is asked.

use anyhow::{Context as _, ensure};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// The id in `spiffe://DOMAIN/device/ID`, the one URI of a device's certificate.
///
/// # Errors
/// The certificate is not a device's.
pub(crate) fn device_of(certificate: &[u8]) -> anyhow::Result<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).context("the certificate is malformed")?;
    let names = certificate.subject_alternative_name().context("the certificate is malformed")?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<_> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris.as_slice() else { anyhow::bail!("the certificate has {} URIs", uris.len()) };
    id_in(uri).map(str::to_owned)
}

fn id_in(uri: &str) -> anyhow::Result<&str> {
    let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
    let id = path.and_then(|path| path.strip_prefix("device/")).with_context(|| format!("{uri} is no device"))?;
    // It goes into a URL.
    ensure!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{uri} is no device");
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_from_everybody_else() {
        assert_eq!(
            id_in("spiffe://a/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf").unwrap(),
            "uws2ljnfuws2ljnfuws2ljnfuws2ljnf"
        );
        for uri in [
            "spiffe://a/enforcement/edge",
            "spiffe://a/device/",
            "spiffe://a/device/uws2ljnfuws2ljnfuws2ljnfuws2ljn&",
            "https://a/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf",
        ] {
            assert!(id_in(uri).is_err(), "{uri}");
        }
    }
}
