//! How much of the upstreams' limits is used, as far as their answers told this process.

use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip},
};
use crate::{metrics::LimitView, model::Upstream};

/// Above this part, an alert fires as well; a first pass that makes many grants may use as much for a minute.
const NEARLY_ALL: f64 = 0.8;

/// A line for each limit of an upstream.
pub(super) fn of(facts: &Facts<'_>, upstream: Upstream) -> Markup {
    let limits: Vec<&LimitView> =
        facts.rate_limits.iter().filter(|limit| limit.upstream == upstream).collect();
    html! {
        @if limits.is_empty() { p.quiet { "Rate limit: unknown, since no answer of the last 5 minutes told it to this process" } }
        @for limit in limits {
            p.quiet {
                "Rate limit of " (what(limit)) ": " (share(limit))
                @if limit.used.is_some_and(|used| used > NEARLY_ALL) { " " (chip(Tone::Warn, "nearly used up")) }
            }
        }
    }
}

fn what(limit: &LimitView) -> &'static str {
    match limit.kind {
        "on_calls" => "requests for on-calls",
        "requests" => "other requests",
        kind => kind,
    }
}

fn share(limit: &LimitView) -> String {
    let of =
        limit.last.limit.map_or_else(|| "of an unknown number".to_owned(), |limit| format!("of {limit}"));
    match limit.used {
        Some(used) if used > 0.0 && used < 0.01 => format!("less than 1 % {of} used in the last 5 minutes"),
        Some(used) => format!("{:.0} % {of} used at the busiest moment of the last 5 minutes", used * 100.0),
        None => format!("{} left {of}", limit.last.remaining),
    }
}
