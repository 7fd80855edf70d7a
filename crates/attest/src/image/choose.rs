//! Which of several valid images a boot meets.

use std::sync::Arc;

use vouchsafe_model::{Finding, Severity};

use super::Compiled;

/// The image that evidence is judged by, and what it comes to.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The image.
    pub image: Arc<Compiled>,
    /// What the comparison with it found.
    pub findings: Vec<Finding>,
}

/// Finds the image that a boot meets, the newest first; if it meets none, the one that it comes closest to.
///
/// During an update old and new are valid at once. A device that meets neither is told what it lacks of the one that it
/// was most likely meant to be: that with the fewest failures, then the fewest warnings, then the newest. `None` when
/// there is no image at all.
pub fn choose(images: &[Arc<Compiled>], mut compare: impl FnMut(&Compiled) -> Vec<Finding>) -> Option<Choice> {
    let mut newest_first: Vec<&Arc<Compiled>> = images.iter().collect();
    newest_first.sort_by_key(|image| {
        let document = image.document();
        std::cmp::Reverse((document.created_at, document.id.clone()))
    });
    let mut closest: Option<((usize, usize), Choice)> = None;
    for image in newest_first {
        let findings = compare(image);
        let distance = (count(&findings, Severity::Failure), count(&findings, Severity::Warning));
        let choice = Choice { image: Arc::clone(image), findings };
        if distance.0 == 0 {
            return Some(choice);
        }
        if closest.as_ref().is_none_or(|(least, _)| distance < *least) {
            closest = Some((distance, choice));
        }
    }
    closest.map(|(_, choice)| choice)
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}
