//! Places shifts and grants on the timeline, and says the state of a person's lane in a word. Pure: values in, values out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};

use crate::{
    model::{Grant, Rule, Window, Windows},
    reconcile::report::snapshot::StatusSnapshot,
    store::LedgerEntry,
};

/// The stretch of time in view. A twelfth of it lies in the past, so that what just ended is still seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) start: DateTime<Utc>,
    pub(super) now: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

/// A place on the timeline, in percent of its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) width: f64,
}

/// A line of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) at: DateTime<Utc>,
    /// A day begins.
    pub(super) midnight: bool,
}

/// No more lines than this, so that their labels stay apart.
const MOST_TICKS: i64 = 8;
/// The distances between lines to choose from, in hours.
const STEPS: [i64; 7] = [1, 2, 3, 6, 12, 24, 48];
/// The narrowest bar, in percent: less could not be seen or hit.
const NARROWEST: f64 = 0.4;

impl Span {
    pub(super) fn around(now: DateTime<Utc>, length: TimeDelta) -> Self {
        let start = now - length / 12;
        Self { start, now, end: start + length }
    }

    pub(super) fn x(&self, at: DateTime<Utc>) -> f64 {
        percent(at - self.start, self.end - self.start)
    }

    /// Where the stretch lies; nowhere if it is out of view.
    pub(super) fn place(&self, start: DateTime<Utc>, end: Option<DateTime<Utc>>) -> Option<Place> {
        let (from, to) = (start.max(self.start), end.unwrap_or(self.end).min(self.end));
        (from < to).then(|| {
            let x = self.x(from).min(100.0 - NARROWEST);
            Place { x, width: (self.x(to) - x).max(NARROWEST) }
        })
    }

    /// The lines of the grid, on full hours.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let hours = (self.end - self.start).num_hours();
        let step = STEPS.into_iter().find(|step| hours / step <= MOST_TICKS).unwrap_or(24 * 7);
        let first = self.start.duration_trunc(TimeDelta::days(1)).unwrap_or(self.start);
        (0..)
            .map(|number| first + TimeDelta::hours(step * number))
            .skip_while(|at| *at <= self.start)
            .take_while(|at| *at < self.end)
            .map(|at| Tick { x: self.x(at), at, midnight: at.num_seconds_from_midnight() == 0 })
            .collect()
    }
}

fn percent(part: TimeDelta, whole: TimeDelta) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a picture needs four digits")]
    let ratio = part.num_seconds() as f64 / whole.num_seconds().max(1) as f64;
    (ratio * 100.0).clamp(0.0, 100.0)
}

/// What a bar stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Unknown,
    /// Nobody is on call for the rule.
    Gap,
    Shift,
    InForce,
    Coming,
    Held,
    Deferred,
}

/// A stretch in view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) kind: Kind,
    pub(super) start: DateTime<Utc>,
    pub(super) end: Option<DateTime<Utc>>,
    pub(super) place: Place,
}

/// How somebody stands now with one resource. The order is that of the page: what needs attention comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaneState {
    /// Access that nobody wants any more, but that the guard keeps.
    Held(DateTime<Utc>),
    /// On call now without a grant.
    Missing,
    /// On call now; the window waits for a grant in its way.
    Deferred,
    /// Access now, for a shift that could not be seen.
    Unsure(DateTime<Utc>),
    InForce(DateTime<Utc>),
    Coming(DateTime<Utc>),
    Unknown,
    Past,
}

/// One person and one resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    pub(super) bars: Vec<Bar>,
    pub(super) rules: BTreeSet<String>,
    grants: Vec<Window>,
    held_until: Option<DateTime<Utc>>,
    on_call: bool,
    waits: bool,
    unknown: bool,
}

/// Lanes by resource and person.
pub(super) type Lanes = BTreeMap<String, Vec<(String, Lane)>>;

impl Lane {
    pub(super) fn state(&self, now: DateTime<Utc>) -> LaneState {
        let access: Windows = self.grants.iter().copied().collect();
        let current = access.iter().find(|window| window.contains(now));
        let next = access.iter().find(|window| window.start() > now);
        match (self.held_until, current) {
            (Some(until), _) => LaneState::Held(until),
            (None, Some(window)) if self.unknown => LaneState::Unsure(window.end()),
            (None, Some(window)) => LaneState::InForce(window.end()),
            (None, None) if self.on_call && self.waits => LaneState::Deferred,
            (None, None) if self.on_call => LaneState::Missing,
            (None, None) => match next {
                Some(window) => LaneState::Coming(window.start()),
                None if self.waits => LaneState::Deferred,
                None if self.unknown => LaneState::Unknown,
                None => LaneState::Past,
            },
        }
    }

    fn add(&mut self, span: &Span, kind: Kind, start: DateTime<Utc>, end: Option<DateTime<Utc>>) {
        self.bars.extend(span.place(start, end).map(|place| Bar { kind, start, end, place }));
    }
}

/// Everything in view, as lanes. `search` keeps only people and resources with this text in their name.
pub(super) fn lanes(
    span: &Span,
    ledger: &[LedgerEntry],
    snapshot: &StatusSnapshot,
    rules: &[Rule],
    search: &str,
) -> Lanes {
    let mut lanes: BTreeMap<(String, String), Lane> = BTreeMap::new();
    let mut lane = |resource: &str, email: &str, add: &mut dyn FnMut(&mut Lane)| {
        add(lanes.entry((resource.to_owned(), email.to_owned())).or_default());
    };
    for want in &snapshot.wanted {
        lane(&want.resource, want.email.as_str(), &mut |lane| {
            lane.add(span, Kind::Shift, want.start, want.end);
            lane.on_call |= want.start <= span.now && want.end.is_none_or(|end| end > span.now);
            lane.rules.insert(want.rule.clone());
        });
    }
    for grant in ledger.iter().map(|entry| &entry.own.grant).filter(|grant| grant.id.is_some()) {
        let (start, end) = (grant.window.start(), grant.window.end());
        let held = snapshot.held.iter().any(|held| held.id == grant.id);
        let kind = match (held, start <= span.now) {
            (true, _) => Kind::Held,
            (false, true) => Kind::InForce,
            (false, false) => Kind::Coming,
        };
        lane(&grant.resource, grant.email.as_str(), &mut |lane| {
            lane.add(span, kind, start, Some(end));
            if held {
                lane.held_until = Some(lane.held_until.map_or(end, |until| until.min(end)));
            } else {
                lane.grants.push(grant.window);
            }
            lane.rules.extend(grant.rules.iter().cloned());
        });
    }
    for Grant { email, resource, window, rules, .. } in &snapshot.deferred {
        lane(resource, email.as_str(), &mut |lane| {
            lane.add(span, Kind::Deferred, window.start(), Some(window.end()));
            lane.waits = true;
            lane.rules.extend(rules.iter().cloned());
        });
    }
    mark_unknown(span, &mut lanes, snapshot, rules);
    by_resource(span, lanes, &search.to_lowercase())
}

/// The rules with stretches in view for which they have nobody. `search` keeps those with this text in their name or
/// in that of a resource.
pub(super) fn gaps(
    span: &Span,
    snapshot: &StatusSnapshot,
    rules: &[Rule],
    search: &str,
) -> Vec<(String, Vec<Bar>)> {
    let search = search.to_lowercase();
    let matches = |rule: &&Rule| {
        let resources = rule.resources.iter().map(|resource| resource.to_string().to_lowercase());
        rule.name.to_lowercase().contains(&search) || resources.into_iter().any(|name| name.contains(&search))
    };
    let lanes = rules.iter().filter(matches).map(|rule| {
        let gaps = snapshot.gaps.iter().filter(|gap| gap.rule == rule.name);
        let bars = gaps.filter_map(|gap| {
            let (start, end) = (gap.start, gap.end);
            span.place(start, end).map(|place| Bar { kind: Kind::Gap, start, end, place })
        });
        (rule.name.clone(), bars.collect::<Vec<Bar>>())
    });
    lanes.filter(|(_, bars)| !bars.is_empty()).collect()
}

/// Marks the lanes whose rules depend on a source that did not answer: they are uncertain from its last answer on.
fn mark_unknown(
    span: &Span,
    lanes: &mut BTreeMap<(String, String), Lane>,
    snapshot: &StatusSnapshot,
    rules: &[Rule],
) {
    for lane in lanes.values_mut() {
        let sources = rules.iter().filter(|rule| lane.rules.contains(&rule.name)).flat_map(Rule::sources);
        let unseen = snapshot.sources.iter().filter(|status| status.error.is_some());
        let sources: BTreeSet<_> = sources.collect();
        let since =
            unseen.filter(|status| sources.contains(&status.source)).map(|status| status.seen_at).min();
        if let Some(since) = since {
            lane.unknown = true;
            lane.add(span, Kind::Unknown, since.unwrap_or(span.start), None);
        }
    }
}

fn by_resource(span: &Span, lanes: BTreeMap<(String, String), Lane>, search: &str) -> Lanes {
    let mut groups = Lanes::new();
    for ((resource, email), mut lane) in lanes {
        let something = lane.bars.iter().any(|bar| bar.kind != Kind::Unknown);
        let matches = email.to_lowercase().contains(search) || resource.to_lowercase().contains(search);
        if something && matches {
            lane.bars.sort_by_key(|bar| (bar.kind, bar.start));
            groups.entry(resource).or_default().push((email, lane));
        }
    }
    for group in groups.values_mut() {
        group.sort_by_cached_key(|(email, lane)| (lane.state(span.now), email.clone()));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{
        LaneState::{Deferred, Held, InForce, Missing, Unsure},
        *,
    };
    use crate::{
        model::OwnGrant,
        reconcile::{plan::Wanted, report::snapshot::SourceStatus},
        store::State,
    };

    fn at(hours: i64) -> DateTime<Utc> {
        // A midnight.
        DateTime::from_timestamp(1_800_057_600, 0).unwrap() + TimeDelta::hours(hours)
    }

    fn span() -> Span {
        Span { start: at(0), now: at(2), end: at(24) }
    }

    fn rule() -> Rule {
        Rule {
            name: "r".to_owned(),
            on_calls: crate::model::OnCallSelector::Schedules(vec!["P1".into()]),
            resources: Vec::new(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        }
    }

    fn entry(email: &str, from: i64, to: i64) -> LedgerEntry {
        let grant = Grant {
            id: Some(format!("ag-{email}-{from}").into()),
            email: email.parse().unwrap(),
            account_id: "a-1".into(),
            resource: "db".to_owned(),
            resource_id: "rs-1".into(),
            window: Window::new(at(from), at(to)).unwrap(),
            rules: vec!["r".to_owned()],
        };
        LedgerEntry {
            own: OwnGrant { row: from.into(), grant, causes: Vec::new() },
            state: State::Live,
            intended_at: at(0),
        }
    }

    fn states(ledger: &[LedgerEntry], snapshot: &StatusSnapshot) -> Vec<(String, LaneState)> {
        let lanes = lanes(&span(), ledger, snapshot, &[rule()], "");
        lanes.into_values().flatten().map(|(email, lane)| (email, lane.state(at(2)))).collect()
    }

    #[test]
    fn a_stretch_is_cut_at_the_edges_of_the_view() {
        let place = |from, to| span().place(at(from), to).map(|place| (place.x.round(), place.width.round()));
        assert_eq!(place(6, Some(at(12))), Some((25.0, 25.0)));
        assert_eq!(place(-9, Some(at(12))), Some((0.0, 50.0)));
        assert_eq!(place(12, None), Some((50.0, 50.0)));
        assert_eq!(place(24, Some(at(30))), None);
        assert_eq!(place(-9, Some(at(0))), None);
    }

    #[test]
    fn lines_stand_on_full_hours_and_are_few() {
        for hours in [6, 24, 72, 168, 2160] {
            let span = Span::around(at(5) + TimeDelta::minutes(17), TimeDelta::hours(hours));
            let ticks = span.ticks();
            assert!((3..=13).contains(&ticks.len()), "{hours} hours: {} lines", ticks.len());
            assert!(ticks.iter().all(|tick| tick.at.minute() == 0 && (0.0..100.0).contains(&tick.x)));
        }
        assert_eq!(span().ticks().iter().filter(|tick| tick.midnight).count(), 0, "the edge has no line");
    }

    #[test]
    fn neighbouring_grants_are_one_access() {
        let ledger =
            [entry("ana@x", 0, 4), entry("ana@x", 4, 9), entry("bo@x", 9, 12), entry("cem@x", 30, 40)];
        let expected = [("ana@x", LaneState::InForce(at(9))), ("bo@x", LaneState::Coming(at(9)))];
        let expected = expected.map(|(email, state)| (email.to_owned(), state));
        assert_eq!(
            states(&ledger, &StatusSnapshot::default()),
            expected,
            "who has nothing in view is left out"
        );
    }

    #[test]
    fn held_missing_deferred_and_unseen_come_first() {
        let waiting = Grant { id: None, ..entry("wait@x", 0, 8).own.grant };
        let source = rule().sources().remove(0);
        let want = |email: &str| Wanted {
            email: email.parse().unwrap(),
            resource: "db".to_owned(),
            start: at(0),
            end: Some(at(8)),
            rule: "r".to_owned(),
            source: source.clone(),
        };
        let mut snapshot = StatusSnapshot {
            wanted: vec![want("miss@x"), want("wait@x")],
            held: vec![entry("held@x", 0, 8).own.grant],
            deferred: vec![waiting],
            ..StatusSnapshot::default()
        };
        let ledger = [entry("held@x", 0, 8), entry("fine@x", 0, 8)];
        let names = |snapshot: &StatusSnapshot| {
            states(&ledger, snapshot).into_iter().map(|(_, it)| it).collect::<Vec<_>>()
        };
        assert_eq!(names(&snapshot), [Held(at(8)), Missing, Deferred, InForce(at(8))]);
        snapshot.sources.push(SourceStatus { source, seen_at: Some(at(1)), error: Some("502".to_owned()) });
        assert_eq!(names(&snapshot), [Held(at(8)), Missing, Deferred, Unsure(at(8))]);
    }
}
