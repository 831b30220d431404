//! Draws the timeline: one lane per person and resource. Positions are attributes of SVG, so that the strict policy needs
//! no inline style. What a colour tells, a shape and words tell as well.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    access::{LANES, Shown},
    controls::{controls, legend},
    facts::Facts,
    layout::{Tone, chip, count, distance, query_string, time},
    person::{person, resource_page, why},
    query::{PageQuery, Show, cursor},
    timeline::{self, Bar, Kind, Lane, LaneState, Lanes, Span},
};
use crate::{
    model::{Names, instant::to_second},
    store::Access,
};

/// The lanes of those without a grant, and of rules without anyone, that are shown.
const LACKING: usize = 10;

/// The patterns that all lanes refer to.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns aria-hidden="true" width="0" height="0" {
            defs {
                pattern #doubt width="22" height="20" patternUnits="userSpaceOnUse" {
                    text x="3" y="9" { "?" }
                    text x="14" y="19" { "?" }
                }
                pattern #cross width="10" height="10" patternUnits="userSpaceOnUse" {
                    rect.cross-ground width="10" height="10" {}
                    path.cross-line d="M2 2 8 8 M8 2 2 8" {}
                }
                pattern #hatch width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch-ground width="8" height="8" {}
                    rect.hatch-line width="3" height="8" {}
                }
            }
        }
    }
}

/// The section "Who has access".
pub(super) fn access(facts: &Facts<'_>, span: &Span, query: &PageQuery, shown: &Shown) -> Markup {
    let now = facts.now;
    let gaps = match query.after() {
        None => timeline::gaps(span, &facts.snapshot, facts.rules, query.search()),
        Some(_) => Vec::new(),
    };
    html! {
        section #access aria-labelledby="access-title" {
            div.section-head {
                h2 #access-title { "Who has access" }
                p { (time(now, span.start)) " to " (time(now, span.end)) " · " a href="review" { "A list to print" } }
            }
            (controls(query, shown.show))
            (legend())
            (patterns())
            (nobody(span, &gaps, query))
            (lacking(span, &facts.names, &shown.lacking))
            @if shown.lanes.is_empty() { (nothing(query, shown.show)) }
            @for (resource, people) in &shown.lanes { (group(span, &facts.names, resource, people)) }
            (pages(query, shown))
        }
    }
}

/// What stands where no lane is.
fn nothing(query: &PageQuery, show: Show) -> Markup {
    let search = query.search();
    html! {
        p.empty {
            @if query.after().is_some() { "Nobody comes after those on the pages before." }
            @else if !search.is_empty() {
                "Nobody and nothing of this name has something in view."
                @if search.contains('@') {
                    " " a href={ "api/explain?" (query_string(&[("email", search)])) } { "Ask why" }
                    ": PagerDuty and strongDM are asked about this address."
                }
            }
            @else if show == Show::Now { "Nobody has access now." }
            @else { "Nobody has, or is about to get, access in this stretch of time." }
        }
    }
}

/// How many there are, and where the list goes on.
fn pages(query: &PageQuery, shown: &Shown) -> Markup {
    let lanes: usize = shown.lanes.values().map(Vec::len).sum();
    html! {
        @if shown.next.is_some() || query.after().is_some() {
            nav.pages aria-label="Pages of access" {
                span {
                    (count(lanes, "lane")) " of " (shown.total.accesses) " (" (shown.total.people) " people)"
                }
                @if query.after().is_some() { a href=(query.link("after", "", "access")) { "First page" } }
                @if let Some(next) = &shown.next {
                    a rel="next" href=(query.link("after", &cursor(next), "access")) { "Next " (LANES) }
                }
            }
        }
    }
}

/// The lanes of those who are on call without a grant, or wait.
pub(super) fn lacking(span: &Span, names: &Names, lanes: &[(Access, Lane)]) -> Markup {
    html! {
        @if !lanes.is_empty() {
            section.group {
                div.group-head {
                    h3 { "Without a grant of ours" }
                    p { (count(lanes.len(), "lane")) @if lanes.len() > LACKING { ", the first " (LACKING) " of them" } }
                }
                (axis(span))
                ol.lanes {
                    @for (access, lane) in lanes.iter().take(LACKING) {
                        (row(span, names, access, Called::PersonAndResource, lane))
                    }
                }
            }
        }
    }
}

/// The lanes of one resource.
pub(super) fn group(span: &Span, names: &Names, resource: &str, people: &[(String, Lane)]) -> Markup {
    html! {
        section.group {
            div.group-head {
                h3 { a href=(resource_page(resource)) { (resource) } }
                p { (count(people.len(), "lane")) }
            }
            (axis(span))
            ol.lanes { @for (email, lane) in people { (row(span, names, &access_of(resource, email), Called::Person, lane)) } }
        }
    }
}

/// All lanes of one person.
pub(super) fn of_person(span: &Span, names: &Names, lanes: &Lanes) -> Markup {
    let rows = lanes.iter().flat_map(|(resource, people)| people.iter().map(move |lane| (resource, lane)));
    html! {
        section.group {
            div.group-head { h3 { "Resources" } p { (count(lanes.len(), "lane")) } }
            (axis(span))
            ol.lanes {
                @for (resource, (email, lane)) in rows {
                    (row(span, names, &access_of(resource, email), Called::Resource, lane))
                }
            }
        }
    }
}

fn access_of(resource: &str, email: &str) -> Access {
    Access { resource: resource.to_owned(), email: email.to_owned() }
}

/// A lane for each rule that has nobody for a while.
fn nobody(span: &Span, gaps: &[(String, Vec<Bar>)], query: &PageQuery) -> Markup {
    html! {
        @if !gaps.is_empty() {
            section.group {
                div.group-head {
                    h3 { "Nobody on call" }
                    p { (count(gaps.len(), "rule")) }
                }
                (axis(span))
                ol.lanes {
                    @for (rule, bars) in gaps.iter().take(LACKING) {
                        @let now = bars.iter().any(|bar| bar.start <= span.now && bar.end.is_none_or(|end| end > span.now));
                        @let next = bars.iter().find(|bar| bar.start > span.now);
                        li.lane {
                            div.who {
                                a href="./#findings" { (rule) }
                                span.standing {
                                    @if now { (chip(Tone::Bad, "nobody")) " on call now" }
                                    @else if let Some(bar) = next { (chip(Tone::Warn, "nobody")) " " (distance(span.now, bar.start)) }
                                    @else { (chip(Tone::Quiet, "over")) }
                                }
                            }
                            ul.sr { @for bar in bars { li { (in_words(span.now, bar)) } } }
                            (track(span, bars, Some("./#findings")))
                        }
                    }
                }
                @if gaps.len() > LACKING {
                    p.after {
                        "And " (count(gaps.len() - LACKING, "more rule")) ": "
                        a href=(query.link("findings", "1", "findings")) { "all of them" } "."
                    }
                }
            }
        }
    }
}

fn pc(value: f64) -> String {
    format!("{value:.2}%")
}

pub(super) fn axis(span: &Span) -> Markup {
    html! { div.axis aria-hidden="true" { (scale(span)) } }
}

/// The labels of the grid.
pub(super) fn scale(span: &Span) -> Markup {
    html! {
        svg width="100%" height="22" {
            @for (number, tick) in span.ticks().iter().enumerate() {
                @let words = tick.at.format(if tick.midnight { "%a %-d" } else { "%H:%M" });
                @let class = if tick.midnight { "day" } else if number % 2 == 0 { "even" } else { "odd" };
                text class=(class) x=(pc(tick.x)) y="15" data-at=(to_second(tick.at)) data-form="%" { (words) }
            }
        }
    }
}

/// What a lane is called where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Called {
    /// Below its resource.
    Person,
    /// Below its person.
    Resource,
    /// Among those of several people and resources.
    PersonAndResource,
}

fn row(span: &Span, names: &Names, access: &Access, called: Called, lane: &Lane) -> Markup {
    let Access { resource, email } = access;
    let why = why(email, resource);
    html! {
        li.lane {
            div.who {
                a href=(why) {
                    @match called {
                        Called::Person => { (person(names, email)) span.sr { " on " (resource) ": why" } }
                        Called::Resource => { span.sr { (names.person_text(email)) " on " } (resource) span.sr { ": why" } }
                        Called::PersonAndResource => { (person(names, email)) " on " (resource) span.sr { ": why" } }
                    }
                }
                (lane_state(span.now, lane.state(span.now)))
            }
            ul.sr {
                @for bar in &lane.bars { li { (in_words(span.now, bar)) } }
            }
            (track(span, &lane.bars, Some(&why)))
            @if lane.more > 0 { p.after { "and " (count(lane.more, "more grant")) " in view" } }
        }
    }
}

/// The bars of a lane; `why` is where they lead.
pub(super) fn track(span: &Span, bars: &[Bar], why: Option<&str>) -> Markup {
    html! {
        svg.track aria-hidden="true" focusable="false" width="100%" height="40" {
            @for tick in span.ticks() {
                line class=(if tick.midnight { "grid day" } else { "grid" }) x1=(pc(tick.x)) x2=(pc(tick.x)) y1="0" y2="40" {}
            }
            @for bar in bars { (draw(span.now, bar, why)) }
            line.now x1=(pc(span.x(span.now))) x2=(pc(span.x(span.now))) y1="0" y2="40" {}
        }
    }
}

fn draw(now: DateTime<Utc>, bar: &Bar, why: Option<&str>) -> Markup {
    let Bar { kind, start, end, place } = bar;
    let (x, width) = (pc(place.x), pc(place.width));
    match kind {
        Kind::Shift => html! { rect.shift x=(x) width=(width) y="3" height="6" rx="3" {} },
        Kind::Unknown => html! {
            rect.unknown x=(x) width=(width) y="0" height="40" {}
        },
        kind => {
            let (words, at) = match kind {
                Kind::InForce => ("until %", *end),
                Kind::Held => ("❚❚ held until %", *end),
                Kind::Deferred => ("… waits, from %", Some(*start)),
                Kind::Gap if *start <= now && end.is_some() => ("✕ until %", *end),
                Kind::Gap => ("✕ from %", Some(*start)),
                _ => ("from %", Some(*start)),
            };
            let at = at.unwrap_or(*start);
            let label = words.replace('%', &moment(now, at));
            let drawn = html! {
                svg x=(x) width=(width) y="13" height="23" {
                    rect class=(kind.class()) x="0.75" y="0.75" width="100%" height="21.5" rx="4" {}
                    text class={ (kind.class()) (room(place.width, &label)) } x="8" y="15.5" data-at=(to_second(at)) data-form=(words) {
                        (label)
                    }
                }
            };
            match why {
                Some(why) => html! { a href=(why) tabindex="-1" { (drawn) } },
                None => drawn,
            }
        }
    }
}

/// Whether a bar has room for its label: half a time would be misread. Its lane tells the same beside it.
fn room(percent: f64, label: &str) -> &'static str {
    /// A letter, and what is beside the label, in pixels.
    const LETTER: f64 = 6.8;
    const MARGIN: f64 = 14.0;
    /// The timeline on a small screen and on a phone, in pixels.
    const SCREEN: f64 = 720.0;
    const PHONE: f64 = 290.0;
    let letters = u32::try_from(label.chars().count()).unwrap_or(u32::MAX);
    let needed = f64::from(letters) * LETTER + MARGIN;
    if percent / 100.0 * SCREEN < needed {
        " narrow"
    } else if percent / 100.0 * PHONE < needed {
        " slim"
    } else {
        ""
    }
}

/// An instant on a bar, as short as it can be understood.
fn moment(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let form = match (at.date_naive() - now.date_naive()).num_days() {
        0 => "%H:%M",
        -5..=5 => "%a %H:%M",
        _ => "%-d %b %H:%M",
    };
    at.format(form).to_string()
}

fn in_words(now: DateTime<Utc>, bar: &Bar) -> Markup {
    let Bar { kind, start, end, place: _ } = bar;
    let what = match kind {
        Kind::Shift => "on call",
        Kind::Unknown => "unknown",
        Kind::Gap => "nobody on call",
        Kind::InForce | Kind::Coming => "access",
        Kind::Held => "held access, should be revoked",
        Kind::Deferred => "access deferred",
    };
    html! {
        (what) " from " (time(now, *start))
        @match end { Some(end) => { " to " (time(now, *end)) } None => { ", without a known end" } }
    }
}

/// The state of a lane, in a chip and a few words.
pub(super) fn lane_state(now: DateTime<Utc>, state: LaneState) -> Markup {
    html! {
        span.standing {
            @match state {
                LaneState::InForce(until) => { (chip(Tone::Good, "access")) " ends " (distance(now, until)) }
                LaneState::Coming(from) => { (chip(Tone::Info, "next")) " " (distance(now, from)) }
                LaneState::Held(until) => { (chip(Tone::Warn, "held")) " ends " (distance(now, until)) }
                LaneState::Deferred => { (chip(Tone::Warn, "deferred")) " waits for another grant" }
                LaneState::Missing => { (chip(Tone::Bad, "no grant")) " on call now" }
                LaneState::Unsure(until) => { (chip(Tone::Warn, "access, unsure")) " ends " (distance(now, until)) }
                LaneState::Unknown => { (chip(Tone::Warn, "unknown")) }
                LaneState::Past => { (chip(Tone::Quiet, "over")) }
            }
        }
    }
}
