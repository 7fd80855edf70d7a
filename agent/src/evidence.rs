//! One attestation at the engine: a long IMA list ahead, the quote, and what is left of the list with it.
//!
//! The order matters. The kernel lists an entry before it extends PCR 10 by it, so a list that is read *after* the quote
//! holds everything that the quoted value covers; what it holds besides is for the next quote. What travels with the quote
//! is bounded, and therefore a longer rest is sent ahead, part by part, from where the engine is: it says so in the
//! challenge and in its answer to every part, and an upload that was interrupted goes on from there.

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_model::{HostFacts, Sha256Digest};
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence, EvidencePayload, Quote, evidence_binding};
use vouchsafe_wire::v1::logs::{BootId, ImaPart, ImaPosition, SentLogs};

use crate::client::{Client, RequestError};
use crate::clock;
use crate::logs::{EventLog, HostLogs, ImaList, ListPart};
use crate::machine::Failure;
use crate::tls::sha256;

/// The most parts that are sent ahead of one quote. A list that is longer goes on with the next challenge.
pub const MAX_PARTS: u32 = 256;
/// The most often that the engine may say to go on elsewhere than after what it was sent, before one quote.
pub const MAX_DETOURS: u32 = 4;
/// The most quotes by one nonce, all but the last of which stay here: a list that grew by more than a part meanwhile.
pub const MAX_QUOTES: u32 = 3;

/// What makes quotes: the host's TPM.
pub trait Quoter: Sync {
    /// Quotes what the challenge selects.
    fn quote(
        &self,
        challenge: &Challenge,
        qualifying: Sha256Digest,
    ) -> impl Future<Output = Result<Quote, Failure>> + Send;
}

/// What it takes to attest.
#[derive(Debug)]
pub struct Attestation<'a, Q> {
    /// The way to the engine.
    pub client: &'a Client,
    /// The TPM.
    pub quoter: &'a Q,
    /// The host's logs.
    pub logs: &'a Arc<HostLogs>,
    /// The certificate by which the client authenticates.
    pub certificate: Sha256Digest,
    /// What the host says of itself.
    pub facts: HostFacts,
    /// No part but the first is sent ahead after this instant since boot: the nonce has to live through the quote, and
    /// through what it takes to arrive.
    pub until: Duration,
}

/// What came of an attestation.
#[derive(Clone, Debug, PartialEq)]
pub enum Attested {
    /// The engine appraised the evidence.
    Appraised(Box<Appraised>),
    /// So much of the list was sent ahead that the nonce is too old: it stayed here, and is to be left unused.
    SentAhead,
}

impl<Q: Quoter> Attestation<'_, Q> {
    /// Attests by a challenge.
    ///
    /// # Errors
    /// When the engine or the TPM fails. A log that cannot be had is no error: the evidence goes without it.
    pub async fn perform(self, challenge: Challenge) -> Result<Attested, Failure> {
        let Opened { boot, event_log, mut ima } = self.open_logs(&challenge).await?;
        let (digest, event_log) = event_log.map_or((None, None), |found| (Some(found.digest), found.log));
        let payload = EvidencePayload { facts: self.facts, boot, event_log: digest };
        let payload = serde_json::to_string(&payload).map_err(|error| Failure::local(error.to_string()))?;
        let binding = evidence_binding(challenge.nonce.as_slice(), &self.certificate, &sha256(payload.as_bytes()));
        let qualifying = sha256(&binding);
        for _ in 0..MAX_QUOTES {
            if let Some(sending) = &mut ima {
                match sending.ahead(self.client).await? {
                    Ahead::Short => {}
                    Ahead::Paused => return Ok(Attested::SentAhead),
                    Ahead::Broken => ima = None,
                }
            }
            let quote = self.quoter.quote(&challenge, qualifying).await?;
            let ima = match &mut ima {
                None => None,
                Some(sending) => match sending.read().await? {
                    Some(part) if part.more => continue,
                    Some(part) => Some(ImaPart { from: sending.position(), log: part.log }),
                    None => None,
                },
            };
            let logs = SentLogs { event_log, ima };
            let evidence = Evidence { nonce: challenge.nonce, quote, payload, logs };
            return Ok(Attested::Appraised(Box::new(self.client.attest(evidence).await?)));
        }
        Err(Failure::local("the IMA list grows faster than it can be sent"))
    }

    async fn open_logs(&self, challenge: &Challenge) -> Result<Opened, Failure> {
        let (logs, known, until) = (Arc::clone(self.logs), challenge.logs.clone(), self.until);
        blocking(move || {
            let boot = logs.boot();
            let event_log = logs.event_log(boot.as_ref(), known.event_log.as_ref());
            let ima = boot.clone().and_then(|boot| {
                let list = Some(logs.ima()?);
                let offset = known.ima.filter(|at| at.boot == boot).map_or(0, |at| at.offset);
                Some(Sending { list, boot, offset, until, logs: Arc::clone(&logs) })
            });
            Opened { boot, event_log, ima }
        })
        .await
    }
}

/// What there is of the host's logs.
struct Opened {
    boot: Option<BootId>,
    event_log: Option<EventLog>,
    /// None without a boot: nobody could say to which list a place belongs.
    ima: Option<Sending>,
}

/// An IMA list on its way.
#[derive(Debug)]
struct Sending {
    /// Away while it is read, and when it broke.
    list: Option<ImaList<File>>,
    boot: BootId,
    /// How far the engine knows it.
    offset: u64,
    until: Duration,
    logs: Arc<HostLogs>,
}

/// How a list is after parts of it were sent ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// What is left may go with a quote.
    Short,
    /// More is left, and it took long enough for now.
    Paused,
    /// It cannot be read.
    Broken,
}

impl Sending {
    fn position(&self) -> ImaPosition {
        ImaPosition { boot: self.boot.clone(), offset: self.offset }
    }

    /// Sends parts until what is left may go with a quote.
    async fn ahead(&mut self, client: &Client) -> Result<Ahead, Failure> {
        let (mut sent, mut detours) = (0, 0);
        loop {
            let Some(part) = self.read().await? else { return Ok(Ahead::Broken) };
            if !part.more {
                return Ok(Ahead::Short);
            }
            if sent == MAX_PARTS || (sent > 0 && clock::now().boot >= self.until) {
                tracing::info!(ima.offset = self.offset, "sent much of the IMA list ahead; more is left");
                return Ok(Ahead::Paused);
            }
            let after = self.offset.saturating_add(part.len);
            let from = self.position();
            let compressed = part.log.compressed_len();
            let answer = client.send_ima(ImaPart { from, log: part.log }).await?;
            // Of another boot the engine knows what it knows; of this one then nothing.
            let next = if answer.boot == self.boot { answer.offset } else { 0 };
            tracing::debug!(ima.from = self.offset, ima.next = next, bytes = part.len, compressed, "sent a part ahead");
            sent += 1;
            if next != after {
                detours += 1;
            }
            if detours > MAX_DETOURS {
                let reason = "the engine goes on elsewhere after every part of the IMA list".to_owned();
                return Err(RequestError::Unintelligible { reason }.into());
            }
            self.offset = next;
        }
    }

    /// Reads the part from where the engine is; `None` when the list cannot be read.
    async fn read(&mut self) -> Result<Option<ListPart>, Failure> {
        let Some(mut list) = self.list.take() else { return Ok(None) };
        let offset = self.offset;
        let (list, part) = blocking(move || {
            let part = list.part(offset);
            (list, part)
        })
        .await?;
        let part = self.logs.ima_part(part);
        self.list = part.is_some().then_some(list);
        Ok(part)
    }
}

/// Does what waits for the disk, or computes for a while, where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::local(error.to_string()))
}
