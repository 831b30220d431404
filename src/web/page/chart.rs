//! Draws the timeline: one lane per person and resource. Positions are attributes of SVG, so that the strict policy needs
//! no inline style. What a colour tells, a shape and words tell as well.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{Tone, chip, count, distance, query_string, time},
    query::PageQuery,
    timeline::{self, Bar, Kind, Lane, LaneState, Lanes, Span},
};

/// The lanes of one resource that are shown at once; the rest is a click away.
const LANES_AT_ONCE: usize = 25;

/// The patterns that all lanes refer to.
fn patterns() -> Markup {
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
pub(super) fn access(facts: &Facts<'_>, span: &Span, query: &PageQuery, lanes: &Lanes) -> Markup {
    let now = facts.now;
    let gaps = timeline::gaps(span, &facts.snapshot, facts.rules, query.search());
    let in_view: usize = lanes.values().map(Vec::len).sum();
    html! {
        section #access aria-labelledby="access-title" {
            div.section-head {
                h2 #access-title { "Who has access" }
                p { (time(now, span.start)) " to " (time(now, span.end)) }
            }
            (controls(query))
            (legend())
            (patterns())
            (nobody(span, &gaps))
            @if in_view == 0 {
                p.empty {
                    @if query.search().is_empty() { "Nobody has, or is about to get, access in this stretch of time." }
                    @else { "Nobody and nothing of this name has something in view." }
                }
            }
            @for (resource, people) in lanes { (group(span, resource, people)) }
        }
    }
}

/// The lanes of one resource.
fn group(span: &Span, resource: &str, people: &[(String, Lane)]) -> Markup {
    let (shown, more) = people.split_at(people.len().min(LANES_AT_ONCE));
    html! {
        section.group {
            div.group-head {
                h3 { (resource) }
                p { (count(people.len(), "lane")) }
            }
            (axis(span))
            ol.lanes { @for (email, lane) in shown { (row(span, resource, email, lane)) } }
            @if !more.is_empty() {
                details.more #{ "more-" (slug(resource)) } {
                    summary { (more.len()) " more on " (resource) }
                    ol.lanes { @for (email, lane) in more { (row(span, resource, email, lane)) } }
                }
            }
        }
    }
}

/// A lane for each rule that has nobody for a while.
fn nobody(span: &Span, gaps: &[(String, Vec<Bar>)]) -> Markup {
    html! {
        @if !gaps.is_empty() {
            section.group {
                div.group-head {
                    h3 { "Nobody on call" }
                    p { (count(gaps.len(), "rule")) }
                }
                (axis(span))
                ol.lanes {
                    @for (rule, bars) in gaps {
                        @let now = bars.iter().any(|bar| bar.start <= span.now && bar.end.is_none_or(|end| end > span.now));
                        @let next = bars.iter().find(|bar| bar.start > span.now);
                        li.lane {
                            div.who {
                                a href="/#findings" { (rule) }
                                span.standing {
                                    @if now { (chip(Tone::Bad, "nobody")) " on call now" }
                                    @else if let Some(bar) = next { (chip(Tone::Warn, "nobody")) " " (distance(span.now, bar.start)) }
                                    @else { (chip(Tone::Quiet, "over")) }
                                }
                            }
                            ul.sr { @for bar in bars { li { (in_words(span.now, bar)) } } }
                            (track(span, bars, "/#findings"))
                        }
                    }
                }
            }
        }
    }
}

fn controls(query: &PageQuery) -> Markup {
    html! {
        form.controls method="get" action="/" role="search" {
            fieldset {
                legend { "Stretch of time" }
                @for (value, words) in PageQuery::RANGES {
                    label {
                        input type="radio" name="range" value=(value) checked[query.range() == value];
                        span { (words) }
                    }
                }
            }
            label.find {
                span { "Person or resource" }
                input type="search" name="q" value=(query.search()) maxlength="100" autocomplete="off";
            }
            button type="submit" { "Show" }
        }
    }
}

fn legend() -> Markup {
    let kinds = [
        (Kind::Shift, "on call"),
        (Kind::InForce, "access now"),
        (Kind::Coming, "access to come"),
        (Kind::Held, "held: should go"),
        (Kind::Deferred, "deferred: waits"),
        (Kind::Gap, "nobody on call"),
        (Kind::Unknown, "unknown"),
    ];
    html! {
        ul.legend aria-label="What the bars mean" {
            @for (kind, words) in kinds {
                li {
                    svg aria-hidden="true" width="30" height="16" { (swatch(kind)) }
                    (words)
                }
            }
        }
    }
}

fn swatch(kind: Kind) -> Markup {
    match kind {
        Kind::Shift => html! { rect.shift x="0" y="5" width="30" height="6" rx="3" {} },
        Kind::Unknown => html! { text.doubt x="5" y="12" { "? ?" } },
        kind => html! { rect class=(class(kind)) x="1" y="1" width="28" height="14" rx="4" {} },
    }
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Shift => "shift",
        Kind::Unknown => "unknown",
        Kind::Gap => "gap",
        Kind::InForce => "in-force",
        Kind::Coming => "coming",
        Kind::Held => "held",
        Kind::Deferred => "deferred",
    }
}

fn pc(value: f64) -> String {
    format!("{value:.2}%")
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn axis(span: &Span) -> Markup {
    html! {
        div.axis aria-hidden="true" {
            svg width="100%" height="22" {
                @for (number, tick) in span.ticks().iter().enumerate() {
                    @let words = tick.at.format(if tick.midnight { "%a %-d" } else { "%H:%M" });
                    @let class = if tick.midnight { "day" } else if number % 2 == 0 { "even" } else { "odd" };
                    text class=(class) x=(pc(tick.x)) y="15" data-at=(iso(tick.at)) data-form="%" { (words) }
                }
            }
        }
    }
}

fn row(span: &Span, resource: &str, email: &str, lane: &Lane) -> Markup {
    let why = format!("/why?{}", query_string(&[("email", email), ("resource", resource)]));
    html! {
        li.lane {
            div.who {
                a href=(why) { (email) span.sr { " on " (resource) ": why" } }
                (lane_state(span.now, lane.state(span.now)))
            }
            ul.sr {
                @for bar in &lane.bars { li { (in_words(span.now, bar)) } }
            }
            (track(span, &lane.bars, &why))
        }
    }
}

fn track(span: &Span, bars: &[Bar], why: &str) -> Markup {
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

fn draw(now: DateTime<Utc>, bar: &Bar, why: &str) -> Markup {
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
            html! {
                a href=(why) tabindex="-1" {
                    svg x=(x) width=(width) y="13" height="23" {
                        rect class=(class(*kind)) x="0.75" y="0.75" width="100%" height="21.5" rx="4" {}
                        text class={ (class(*kind)) (room(place.width, &label)) } x="8" y="15.5" data-at=(iso(at)) data-form=(words) {
                            (label)
                        }
                    }
                }
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

fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
