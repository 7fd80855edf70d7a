//! What an image would make of today's devices.

use vouchsafe_wire::v1::operate::DryRun;

use super::{clean, line};

/// A line for each device, those that would fail first, each with its reasons.
pub(crate) fn view(run: &DryRun) -> String {
    let mut text = String::new();
    let fail = run.devices.iter().filter(|device| device.fails).count();
    line(&mut text, format_args!("{}: {fail} of {} devices would fail", run.image, run.devices.len()));
    for device in &run.devices {
        let outcome = if device.fails { "fails" } else { "passes" };
        line(&mut text, format_args!("\n{outcome}  {}  {}", device.device, clean(&device.hostname)));
        for finding in &device.findings {
            line(&mut text, format_args!("    {}", clean(&finding.to_string())));
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
    use vouchsafe_wire::v1::operate::DryRunDevice;

    #[test]
    fn each_device_is_told_with_its_reasons() {
        let finding = Finding::new(FindingCode::CommandLineMismatch).at_event(17).with("quiet", "quiet init=/bin/sh");
        let device = |hostname: &str, fails: bool, findings| DryRunDevice {
            device: "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse().unwrap(),
            hostname: hostname.to_owned(),
            image: None,
            fails,
            findings,
        };
        let run = DryRun {
            image: "web@2".parse().unwrap(),
            devices: vec![device("one\u{1b}[2J", true, vec![finding]), device("two", false, Vec::new())],
            unseen: Vec::new(),
        };
        insta::assert_snapshot!(view(&run));
    }
}
