//! What the tests of IMA lists share.

use vouchsafe_attest::forge::ImaList;
use vouchsafe_attest::ima::{Advance, ImaContext, ImaState, RuntimePolicy, RuntimeSection};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm};

pub(crate) const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

/// A policy from the text of a runtime section.
pub(crate) fn policy(section: &str) -> RuntimePolicy {
    RuntimePolicy::compile(&toml::from_str::<RuntimeSection>(section).unwrap()).unwrap()
}

/// `"path" = ["sha256:…"]`, for a file of this content.
pub(crate) fn line(path: &str, contents: &[&str]) -> String {
    let digest = |content: &&str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content.as_bytes());
        format!("\"sha256:{}\"", hex::encode(digest))
    };
    let digests: Vec<_> = contents.iter().map(digest).collect();
    format!("\"{path}\" = [{}]\n", digests.join(", "))
}

/// A list that begins with a boot aggregate.
pub(crate) fn list() -> ImaList {
    let mut list = ImaList::new();
    let digest = vouchsafe_attest::forge::digest_ng("sha256", &[7; 32]);
    list.entry("ima-ng", &[&digest, b"boot_aggregate\0"]);
    list
}

/// The whole list taken in at its quoted value, by this policy.
pub(crate) fn judged(list: &ImaList, policy: &RuntimePolicy) -> Advance {
    let context = ImaContext { policy: Some(policy), boot_aggregate: None };
    let advance = ImaState::new(SHA256).advance(list.bytes(), Some(&list.pcr10(SHA256)), context).unwrap();
    assert!(advance.is_quoted);
    assert_eq!((advance.consumed_bytes, advance.consumed_entries), (list.bytes().len(), list.entries()));
    advance
}

/// Codes with the entry of each.
pub(crate) fn told(findings: &[Finding]) -> Vec<(FindingCode, u64)> {
    findings.iter().map(|finding| (finding.code, finding.entry.unwrap_or_default())).collect()
}
