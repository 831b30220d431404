//! Who is told of changes, and whether they take it, as far as the configuration and the store tell. Nothing is sent.

use crate::{
    config::Endpoint,
    model::{Finding, FindingKind, instant::to_second},
    notices::{EndpointView, Standing, views},
    store::{EndpointState, SharedStore},
};

/// What the configuration says of each endpoint, for whoever does not ask the store.
pub(super) fn configured(endpoints: &[Endpoint]) -> impl Iterator<Item = Finding> {
    endpoints.iter().map(|endpoint| finding(&EndpointView::configured(endpoint)))
}

/// The same with what the store says of each.
pub(super) async fn findings(store: &SharedStore, endpoints: &[Endpoint]) -> Vec<Finding> {
    match views(store, endpoints).await {
        Ok(views) => views.iter().map(finding).collect(),
        Err(error) => {
            let message = format!("cannot be looked up in the store: {error}");
            vec![Finding::warning(FindingKind::Notices, "notices", message)]
        }
    }
}

fn finding(endpoint: &EndpointView) -> Finding {
    let EndpointView { name, format, host, events, state, waiting, oldest } = endpoint;
    let subject = format!("notices to {name:?}");
    let events = if events.is_empty() { "everything".to_owned() } else { events.join(", ") };
    let what = format!("{format} at {host}, told of {events}");
    let waiting = match oldest {
        Some(oldest) => format!("{waiting} waiting, the oldest since {}", to_second(*oldest)),
        None => "nothing is waiting".to_owned(),
    };
    let told = state.as_ref().map(|state| format!("; {waiting}{}", past(state))).unwrap_or_default();
    let message = format!("{what}{told}");
    match endpoint.standing() {
        Standing::New | Standing::UpToDate | Standing::Waits => {
            Finding::note(FindingKind::Notices, subject, message)
        }
        Standing::Fails => Finding::warning(FindingKind::Notices, subject, format!("takes none: {message}"))
            .mended_by("see what the last failure says; what waits is tried again"),
        Standing::Stopped => {
            let message =
                format!("said that it is gone (410), and gets none before the next start: {message}");
            Finding::warning(FindingKind::Notices, subject, message)
                .mended_by("give it its new address, or remove its [[notices]] table")
        }
    }
}

fn past(state: &EndpointState) -> String {
    let EndpointState { sent, failure, dropped, .. } = state;
    let sent = match sent {
        Some(at) => format!("; last taken at {}", to_second(*at)),
        None => "; none was taken yet".to_owned(),
    };
    let failed = failure.as_ref().map(|(at, why)| format!("; last failure at {}: {why}", to_second(*at)));
    let dropped = (*dropped > 0).then(|| format!("; {dropped} given up after 24 hours"));
    [Some(sent), failed, dropped].into_iter().flatten().collect()
}
