//! An engine that has agreed with a device on PCRs and a nonce, for the tests of what it refuses.

use vouchsafe_attest::forge::{ForgedQuote, ForgedTpm, Statement};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, QuoteRejected, Sha1Bank};
use vouchsafe_model::{PcrBank, PcrIndex, PcrSelection};

pub(crate) const NONCE: &[u8; 32] = b"thirty-two bytes of a good nonce";

pub(crate) fn selection(text: &str) -> PcrSelection {
    text.parse().unwrap()
}

pub(crate) fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

/// What the engine agreed upon with the device.
pub(crate) struct Engine {
    pub(crate) ak: AttestationKey,
    pub(crate) selection: PcrSelection,
    pub(crate) sha1: Sha1Bank,
}

impl Engine {
    pub(crate) fn of(tpm: &ForgedTpm) -> Self {
        let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
        Self { ak, selection: selection("sha256:0-7,14"), sha1: Sha1Bank::Refused }
    }

    pub(crate) fn check(&self, quote: &ForgedQuote) -> Result<AuthenticQuote, QuoteRejected> {
        self.check_nonce(quote, NONCE)
    }

    pub(crate) fn check_nonce(&self, quote: &ForgedQuote, nonce: &[u8]) -> Result<AuthenticQuote, QuoteRejected> {
        QuoteCheck {
            ak: &self.ak,
            message: &quote.message,
            signature: &quote.signature,
            qualifying_data: nonce,
            selection: &self.selection,
            pcrs: &quote.pcrs,
            sha1: self.sha1,
        }
        .verify()
    }

    pub(crate) fn code(&self, quote: &ForgedQuote) -> &'static str {
        self.check(quote).map_or_else(|rejected| rejected.code(), |_| "authentic")
    }
}

/// A statement that the real AK signs, whatever it says: what a key that is not restricted could be made to do.
pub(crate) fn signed(tpm: &ForgedTpm, message: Vec<u8>, pcrs: PcrBank) -> ForgedQuote {
    ForgedQuote { signature: tpm.ak().sign(&message), message, pcrs }
}

/// An honest quote, changed before it was signed.
pub(crate) fn changed(change: impl FnOnce(&mut Statement)) -> (Engine, ForgedQuote) {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let pcrs = tpm.pcrs(&engine.selection);
    let mut statement = tpm.quote_statement(std::slice::from_ref(&pcrs), NONCE);
    change(&mut statement);
    (engine, signed(&tpm, statement.encode(), pcrs))
}
