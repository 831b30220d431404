//! The frame of every page, with its head, landmarks and policy, and the small pieces that all parts use.

use std::sync::LazyLock;

use axum::{
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, Render, html};
use sha2::{Digest, Sha256};

use crate::model::instant::to_second;

pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");

/// Part of the addresses of both, so that a browser may keep them until they change.
static STYLE_VERSION: LazyLock<String> = LazyLock::new(|| version(STYLE));
static SCRIPT_VERSION: LazyLock<String> = LazyLock::new(|| version(SCRIPT));

/// Nothing from elsewhere, nothing inline, no frames. The script may ask for the page again.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn version(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..6])
}

/// Where a page stands. All links are relative, so that they hold behind a proxy that puts a path before ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Beside the status page.
    Top,
    /// One step below.
    Below,
}

impl Place {
    /// The way from there to the status page.
    fn top(self) -> &'static str {
        match self {
            Self::Top => "./",
            Self::Below => "../",
        }
    }
}

/// A whole page.
pub(super) fn page(status: StatusCode, title: &str, place: Place, main: &Markup) -> Response {
    let top = place.top();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · oncall-grants" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href={ (top) "assets/page.css?v=" (*STYLE_VERSION) };
                script src={ (top) "assets/page.js?v=" (*SCRIPT_VERSION) } defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href=(top) { span.mark aria-hidden="true" {} "oncall-grants" }
                    nav aria-label="Sections" {
                        a href={ (top) "#access" } { "Access" }
                        a href={ (top) "#next" } { "Next" }
                        a href={ (top) "#findings" } { "To be mended" }
                        a href={ (top) "#rules" } { "Rules" }
                        a href={ (top) "#passes" } { "Passes" }
                        a href={ (top) "#events" } { "Events" }
                        a href={ (top) "#sync" } { "Sync" }
                    }
                    // Filled by the script: without it, all times are in UTC.
                    div #zones {}
                }
                main #main tabindex="-1" { (main) }
                footer {
                    p {
                        "oncall-grants " (env!("CARGO_PKG_VERSION")) " · times in UTC"
                        span.links {
                            " · " a href={ (top) "review" } { "access review" } " · " a href={ (top) "api/grants" } { "grants" } " · "
                            a href={ (top) "api/audit" } { "audit" } " · " a href={ (top) "openapi.json" } { "API" } " · "
                            a href={ (top) "metrics" } { "metrics" }
                        }
                    }
                }
            }
        }
    };
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not stricter: without an Origin, browsers' own forms would look like those of strangers.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    (status, headers, markup).into_response()
}

/// An instant, readable by people and by the script, which may show it in the reader's zone.
pub(super) fn time(now: DateTime<Utc>, at: DateTime<Utc>) -> Markup {
    let words =
        if now.date_naive() == at.date_naive() { at.format("%H:%M") } else { at.format("%a %-d %b, %H:%M") };
    html! { time datetime=(to_second(at)) { (words) " UTC" } }
}

/// An instant with its date, in UTC whatever the reader's zone is: for what is printed and kept.
pub(super) fn fixed_time(at: DateTime<Utc>) -> Markup {
    html! { time.fixed datetime=(to_second(at)) { (at.format("%Y-%m-%d %H:%M UTC")) } }
}

/// How long ago, or how far ahead, in the two largest units.
pub(super) fn distance(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let (ago, length) = if at <= now { (true, now - at) } else { (false, at - now) };
    let words = length_in_words(length);
    if words == "moments" {
        return if ago { "just now".to_owned() } else { "in a moment".to_owned() };
    }
    if ago { format!("{words} ago") } else { format!("in {words}") }
}

fn length_in_words(length: TimeDelta) -> String {
    let (days, hours, minutes) = (length.num_days(), length.num_hours(), length.num_minutes());
    match (days, hours, minutes) {
        (0, 0, 0) if length.num_seconds() < 5 => "moments".to_owned(),
        (0, 0, 0) => format!("{} s", length.num_seconds()),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) if minutes % 60 == 0 => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) if hours % 24 == 0 => format!("{days} d"),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

/// How good or bad something is, from the worst on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tone {
    Bad,
    Warn,
    Info,
    Good,
    /// Nothing to be said.
    Quiet,
}

/// As its class in the style sheet.
impl Render for Tone {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Good => "good",
            Self::Quiet => "quiet",
        });
    }
}

/// A word that also has a shape and a colour.
pub(super) fn chip(tone: Tone, word: &str) -> Markup {
    html! { span class={ "chip " (tone) } { (word) } }
}

/// Where the script offers to copy the address of the page, for whoever asks why, and to print it.
pub(super) fn tools() -> Markup {
    html! { p.tools data-tools="copy print" {} }
}

/// A query string.
pub(super) fn query_string(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The first of some names, and how many more there are.
pub(super) fn few(names: impl IntoIterator<Item = impl ToString>, at_most: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(at_most).map(|name| name.to_string()).collect();
    let (shown, more) = (shown.join(", "), names.count());
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// `1 grant`, `2 grants`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_two_units_at_most() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let words = |seconds| distance(now, now + TimeDelta::seconds(seconds));
        assert_eq!(words(0), "just now");
        assert_eq!(words(-50), "50 s ago");
        assert_eq!(words(60 * 61), "in 1 h 1 min");
        assert_eq!(words(86_400 + 7200), "in 1 d 2 h");
        assert_eq!(words(-7200), "2 h ago");
    }
}
