//! Checkpoints: what the log was at one size, signed (C2SP tlog-checkpoint, in a C2SP signed-note).
//!
//! Three extension lines follow the root. That specification advises against such, because nobody could check what they say;
//! these say nothing that the log itself does not show.

mod key;

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use vouchsafe_model::{Sha256Digest, Timestamp};

pub use key::{CheckpointKey, KeyRejected, SignCheckpoint, SigningFailed};

/// The longest note that is read, in bytes.
pub(crate) const MAX_NOTE_LEN: usize = 16 * 1024;
/// The most signatures of a note that are looked at.
const MAX_SIGNATURES: usize = 16;
/// What a line with a signature begins with.
const SIGNATURE_MARK: &str = "\u{2014} ";
/// The length of a key's name in a signature, in bytes.
const KEY_ID_LEN: usize = 4;

/// The identity of a log, in the form of a URL without its scheme: `example.org/decisions/1f0c…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// A text that cannot be the identity of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the origin of a log is 1 to {} printable ASCII characters without blanks and plus signs", Origin::MAX_LEN)]
pub struct InvalidOrigin;

/// What a log was at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many entries it had, those included that retention has removed.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Sha256Digest,
    /// When this was said.
    pub at: Timestamp,
    /// The end of the chain.
    pub chain: Sha256Digest,
    /// The first entry that retention has not removed.
    pub kept: u64,
}

/// A checkpoint with its signatures, which nobody has verified by having this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
    /// Where the signed text ends.
    text_len: usize,
}

/// A text that is no checkpoint, or none that is to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteRejected {
    /// It is longer than is read.
    #[error("the checkpoint is longer than {MAX_NOTE_LEN} bytes")]
    TooLong,
    /// It is no signed note.
    #[error("the checkpoint is no signed note: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// None of the keys that are trusted signed it.
    #[error("the checkpoint is not signed by the log's key")]
    OtherKey,
    /// One of the keys is said to have signed it, and has not.
    #[error("the signature of the checkpoint does not verify")]
    Forged,
}

impl Origin {
    /// The longest origin, in bytes.
    pub const MAX_LEN: usize = 255;

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
        if is_plain && (1..=Self::MAX_LEN).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidOrigin)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Checkpoint {
    /// Signs it. The key is named after the log.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(self, signer: &dyn SignCheckpoint) -> Result<SignedCheckpoint, SigningFailed> {
        let text = self.text();
        let signature = [&signer.public_key().id()[..], &signer.sign(text.as_bytes())?].concat();
        let note = format!("{text}\n{SIGNATURE_MARK}{} {}\n", self.origin, BASE64.encode(&signature));
        Ok(SignedCheckpoint { text_len: text.len(), note, checkpoint: self })
    }

    /// What is signed.
    fn text(&self) -> String {
        let Self { origin, size, root, at, chain, kept } = self;
        let [root, chain] = [root, chain].map(|digest| BASE64.encode(digest.as_bytes()));
        format!("{origin}\n{size}\n{root}\ntime {at}\nchain {chain}\nkept {kept}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut line = || lines.next();
        let digest = |text: &str| Some(Sha256Digest::new(BASE64.decode(text.as_bytes()).ok()?.try_into().ok()?));
        let checkpoint = Self {
            origin: line()?.parse().ok()?,
            size: number(line()?)?,
            root: digest(line()?)?,
            at: line()?.strip_prefix("time ")?.parse().ok()?,
            chain: digest(line()?.strip_prefix("chain ")?)?,
            kept: number(line()?.strip_prefix("kept ")?)?,
        };
        // Written in one way alone, so that what is read is what was signed.
        (checkpoint.text() == text).then_some(checkpoint)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

impl SignedCheckpoint {
    /// Reads a signed note. Nothing in it is to be believed until it is [verified](Self::verify).
    ///
    /// # Errors
    /// When it is longer than is read, or no checkpoint of ours.
    pub fn parse(note: &str) -> Result<Self, NoteRejected> {
        let malformed = |what| NoteRejected::Malformed { what };
        if note.len() > MAX_NOTE_LEN {
            return Err(NoteRejected::TooLong);
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(malformed("it has a control character"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(malformed("there is no empty line in it"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(malformed("its last line does not end"))?;
        let count = signatures.split('\n').count();
        if count > MAX_SIGNATURES {
            return Err(malformed("it has more than 16 signatures"));
        }
        if !signatures.split('\n').all(|line| signature(line).is_some()) {
            return Err(malformed("a line below the empty one is no signature"));
        }
        let text_len = text.len() + 1;
        let text = note.get(..text_len).unwrap_or_default();
        let checkpoint = Checkpoint::parse(text).ok_or(malformed("its text is no checkpoint of a decision log"))?;
        Ok(Self { checkpoint, note: note.to_owned(), text_len })
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The whole note.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether one of these keys signed it under the log's name, and none of them is said to have and has not.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn verify(&self, keys: &[CheckpointKey]) -> Result<(), NoteRejected> {
        let (text, signatures) = self.note.split_at_checked(self.text_len).unwrap_or_default();
        let mut verified = Err(NoteRejected::OtherKey);
        for (name, id, signature) in signatures.split('\n').filter_map(signature) {
            let known = keys.iter().find(|key| name == self.checkpoint.origin.as_str() && key.id() == id);
            let Some(key) = known else { continue };
            if !key.verifies(text.as_bytes(), &signature) {
                return Err(NoteRejected::Forged);
            }
            verified = Ok(());
        }
        verified
    }
}

/// The key's name, its id and the signature of a line.
fn signature(line: &str) -> Option<(&str, [u8; KEY_ID_LEN], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    let (id, signature) = bytes.split_first_chunk::<KEY_ID_LEN>()?;
    let is_named = !name.is_empty() && !name.contains([' ', '+']);
    (is_named && !signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}
