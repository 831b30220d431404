//! Who is told of changes, and whether they take it.

use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, time},
    notice::Notice,
};
use crate::notices::{EndpointView, Standing};

/// A card for each endpoint, beside the upstreams. The address is a secret but for its host.
pub(super) fn cards(facts: &Facts<'_>) -> Markup {
    html! { @for endpoint in &facts.endpoints { (card(facts, endpoint)) } }
}

fn card(facts: &Facts<'_>, endpoint: &EndpointView) -> Markup {
    let now = facts.now;
    let (tone, word) = match endpoint.standing() {
        Standing::New => (Tone::Quiet, "not begun"),
        Standing::UpToDate => (Tone::Good, "up to date"),
        Standing::Waits => (Tone::Info, "waiting"),
        Standing::Fails => (Tone::Bad, "fails"),
        Standing::Stopped => (Tone::Bad, "stopped"),
    };
    html! {
        li.card {
            h3 { "Notices to " (endpoint.name) " " (chip(tone, word)) }
            p {
                (endpoint.format) " at " code { (endpoint.host) } ", told of "
                @if endpoint.events.is_empty() { "everything" } @else { (endpoint.events.join(", ")) } "."
            }
            p {
                "Waiting: " (endpoint.waiting)
                @if let Some(oldest) = endpoint.oldest { ", the oldest since " (time(now, oldest)) }
                @if let Some(state) = &endpoint.state {
                    ". Last taken: "
                    @match state.sent { Some(at) => { (time(now, at)) " (" (distance(now, at)) ")" } None => { "none yet" } }
                    @if state.dropped > 0 { ". Given up after 24 h: " (state.dropped) }
                }
            }
            @if let Some((at, why)) = endpoint.state.as_ref().and_then(|state| state.failure.as_ref()) {
                p.quiet { "Last failure " (distance(now, *at)) ": " (why) }
            }
        }
    }
}

/// Endpoints that take nothing.
pub(super) fn notices(facts: &Facts<'_>) -> impl Iterator<Item = Notice> {
    facts.endpoints.iter().filter_map(|endpoint| {
        let why = endpoint.state.as_ref().and_then(|state| state.failure.as_ref());
        let why = html! { @if let Some((at, why)) = why { "Last failure " (distance(facts.now, *at)) ": " (why) ". " } };
        let waiting = usize::try_from(endpoint.waiting).unwrap_or_default();
        match endpoint.standing() {
            Standing::Stopped => Some(Notice {
                tone: Tone::Warn,
                title: format!("Nothing is told to {}", endpoint.name),
                text: html! {
                    "It said that it is gone (410), and is left alone until the next start. " (count(waiting, "notice")) " waiting. "
                    "Give it its new address, or take it out of the configuration."
                },
            }),
            Standing::Fails => Some(Notice {
                tone: Tone::Warn,
                title: format!("{} takes no notices", endpoint.name),
                text: html! { (why) (count(waiting, "notice")) " waiting. Each is tried again for 24 hours, and then given up." },
            }),
            Standing::New | Standing::UpToDate | Standing::Waits => None,
        }
    })
}
