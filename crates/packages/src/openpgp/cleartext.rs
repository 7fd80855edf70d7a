//! Clear-signed texts (RFC 9580, 7): `InRelease`.

use pgp::composed::CleartextSignedMessage;

use super::keyring::Keyring;
use super::verify::{SignatureRefused, Signer, Standing};
use crate::limits::MAX_RELEASE_LEN;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CleartextRefused {
    /// It is longer than any.
    #[error("it has {0} bytes, and at most {MAX_RELEASE_LEN} are possible")]
    TooLong(usize),
    /// It is not one clear-signed text and nothing else. Something beside it could be taken for signed.
    #[error("it is not one clear-signed text and nothing else: {0}")]
    Malformed(&'static str),
    /// The signature cannot be read.
    #[error("its signature cannot be read: {0}")]
    Signature(String),
    /// No signature counts.
    #[error(transparent)]
    Refused(#[from] SignatureRefused),
}

/// A text that is signed: this, and nothing that stood around it. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    text: String,
    signer: Signer,
}

impl SignedText {
    /// Reads a clear-signed text.
    ///
    /// # Errors
    /// When it is none, or no signature counts.
    pub fn verify(bytes: &[u8], keyring: &Keyring, standing: Standing) -> Result<Self, CleartextRefused> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len > MAX_RELEASE_LEN {
            return Err(CleartextRefused::TooLong(bytes.len()));
        }
        let document = str::from_utf8(bytes).map_err(|_| CleartextRefused::Malformed("it is no UTF-8"))?;
        check_frame(document)?;
        let (message, _) = CleartextSignedMessage::from_string(document)
            .map_err(|error| CleartextRefused::Signature(error.to_string()))?;
        // What is hashed is what is returned: without dashes, without spaces at the ends of lines, CR LF between them.
        let text = message.signed_text();
        let signer = keyring.verify_packets(text.as_bytes(), message.signatures(), standing)?;
        Ok(Self { text, signer })
    }

    /// Takes a text with its signature in a file of its own.
    ///
    /// # Errors
    /// When it is no UTF-8, or no signature counts.
    pub fn verify_detached(
        bytes: &[u8],
        signature: &[u8],
        keyring: &Keyring,
        standing: Standing,
    ) -> Result<Self, CleartextRefused> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len > MAX_RELEASE_LEN {
            return Err(CleartextRefused::TooLong(bytes.len()));
        }
        let signer = keyring.verify_any(bytes, &[signature.to_vec()], standing)?;
        let text = str::from_utf8(bytes).map_err(|_| CleartextRefused::Malformed("it is no UTF-8"))?;
        Ok(Self { text: text.to_owned(), signer })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Who signed it.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }
}

/// One message, one signature block, and nothing before, between or behind them. A line of the text that begins with a
/// dash would be escaped, so that these lines can only be the frame.
fn check_frame(document: &str) -> Result<(), CleartextRefused> {
    let mut frame = document.lines().enumerate().filter(|(_, line)| line.starts_with("-----"));
    let mut expect = |marker: &str| frame.next().filter(|(_, line)| line.trim_end() == marker).map(|(at, _)| at);
    if expect(BEGIN) != Some(0) {
        return Err(CleartextRefused::Malformed("it does not begin with a message"));
    }
    if expect(BEGIN_SIGNATURE).is_none() {
        return Err(CleartextRefused::Malformed("no signature follows the message"));
    }
    let end = expect(END).ok_or(CleartextRefused::Malformed("the signature has no end"))?;
    if document.lines().skip(end.saturating_add(1)).any(|line| !line.trim().is_empty()) {
        return Err(CleartextRefused::Malformed("something follows the signature"));
    }
    Ok(())
}
