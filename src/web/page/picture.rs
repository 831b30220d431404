//! A simulation as a picture, drawn like the status page: a page for a browser that needs nothing else, or an SVG file.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    chart::{axis, patterns, scale, track},
    layout::{STYLE, count},
    timeline::{Bar, Kind, Place, Span},
};
use crate::{
    model::{
        Grant, OwnGrant, Rule,
        instant::{span as length, to_second},
    },
    reconcile::simulate::{Event, Gap, Held, Simulation, Write},
};

/// A row of an SVG file, in pixels: its height, where its track begins, and how wide that is.
const ROW: usize = 44;
const LEFT: usize = 300;
const WIDTH: usize = 900;
/// As much of the writes is told beside the picture.
const TOLD: usize = 2_000;

/// What one line shows.
struct Line {
    /// The resource, or what else a group of lines has in common.
    group: String,
    name: String,
    bars: Vec<Bar>,
}

/// A page that needs nothing else.
pub(crate) fn draw_html(simulation: &Simulation, rules: &[Rule]) -> String {
    let span = span(simulation);
    let Simulation { from, until, events, forecast, .. } = simulation;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "What the rules would do · oncall-grants" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    section.summary {
                        h1.headline { "What the rules would do" }
                        p { (to_second(*from)) " to " (to_second(*until)) " (" (length(*until - *from)) "), from an empty ledger, by " (count(rules.len(), "rule")) "." }
                        @for line in forecast.to_string().lines() { p.quiet { (line) "." } }
                    }
                    section aria-label="Timeline" {
                        (patterns())
                        @for group in grouped(&lines(&span, simulation)) { (drawn(&span, group)) }
                    }
                    (told(simulation))
                    section {
                        div.section-head { h2 { "Each write" } p { (count(events.len(), "write")) } }
                        table {
                            thead { tr { th { "When" } th { "What" } th { "Person" } th { "Resource" } th { "Window" } th { "Why" } } }
                            tbody { @for event in events.iter().take(TOLD) { (event_row(event)) } }
                        }
                        @if events.len() > TOLD { p.after { "And " (events.len() - TOLD) " more; the JSON has all." } }
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// A picture alone.
pub(crate) fn draw_svg(simulation: &Simulation) -> String {
    let span = span(simulation);
    let lines = lines(&span, simulation);
    let (width, height) = (LEFT + WIDTH + 20, ROW * (lines.len() + 1) + 20);
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img" {
            title { "What the rules would do from " (to_second(simulation.from)) " until " (to_second(simulation.until)) }
            style { (PreEscaped(STYLE)) ".name { font-size: 13px; fill: var(--ink); } .ground { fill: var(--sheet); }" }
            rect.ground width="100%" height="100%" {}
            (patterns())
            svg x=(LEFT) y="8" width=(WIDTH) height="24" { (scale(&span)) }
            @for (number, Line { group, name, bars }) in lines.iter().enumerate() {
                @let y = ROW * (number + 1);
                text.name x="10" y=(y + 18) { (name) }
                text.name x="10" y=(y + 34) opacity="0.7" { (group) }
                svg x=(LEFT) y=(y) width=(WIDTH) height="40" { (track(&span, bars, None)) }
            }
        }
    };
    markup.into_string()
}

fn span(simulation: &Simulation) -> Span {
    Span { start: simulation.from, now: simulation.from, end: simulation.until }
}

/// Gaps first, then each person with each resource.
fn lines(span: &Span, simulation: &Simulation) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for Gap { source, start, end, rules: _, names } in &simulation.gaps {
        let name = names.schedule_name.as_ref().or(names.escalation_policy_name.as_ref());
        let name = name.map_or_else(|| source.to_string(), |name| format!("{name} ({source})"));
        add(&mut lines, "Nobody on call", name, bar(span, Kind::Gap, *start, Some(*end)));
    }
    let mut grants: Vec<&OwnGrant> = simulation.grants.iter().collect();
    grants.sort_by_key(|own| (&own.grant.resource, &own.grant.email, own.grant.window));
    for OwnGrant { grant, causes, .. } in grants {
        let (start, end) = (grant.window.start(), grant.window.end());
        let name = grant.whose();
        for cause in causes {
            let shift = bar(span, Kind::Shift, cause.shift_start.unwrap_or(start), cause.shift_end);
            add(&mut lines, &grant.resource, name.clone(), shift);
        }
        let kind = if start <= span.now { Kind::InForce } else { Kind::Coming };
        add(&mut lines, &grant.resource, name, bar(span, kind, start, Some(end)));
    }
    for line in &mut lines {
        line.bars.sort_by_key(|bar| (bar.kind, bar.start));
        line.bars.dedup();
    }
    lines
}

/// Adds a bar to the line of this name; lines of a group come one after the other.
fn add(lines: &mut Vec<Line>, group: &str, name: String, bar: Option<Bar>) {
    match lines.iter_mut().rev().find(|line| line.group == group && line.name == name) {
        Some(line) => line.bars.extend(bar),
        None => lines.push(Line { group: group.to_owned(), name, bars: bar.into_iter().collect() }),
    }
}

fn bar(span: &Span, kind: Kind, start: DateTime<Utc>, end: Option<DateTime<Utc>>) -> Option<Bar> {
    let place: Place = span.place(start, end)?;
    Some(Bar { kind, start, end, place })
}

fn grouped(lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    lines.chunk_by(|one, other| one.group == other.group)
}

fn drawn(span: &Span, lines: &[Line]) -> Markup {
    html! {
        section.group {
            div.group-head { h3 { (lines[0].group) } p { (count(lines.len(), "line")) } }
            (axis(span))
            ol.lanes {
                @for Line { name, bars, .. } in lines {
                    li.lane {
                        div.who { (name) }
                        ul.sr { @for bar in bars { li { (in_words(bar)) } } }
                        (track(span, bars, None))
                    }
                }
            }
        }
    }
}

fn in_words(bar: &Bar) -> String {
    let what = match bar.kind {
        Kind::Shift => "on call",
        Kind::Gap => "nobody on call",
        _ => "access",
    };
    let end = bar.end.map_or_else(|| "without an end".to_owned(), |end| format!("to {}", to_second(end)));
    format!("{what} from {} {end}", to_second(bar.start))
}

/// What an approver must know beside the picture.
fn told(simulation: &Simulation) -> Markup {
    let Simulation { gaps, skipped, unknown, held, ignored_rules, .. } = simulation;
    let mut lines: Vec<String> = Vec::new();
    lines.extend(unknown.iter().map(|unknown| format!("Unknown: {unknown}")));
    lines.extend(skipped.iter().map(|skipped| format!("Left out: {skipped}")));
    lines.extend(held.iter().map(|Held { at, grant, .. }| format!("Held at {}: {grant}", to_second(*at))));
    lines.extend(
        ignored_rules
            .iter()
            .map(|rule| format!("Rule {rule:?} is about incidents, which nobody can foresee")),
    );
    if !gaps.is_empty() {
        lines.push(format!(
            "Nobody is on call {}",
            if gaps.len() == 1 { "once".to_owned() } else { format!("{} times", gaps.len()) }
        ));
    }
    html! {
        section {
            div.section-head { h2 { "To be known" } }
            @if lines.is_empty() { p.empty { "Everybody on call gets access, and somebody is always on call." } }
            ul { @for line in lines { li { (line) } } }
        }
    }
}

fn event_row(event: &Event) -> Markup {
    let Event { at, action, grant, reason } = event;
    let Grant { resource, window, .. } = grant;
    let what = match action {
        Write::Create => "grant",
        Write::Revoke => "revoke",
    };
    html! {
        tr {
            td { (to_second(*at)) } td { (what) } td { (grant.whose()) } td { (resource) }
            td { (to_second(window.start())) " to " (to_second(window.end())) } td { (reason) }
        }
    }
}
