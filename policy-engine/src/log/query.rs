//! Decisions that were logged, by device, user, resource, outcome and time.

use std::ops::ControlFlow;

use serde_json::Value;
use vouchsafe_journal::{ReadError, Record, Scan, View};
use vouchsafe_model::{DeviceId, Outcome, Timestamp};

/// How much of the log one page looks through, in bytes. A page that found less than was asked for says where to go on.
pub const MAX_SCAN_BYTES: u64 = 32 * 1024 * 1024;
/// The most bytes of one page; the last row may go beyond.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Which decisions are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Only those about requests from this device.
    pub device: Option<DeviceId>,
    /// Only those about requests of this user.
    pub user: Option<String>,
    /// Only those about this resource, or, when it ends in `*`, about those that begin so.
    pub resource: Option<String>,
    /// Only those that came out so.
    pub outcome: Option<Outcome>,
    /// Only those made at this instant or later.
    pub since: Option<Timestamp>,
    /// Only those made before this instant.
    pub until: Option<Timestamp>,
}

/// Which end is shown first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// Some decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionPage {
    /// Each a [`RecordedDecision`](vouchsafe_wire::v1::decide::RecordedDecision) as JSON.
    pub rows: Vec<String>,
    /// Where to go on, if there may be more.
    pub next: Option<u64>,
}

/// A filter made ready: what a line must have in it to be worth reading, and what must then be so.
struct Prepared<'a> {
    filter: &'a DecisionFilter,
    device: Option<String>,
    texts: Vec<String>,
}

impl<'a> Prepared<'a> {
    fn new(filter: &'a DecisionFilter) -> Self {
        let device = filter.device.map(|device| device.to_string());
        let mut texts: Vec<String> = device.iter().cloned().collect();
        texts.extend(filter.user.as_deref().map(inside_json));
        texts.extend(filter.resource.as_deref().map(|resource| inside_json(resource.trim_end_matches('*'))));
        texts.extend(filter.outcome.map(|outcome| format!("\"outcome\":\"{}\"", outcome.name())));
        Self { filter, device, texts }
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        let Some(body) = record.body() else { return self.texts.is_empty() };
        // Most lines are told by this alone.
        if !self.texts.iter().all(|text| body.contains(text.as_str())) {
            return false;
        }
        self.texts.is_empty() || serde_json::from_str(body).is_ok_and(|entry| self.wants_entry(&entry))
    }

    fn wants_entry(&self, entry: &Value) -> bool {
        let text = |pointer| entry.pointer(pointer).and_then(Value::as_str);
        let is = |wanted: Option<&str>, pointer| wanted.is_none_or(|wanted| text(pointer) == Some(wanted));
        let resource = self.filter.resource.as_deref();
        let is_resource = match resource.and_then(|resource| resource.strip_suffix('*')) {
            Some(prefix) => text("/question/request/resource").is_some_and(|resource| resource.starts_with(prefix)),
            None => is(resource, "/question/request/resource"),
        };
        is_resource
            && is(self.device.as_deref(), "/decision/device")
            && is(self.filter.user.as_deref(), "/question/user/id")
            && is(self.filter.outcome.map(Outcome::name), "/decision/outcome")
    }
}

/// A text as it stands between quotation marks in JSON.
fn inside_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// A decision as it is shown: [`RecordedDecision`](vouchsafe_wire::v1::decide::RecordedDecision) as JSON.
pub fn row(record: &Record<'_>) -> String {
    let Record { number, id, at, .. } = record;
    let entry = record.body().unwrap_or("null");
    format!(r#"{{"number":{number},"id":"{id}","decided_at":"{at}","entry":{entry}}}"#)
}

/// Some decisions of a log, at most so many, from a cursor on.
///
/// # Errors
/// When the log cannot be read.
pub fn page(
    view: &View,
    filter: &DecisionFilter,
    order: Order,
    cursor: Option<u64>,
    limit: usize,
) -> Result<DecisionPage, ReadError> {
    let prepared = Prepared::new(filter);
    let scan = Scan { cursor, since: filter.since, until: filter.until, max_bytes: MAX_SCAN_BYTES };
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let visit = |record: Record<'_>| {
        if prepared.wants(&record) {
            let row = row(&record);
            bytes += row.len();
            rows.push(row);
        }
        let is_full = rows.len() >= limit || bytes >= MAX_PAGE_BYTES;
        if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let next = match order {
        Order::NewestFirst => view.newest_first(&scan, visit)?,
        Order::OldestFirst => Some(view.oldest_first(&scan, visit)?).filter(|next| *next < view.entries().end),
    };
    Ok(DecisionPage { rows, next })
}
