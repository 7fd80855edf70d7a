//! From the trust engine to the policy engine: what is known of devices.

use std::sync::Arc;

use vouchsafe_policy_engine::RecordTable;
use vouchsafe_trust_engine::RecordSink;
use vouchsafe_wire::v1::record::RecordChange;

/// Hands changes on in the same process: they are visible when the call returns.
pub(super) struct Plug(pub(super) Arc<RecordTable>);

impl RecordSink for Plug {
    fn publish(&self, change: RecordChange) {
        self.0.apply(change);
    }
}
