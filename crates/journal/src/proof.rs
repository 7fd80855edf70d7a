//! Proofs that an entry is in the log (C2SP tlog-proof): a text that whoever has the log's public key can verify alone.

use data_encoding::BASE64;
use vouchsafe_model::Sha256Digest;

use crate::checkpoint::{CheckpointKey, NoteRejected, SignedCheckpoint};
use crate::entry::Record;
use crate::hash;
use crate::line::{MAX_LINE_LEN, entry_text, parse_entry_text};
use crate::tree::{MAX_HEIGHT, root_of_path};

/// The first line.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";
/// The longest proof that is read, in bytes: the entry in base64, a path, and a checkpoint.
pub const MAX_PROOF_LEN: usize = MAX_LINE_LEN * 2 + 32 * 1024;

/// An entry, the path from it to the root of the tree, and a checkpoint that signs that root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub(crate) record: Record<'static>,
    pub(crate) path: Vec<Sha256Digest>,
    pub(crate) checkpoint: SignedCheckpoint,
}

/// A text that is no proof, or proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRejected {
    /// It is longer than is read.
    #[error("the proof is longer than {MAX_PROOF_LEN} bytes")]
    TooLong,
    /// It is no proof of our form.
    #[error("the text is no proof of a log ({FORMAT}): {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The checkpoint is none, or not to be believed.
    #[error(transparent)]
    Note(#[from] NoteRejected),
    /// The path does not lead from the entry to the root.
    #[error("the entry is not in the tree that the checkpoint signs, or not at this place")]
    NotIncluded,
}

impl ProofRejected {
    /// Whether the text cannot be read at all, as opposed to proving nothing.
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::TooLong | Self::Malformed { .. } | Self::Note(NoteRejected::TooLong | NoteRejected::Malformed { .. })
        )
    }
}

impl Proof {
    /// The entry. Nothing is to be believed of it until the proof is [verified](Self::verify).
    pub fn record(&self) -> &Record<'static> {
        &self.record
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Whether the entry was in the log when one of these keys signed the checkpoint.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn verify(&self, keys: &[CheckpointKey]) -> Result<(), ProofRejected> {
        self.checkpoint.verify(keys)?;
        let checkpoint = self.checkpoint.checkpoint();
        let leaf = hash::leaf(entry_text(&self.record).as_bytes());
        let root = root_of_path(leaf, self.record.number, checkpoint.size, &self.path);
        if root == Some(checkpoint.root) { Ok(()) } else { Err(ProofRejected::NotIncluded) }
    }

    /// The proof as a text. The entry is its extra data.
    pub fn to_text(&self) -> String {
        let extra = BASE64.encode(entry_text(&self.record).as_bytes());
        let mut text = format!("{FORMAT}\nextra {extra}\nindex {}\n", self.record.number);
        for hash in &self.path {
            BASE64.encode_append(hash.as_bytes(), &mut text);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(self.checkpoint.note());
        text
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// When it is longer than is read, or no proof of ours.
    pub fn parse(text: &str) -> Result<Self, ProofRejected> {
        let malformed = |what| ProofRejected::Malformed { what };
        if text.len() > MAX_PROOF_LEN {
            return Err(ProofRejected::TooLong);
        }
        let (head, note) = text.split_once("\n\n").ok_or(malformed("there is no empty line in it"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FORMAT) {
            return Err(malformed("it begins with another line"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra ")).ok_or(malformed("it has no entry"))?;
        let entry = BASE64.decode(extra.as_bytes()).ok().and_then(|entry| String::from_utf8(entry).ok());
        let entry = entry.ok_or(malformed("its entry is no text in base64"))?;
        let record = parse_entry_text(&entry).ok_or(malformed("its entry is none of a decision log"))?.into_owned();
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        if index != Some(record.number.to_string().as_str()) {
            return Err(malformed("its index is not that of its entry"));
        }
        let hash = |line: &str| Some(Sha256Digest::new(BASE64.decode(line.as_bytes()).ok()?.try_into().ok()?));
        let path = lines.map(hash).take(MAX_HEIGHT + 1).collect::<Option<Vec<_>>>();
        let path = path.filter(|path| path.len() <= MAX_HEIGHT).ok_or(malformed("its path is no list of hashes"))?;
        Ok(Self { record, path, checkpoint: SignedCheckpoint::parse(note)? })
    }
}
