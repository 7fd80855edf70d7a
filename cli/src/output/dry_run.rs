//! What an image would make of today's devices.

use vouchsafe_wire::v1::operate::DryRun;

use super::{clean, line};

/// A line for each device, those that would fail first, each with its reasons.
pub(crate) fn view(run: &DryRun) -> String {
    let mut text = String::new();
    let fail = run.devices.iter().filter(|device| device.fails).count();
    line(&mut text, format_args!("{}: {fail} of {} devices would fail", run.image, run.devices.len()));
    let open = run.devices.iter().filter(|device| device.runtime.why_not().is_some()).count();
    if open > 0 {
        line(&mut text, format_args!("What runs could not be judged of {open} of them."));
    }
    for device in &run.devices {
        let outcome = match device.runtime.why_not() {
            _ if device.fails => "fails",
            Some(_) => "undecided",
            None => "passes",
        };
        line(&mut text, format_args!("\n{outcome}  {}  {}", device.device, clean(&device.hostname)));
        for finding in &device.findings {
            line(&mut text, format_args!("    {}", clean(&finding.to_string())));
        }
        if let Some(why) = device.runtime.why_not() {
            line(&mut text, format_args!("    runtime not judged: {why}"));
        }
    }
    for device in &run.unseen {
        line(&mut text, format_args!("\nunseen  {device}  has not vouched for itself yet"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::{Finding, FindingCode};
    use vouchsafe_wire::v1::operate::{DryRunDevice, Judged};

    #[test]
    fn each_device_is_told_with_its_reasons() {
        let finding = Finding::new(FindingCode::CommandLineMismatch).at_event(17).with("quiet", "quiet init=/bin/sh");
        let device = |hostname: &str, fails: bool, runtime, findings| DryRunDevice {
            device: "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse().unwrap(),
            hostname: hostname.to_owned(),
            image: None,
            fails,
            boot: Judged::Judged,
            runtime,
            findings,
        };
        let run = DryRun {
            image: "web@2".parse().unwrap(),
            devices: vec![
                device("one\u{1b}[2J", true, Judged::Judged, vec![finding]),
                device("two", false, Judged::NotAsked, Vec::new()),
                device("three", false, Judged::ListTooLong, Vec::new()),
            ],
            unseen: vec!["abcdabcdabcdabcdabcdabcdabcdabcd".parse().unwrap()],
            next: None,
        };
        insta::assert_snapshot!(view(&run));
    }
}
