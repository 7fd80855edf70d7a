//! The logs of one piece of evidence, decompressed and put together with what is known.

use std::collections::BTreeSet;

use vouchsafe_attest::ima::{ImaContext, ImaState};
use vouchsafe_model::Sha256Digest;
use vouchsafe_store::{BootRecord, Standing};
use vouchsafe_wire::v1::attest::EvidencePayload;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{BootId, ImaPart, ImaPosition, InflateError, KnownLogs, SentLogs};

use super::progress::Whose;
use super::{KeptList, Resumed, progress};
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine, bank, compute};
use crate::golden::ValidImages;
use crate::nonce::sha256;

/// What came of a host's logs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The whole boot event log, with its digest; `None` when the host has none.
    pub(crate) event_log: Option<(Sha256Digest, Vec<u8>)>,
    /// The IMA list: where it goes on, and the part that follows; `None` when the host never sent any.
    pub(crate) ima: Option<NextPart>,
}

/// Where a list goes on, and the part that follows there; empty when nothing was sent of a list that is known.
pub(crate) type NextPart = (Resumed, Vec<u8>);

/// Why logs cannot be looked at. The evidence was not accepted, and its nonce is not spent.
#[derive(Debug, thiserror::Error)]
pub enum LogRejected {
    /// A log cannot be decompressed.
    #[error("the {log} cannot be read: {source}")]
    Compressed {
        /// Which.
        log: &'static str,
        /// Why.
        #[source]
        source: InflateError,
    },
    /// The event log is not the one that the evidence names.
    #[error("the event log that was sent has the digest {sent}, and the evidence names {named}")]
    EventLogDigest {
        /// What was sent.
        sent: Sha256Digest,
        /// What was named.
        named: Sha256Digest,
    },
    /// An event log was sent that the evidence does not name.
    #[error("an event log was sent, and the evidence names none")]
    EventLogUnnamed,
    /// The evidence names an event log that is not known here: it is to be sent whole.
    #[error("the event log {named} is not known; send it whole")]
    EventLogUnknown {
        /// Which.
        named: Sha256Digest,
    },
    /// The IMA list was sent from another place than where the engine is.
    #[error("the IMA list is known up to byte {known}, and was sent from byte {sent}")]
    Position {
        /// Where the engine is.
        known: u64,
        /// Where the part began.
        sent: u64,
    },
    /// The part is of another boot than the evidence.
    #[error("the part of the IMA list is of another boot than the evidence")]
    OtherBoot,
}

impl TrustEngine {
    /// The event log that the evidence names: what was sent, decompressed, or what is stored.
    pub(crate) async fn event_log(
        &self,
        named: Option<Sha256Digest>,
        sent: &SentLogs,
    ) -> Result<Result<Option<(Sha256Digest, Vec<u8>)>, LogRejected>, EngineError> {
        let (named, log) = match (named, &sent.event_log) {
            (None, None) => return Ok(Ok(None)),
            (None, Some(_)) => return Ok(Err(LogRejected::EventLogUnnamed)),
            (Some(named), log) => (named, log),
        };
        let Some(log) = log else {
            let stored = self.store().event_log(named).await?;
            return Ok(stored.map(|bytes| Some((named, bytes))).ok_or(LogRejected::EventLogUnknown { named }));
        };
        let bytes = match log.inflate(limits::EVENT_LOG) {
            Ok(bytes) => bytes,
            Err(source) => return Ok(Err(LogRejected::Compressed { log: "event log", source })),
        };
        let digest = sha256(&bytes);
        if digest != named {
            return Ok(Err(LogRejected::EventLogDigest { sent: digest, named }));
        }
        self.store().put_event_log(digest, &bytes, self.now()).await?;
        Ok(Ok(Some((digest, bytes))))
    }

    /// What a device need not send with its next evidence.
    pub(crate) async fn known_logs(&self, standing: &Standing) -> Result<KnownLogs, EngineError> {
        let Some(record) = self.store().boot(standing.device.id).await? else { return Ok(KnownLogs::default()) };
        let Some(boot) = progress::present_boot(&record) else {
            return Ok(KnownLogs { event_log: record.event_log, ima: None });
        };
        let (whose, record) = (whose(standing, &boot), Some(&record));
        let resumed = Resumed::of(record, whose, &self.valid_for(standing, self.now()).await?.judges());
        let mut offset = resumed.state.bytes();
        if let Some(before) = resumed.set_aside(record, whose)
            && self.store().ima_list_end(standing.device.id).await? == before.bytes()
        {
            offset = before.bytes();
        }
        let event_log = record.and_then(|record| record.event_log);
        Ok(KnownLogs { event_log, ima: Some(ImaPosition { boot, offset }) })
    }

    /// The present record of a device, and where the list of this boot goes on.
    ///
    /// When the list was judged by others than those who are to judge it now, what is kept of it is judged anew.
    pub(crate) async fn resume(
        &self,
        standing: &Standing,
        boot: &BootId,
        valid: &ValidImages,
    ) -> Result<(Option<BootRecord>, Resumed), EngineError> {
        let (device, judges, whose) = (standing.device.id, valid.judges(), whose(standing, boot));
        for _ in 0..MAX_ATTEMPTS {
            let record = self.store().boot(device).await?;
            let resumed = Resumed::of(record.as_ref(), whose, &judges);
            if resumed.set_aside(record.as_ref(), whose).is_none() {
                return Ok((record, resumed));
            }
            // One list after the other is in memory and on a core: when an image lapses, all its devices come here.
            let _one_at_a_time = self.judging_anew.lock().await;
            let list = match self.kept_list_of(device, record.as_ref()).await? {
                None => continue,
                Some(KeptList::Whole(list)) => list,
                Some(KeptList::None | KeptList::Lost(_)) => return Ok((record, resumed)),
            };
            let policy = valid.runtime();
            let judge = move || list.replay(ImaContext { policy: policy.as_ref(), boot_aggregate: None });
            let state = compute(judge).await?.ok_or(EngineError::KeptList { device })?;
            return Ok((record, Resumed::judged_anew(state, &judges)));
        }
        Err(EngineError::Contended)
    }

    /// What comes next of the IMA list, decompressed, and where it goes on; with the record that this was found by.
    ///
    /// At its first use a device sends on from where the engine said that it is while no image judged the list. When the
    /// list is not kept, that part is taken all the same, since nothing tells the device to begin anew before this evidence
    /// is accepted; what came before it counts as not judged, and the whole list is asked for with the next challenge.
    pub(crate) async fn receive_list(
        &self,
        standing: &Standing,
        payload: &EvidencePayload,
        sent: Option<&ImaPart>,
        valid: &ValidImages,
        is_first_use: bool,
    ) -> Result<Result<(Option<BootRecord>, Option<NextPart>), LogRejected>, EngineError> {
        let Some(boot) = &payload.boot else {
            let record = self.store().boot(standing.device.id).await?;
            return Ok(next_part(None, payload, sent).map(|next| (record, next)));
        };
        let (record, resumed) = self.resume(standing, boot, valid).await?;
        let next = match next_part(Some(resumed), payload, sent) {
            Err(LogRejected::Position { .. }) if is_first_use => {
                let unjudged = Resumed::of(record.as_ref(), whose(standing, boot), &BTreeSet::new());
                next_part(Some(unjudged), payload, sent)
            }
            next => next,
        };
        Ok(next.map(|next| (record, next)))
    }
}

fn whose<'a>(standing: &Standing, boot: &'a BootId) -> Whose<'a> {
    Whose { boot, enrolment: standing.device.keys.enrolment, bank: bank(standing.device.sha1_consent) }
}

/// The part of the IMA list that comes next; empty when nothing was sent of a list that is known.
fn next_part(
    resumed: Option<Resumed>,
    payload: &EvidencePayload,
    sent: Option<&ImaPart>,
) -> Result<Option<NextPart>, LogRejected> {
    let Some(ImaPart { from: ImaPosition { boot, offset }, log }) = sent else {
        let begun = |resumed: &Resumed| resumed.state.bytes() > 0;
        return Ok(resumed.filter(begun).map(|resumed| (resumed, Vec::new())));
    };
    let resumed = resumed.filter(|_| payload.boot.as_ref() == Some(boot)).ok_or(LogRejected::OtherBoot)?;
    at_position(&resumed.state, *offset)?;
    let inflated = log.inflate(limits::IMA_PART);
    let bytes = inflated.map_err(|source| LogRejected::Compressed { log: "IMA list", source })?;
    Ok(Some((resumed, bytes)))
}

fn at_position(state: &ImaState, sent: u64) -> Result<(), LogRejected> {
    let known = state.bytes();
    if known == sent { Ok(()) } else { Err(LogRejected::Position { known, sent }) }
}
