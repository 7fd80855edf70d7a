//! What tests ask of a grading, and how they say what they expect.

use vouchsafe_attest::endorsement::{
    ChainFault, ChainNote, Endorsement, EndorsementClaim, EndorsementRejected, TrustAnchors, grade,
};
use vouchsafe_model::{EndorsementGrade, Timestamp};

use crate::certificates::{Ca, Ek, anchors, now};

pub(crate) fn graded(
    ek: &Ek,
    certificate: &[u8],
    presented: &[Vec<u8>],
    anchors: &TrustAnchors,
) -> Result<Endorsement, EndorsementRejected> {
    graded_at(ek, certificate, presented, anchors, now())
}

/// With a root and nothing else.
pub(crate) fn graded_under(ek: &Ek, certificate: &[u8], root: &Ca) -> Result<Endorsement, EndorsementRejected> {
    graded(ek, certificate, &[], &anchors(&[&root.der], &[]))
}

pub(crate) fn graded_at(
    ek: &Ek,
    certificate: &[u8],
    presented: &[Vec<u8>],
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Endorsement, EndorsementRejected> {
    let claim = EndorsementClaim {
        ek_public: &ek.area,
        ek_certificate: Some(certificate),
        extra_intermediates: presented,
        pinned: None,
    };
    grade(claim, anchors, now)
}

#[track_caller]
pub(crate) fn assert_vendor(endorsement: Result<Endorsement, EndorsementRejected>, notes: &[ChainNote]) {
    let endorsement = endorsement.unwrap();
    assert_eq!((endorsement.grade, endorsement.notes.as_slice()), (EndorsementGrade::Vendor, notes));
    assert_eq!(endorsement.manufacturer.as_deref(), Some("ACME"));
}

#[track_caller]
pub(crate) fn assert_unendorsed(endorsement: Result<Endorsement, EndorsementRejected>, note: ChainNote) {
    let endorsement = endorsement.unwrap();
    assert_eq!((endorsement.grade, endorsement.notes), (EndorsementGrade::None, vec![note]));
    assert_eq!((endorsement.manufacturer, endorsement.root), (None, None), "anyone could have written them");
}

#[track_caller]
pub(crate) fn assert_fault(endorsement: &Result<Endorsement, EndorsementRejected>, fault: ChainFault) {
    assert_eq!(endorsement, &Err(EndorsementRejected::Chain(fault)));
}

#[track_caller]
pub(crate) fn assert_vendor_under(root: &Ca, ek: &Ek, certificate: &[u8], notes: &[ChainNote]) {
    assert_vendor(graded_under(ek, certificate, root), notes);
}

pub(crate) fn name(common_name: &str) -> String {
    format!("O=Acme TPM, CN={common_name}")
}

pub(crate) const NOBODY: &str = "(empty name)";

/// A root and `depth` intermediates below it.
pub(crate) fn hierarchy(depth: usize) -> Vec<Ca> {
    let mut chain = vec![Ca::root("Root")];
    for level in 1..=depth {
        let next = chain.last().unwrap().issue(&format!("Intermediate {level}"));
        chain.push(next);
    }
    chain
}

pub(crate) fn ders(cas: &[Ca]) -> Vec<Vec<u8>> {
    cas.iter().map(|ca| ca.der.clone()).collect()
}
