//! Tells those who wait that what is known has changed.
//!
//! What is told is that something changed, never what: whoever hears it looks for themselves. So nothing is queued, a waiter
//! that lags sees the last of several changes, and memory is bounded by the number of those who wait.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;
use vouchsafe_model::DeviceId;

/// Those who wait for changes. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Waiters>);

#[derive(Debug)]
struct Waiters {
    /// Devices that somebody waits for, and no others.
    devices: DashMap<DeviceId, watch::Sender<()>>,
    all: watch::Sender<()>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { devices: DashMap::new(), all: watch::Sender::new(()) }
    }
}

/// Somebody who waits for changes. None that was told after it was made is missed.
#[derive(Debug)]
pub struct Subscription {
    changes: Changes,
    device: Option<(DeviceId, watch::Receiver<()>)>,
    all: watch::Receiver<()>,
}

impl Changes {
    /// Waits for changes of a device, if one is named, and for those that concern all.
    pub fn subscribe(&self, device: Option<DeviceId>) -> Subscription {
        let of_device = |id| {
            // Held until there is a receiver, so that nobody removes the sender meanwhile.
            let sender = self.0.devices.entry(id).or_insert_with(|| watch::Sender::new(()));
            (id, sender.subscribe())
        };
        Subscription { changes: self.clone(), device: device.map(of_device), all: self.0.all.subscribe() }
    }

    /// How many devices somebody waits for.
    pub fn len(&self) -> usize {
        self.0.devices.len()
    }

    /// Whether nobody waits for a device.
    pub fn is_empty(&self) -> bool {
        self.0.devices.is_empty()
    }

    /// Tells those who wait for a device.
    pub(crate) fn tell(&self, device: &DeviceId) {
        if let Some(waiting) = self.0.devices.get(device) {
            waiting.send_replace(());
        }
    }

    /// Tells everybody: all records are others, or the policy is.
    pub(crate) fn tell_all(&self) {
        self.0.all.send_replace(());
    }
}

impl Subscription {
    /// Waits until something was told since the last time.
    pub async fn changed(&mut self) {
        let Self { changes: _, device, all } = self;
        // No sender is dropped while there is a receiver of it, and `changes` has that of all.
        let of_device = async {
            match device {
                Some((_, receiver)) => drop(receiver.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = of_device => {}
            _ = all.changed() => {}
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((id, receiver)) = self.device.take() {
            drop(receiver);
            self.changes.0.devices.remove_if(&id, |_, sender| sender.receiver_count() == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use vouchsafe_model::Sha256Digest;

    fn device(number: u8) -> DeviceId {
        DeviceId::from_ek_digest(&Sha256Digest::new([number; 32]))
    }

    fn is_told(subscription: &mut Subscription) -> bool {
        subscription.changed().now_or_never().is_some()
    }

    #[test]
    fn a_waiter_is_told_of_its_device_and_of_what_concerns_all() {
        let changes = Changes::default();
        let mut one = changes.subscribe(Some(device(1)));
        let mut nobody = changes.subscribe(None);
        assert!(!is_told(&mut one));
        changes.tell(&device(2));
        assert!(!is_told(&mut one));
        changes.tell(&device(1));
        assert!(is_told(&mut one) && !is_told(&mut one) && !is_told(&mut nobody));
        changes.tell_all();
        assert!(is_told(&mut one) && is_told(&mut nobody));
    }

    #[test]
    fn one_who_lags_is_told_once_of_many_changes() {
        let changes = Changes::default();
        let mut one = changes.subscribe(Some(device(1)));
        (0..100_000).for_each(|_| changes.tell(&device(1)));
        assert!(is_told(&mut one) && !is_told(&mut one));
    }

    #[test]
    fn devices_that_nobody_waits_for_take_no_memory() {
        let changes = Changes::default();
        changes.tell(&device(1));
        assert!(changes.is_empty());
        let (one, other) = (changes.subscribe(Some(device(1))), changes.subscribe(Some(device(1))));
        assert_eq!(changes.len(), 1);
        drop(one);
        assert_eq!(changes.len(), 1);
        drop(other);
        assert!(changes.is_empty());
    }
}
