//! The signed webhook events in the store.

use std::collections::BTreeSet;

use crate::store::{DeliveryRow, SharedStore};

/// A busy service has as many deliveries in minutes; a ping is the answer then.
const NEWEST: u32 = 500;

/// The newest signed events; none if the store does not tell.
pub(super) async fn newest(store: &SharedStore) -> Option<Vec<DeliveryRow>> {
    Some(store.delivery_page(NEWEST, None).await.ok()?.items)
}

/// The subscriptions that these events came from, as far as the events name them.
pub(super) fn subscriptions(events: &[DeliveryRow]) -> BTreeSet<String> {
    events.iter().filter_map(|event| event.subscription.clone()).collect()
}
