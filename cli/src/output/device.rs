//! Devices.

use vouchsafe_model::{Finding, Timestamp, Verdict};
use vouchsafe_wire::v1::operate::{DeviceSummary, DeviceView};

use super::table::{Columns, Facts};
use super::{clean, instant, line, or_dash};

/// The devices as a table: all there are, or those that were asked for.
pub(crate) fn list(devices: &[DeviceSummary], is_filtered: bool, now: Timestamp) -> String {
    match (devices, is_filtered) {
        ([], true) => return "There is no such device.\n".to_owned(),
        ([], false) => {
            return "No device has enrolled yet. Let one in: vouchsafe token create --out join.json\n".to_owned();
        }
        _ => {}
    }
    let mut columns =
        Columns::new(["DEVICE", "HOSTNAME", "STATE", "SCORE", "VERDICT", "SEEN", "IMAGE", "ENDORSEMENT"]).right(3);
    for device in devices {
        columns.row([
            device.id.to_string(),
            if device.hostname.is_empty() { "-".to_owned() } else { device.hostname.clone() },
            device.state.to_string(),
            device.score.to_string(),
            or_dash(device.verdict.as_ref().map(Verdict::status)),
            or_dash(device.verdict.as_ref().map(|verdict| instant::distance(verdict.appraised_at(), now))),
            or_dash(device.image.as_ref()),
            device.endorsement.to_string(),
        ]);
    }
    columns.text("")
}

/// All that is known of a device.
pub(crate) fn view(device: &DeviceView, now: Timestamp) -> String {
    let summary = &device.summary;
    let mut text = Facts::default()
        .with("device", summary.id)
        .with("state", state(device))
        .with("score", format!("{} of 100 (vouchsafe device trust says why)", summary.score))
        .with("image", summary.image.as_ref().map_or("none".to_owned(), ToString::to_string))
        .with("endorsement", endorsement(device))
        .with("enrolled", instant::with_distance(device.enrolled_at, now))
        .with("certificate until", instant::with_distance(device.certificate_expires_at, now))
        .with("EK (SHA-256)", device.ek_digest)
        .text();
    text.push_str("\nWhat it says of itself, unproven:\n");
    text.push_str(&claims(device));
    text.push('\n');
    text.push_str(&match &summary.verdict {
        Some(verdict) => self::verdict(verdict, now),
        None => "It has not vouched for itself yet.\n".to_owned(),
    });
    text
}

fn state(device: &DeviceView) -> String {
    match &device.revocation_reason {
        Some(reason) => format!("{}: {reason}", device.summary.state),
        None => device.summary.state.to_string(),
    }
}

fn endorsement(device: &DeviceView) -> String {
    use vouchsafe_model::EndorsementGrade;
    let meaning = match device.summary.endorsement {
        EndorsementGrade::None => "nobody vouches for its TPM",
        EndorsementGrade::Pinned => "an operator named its EK",
        EndorsementGrade::Vendor => "the maker of its TPM vouches for it",
    };
    format!("{} ({meaning})", device.summary.endorsement)
}

fn claims(device: &DeviceView) -> String {
    let facts = &device.facts;
    let claimed = [
        ("  hostname", &facts.hostname),
        ("  system", &facts.os),
        ("  kernel", &facts.kernel),
        ("  architecture", &facts.architecture),
        ("  TPM", &facts.tpm_manufacturer),
        ("  agent", &facts.agent_version),
    ];
    claimed
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(Facts::default(), |facts, (name, value)| facts.with(name, value))
        .text()
}

/// What the last evidence came to, with what was found and what to do about it.
fn verdict(verdict: &Verdict, now: Timestamp) -> String {
    let mut text = Facts::default()
        .with("verdict", verdict.status())
        .with("appraised", instant::with_distance(verdict.appraised_at(), now))
        .with("quoted by", instant::with_distance(verdict.quoted_at(), now))
        .with("compared with", verdict.image().map_or("no image".to_owned(), ToString::to_string))
        .text();
    if verdict.findings().is_empty() {
        text.push_str("findings       none\n");
        return text;
    }
    text.push_str("findings:\n");
    for finding in verdict.findings() {
        text.push_str(&self::finding(finding));
    }
    text
}

fn finding(finding: &Finding) -> String {
    use vouchsafe_model::finding::Severity;
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Failure => "failure",
    };
    let place = match (finding.bank, finding.pcr) {
        (Some(bank), Some(pcr)) => format!(" PCR {pcr} ({bank})"),
        (None, Some(pcr)) => format!(" PCR {pcr}"),
        _ => String::new(),
    };
    let mut text = format!("  {severity}: {}{place}\n", finding.code);
    for (name, value) in [("expected", &finding.expected), ("found", &finding.found)] {
        if let Some(value) = value {
            line(&mut text, format_args!("    {name:8}  {}", clean(value)));
        }
    }
    line(&mut text, format_args!("    advice    {}", clean(&finding.advice)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_list_shows_score_and_verdict() {
        insta::assert_snapshot!(list(&samples::devices(), false, samples::now()));
    }

    #[test]
    fn a_device_that_was_tampered_with_names_its_pcrs() {
        insta::assert_snapshot!(view(&samples::tampered_device(), samples::now()));
    }

    #[test]
    fn a_device_that_never_attested_and_is_revoked_says_so() {
        let text = view(&samples::revoked_device(), samples::now());
        assert!(text.contains("state              revoked: stolen, ticket 4711\n"), "{text}");
        assert!(text.ends_with("It has not vouched for itself yet.\n"), "{text}");
    }
}
