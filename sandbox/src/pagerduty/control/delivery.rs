//! Deliveries that people ask for.

use anyhow::Result;
use serde_json::{Value, json};

use crate::pagerduty::deliver;
use crate::pagerduty::state::Shared;
use crate::pagerduty::webhook::event::Event;

/// Delivers to the endpoint, once; tells the receiver's answer.
pub(super) async fn once(shared: &Shared, event: &Event) -> Result<Value> {
    let answer = deliver::once(shared, event).await?;
    Ok(json!({"event_id": event.id, "status": answer.status, "body": answer.body}))
}

/// The same beside a change, which has happened also if nobody listens: a failure is part of the answer.
pub(super) async fn report(shared: &Shared, event: &Event) -> Value {
    once(shared, event).await.unwrap_or_else(|error| json!({"error": format!("{error:#}")}))
}
