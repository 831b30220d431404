//! Places shifts and grants on the timeline, and says the state of a person's lane in a word. Pure: values in, values out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Timelike, Utc};

use crate::{
    model::{Grant, LedgerRow, Rule, Source, Window, Windows},
    reconcile::{plan::Wanted, report::snapshot::StatusSnapshot},
    store::{Access, SeenGrant},
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
/// The shifts of a grant that are drawn, and the windows of a lane that wait.
const SHIFTS: usize = 4;
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

impl Kind {
    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Unknown => "unknown",
            Self::Gap => "gap",
            Self::InForce => "in-force",
            Self::Coming => "coming",
            Self::Held => "held",
            Self::Deferred => "deferred",
        }
    }
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
    /// The grants in view that are not drawn.
    pub(super) more: usize,
    grants: Vec<Window>,
    held_until: Option<DateTime<Utc>>,
    drawn: usize,
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

    /// Whether there is access now.
    pub(super) fn has_access(&self, now: DateTime<Utc>) -> bool {
        matches!(self.state(now), LaneState::InForce(_) | LaneState::Unsure(_) | LaneState::Held(_))
    }

    /// Whether something but doubt is in view.
    pub(super) fn has_something(&self) -> bool {
        self.bars.iter().any(|bar| bar.kind != Kind::Unknown)
    }

    /// Adds a shift of now for which there is no grant.
    fn miss(&mut self, span: &Span, wanted: &Wanted) {
        if !self.on_call {
            self.add(span, Kind::Shift, wanted.start, wanted.end);
        }
        self.on_call = true;
        self.rules.insert(wanted.rule.clone());
    }

    fn add(&mut self, span: &Span, kind: Kind, start: DateTime<Utc>, end: Option<DateTime<Utc>>) {
        self.bars.extend(span.place(start, end).map(|place| Bar { kind, start, end, place }));
    }
}

/// What is known beside the grants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'f> {
    /// The grants that the guard keeps from being revoked.
    pub(super) held: &'f BTreeSet<LedgerRow>,
    pub(super) snapshot: &'f StatusSnapshot,
    pub(super) rules: &'f [Rule],
}

/// The lanes of these accesses, whose `grants` were read.
pub(super) fn lanes(span: &Span, shown: &[Access], grants: &[SeenGrant], known: Known<'_>) -> Lanes {
    let mut lanes: BTreeMap<Access, Lane> =
        shown.iter().map(|access| (access.clone(), Lane::default())).collect();
    for SeenGrant { entry, of } in grants {
        let own = &entry.own;
        let Some(lane) = lanes.get_mut(&access_of(&own.grant)) else { continue };
        let (start, end) = (own.grant.window.start(), own.grant.window.end());
        let is_held = known.held.contains(&own.row);
        let kind = match (is_held, start <= span.now) {
            (true, _) => Kind::Held,
            (false, true) => Kind::InForce,
            (false, false) => Kind::Coming,
        };
        let shifts: BTreeSet<_> =
            own.causes.iter().map(|cause| (cause.shift_start, cause.shift_end)).collect();
        for (from, until) in shifts.into_iter().take(SHIFTS) {
            lane.add(span, Kind::Shift, from.unwrap_or(start), until);
        }
        lane.add(span, kind, start, Some(end));
        if is_held {
            lane.held_until = Some(lane.held_until.map_or(end, |until| until.min(end)));
        } else {
            lane.grants.push(own.grant.window);
        }
        lane.rules.extend(own.grant.rules.iter().cloned());
        lane.drawn += 1;
        lane.more = of.saturating_sub(lane.drawn);
    }
    for wanted in known.snapshot.missing_at(span.now) {
        if let Some(lane) = lanes.get_mut(&access_to(wanted)) {
            lane.miss(span, wanted);
        }
    }
    finish(span, &mut lanes, known);
    let mut groups = Lanes::new();
    for (Access { resource, email }, lane) in lanes {
        groups.entry(resource).or_default().push((email, lane));
    }
    for group in groups.values_mut() {
        group.sort_by_cached_key(|(email, lane)| (lane.state(span.now), email.clone()));
    }
    groups
}

/// Those who are on call now without a grant, or whose window waits, what needs attention most first; those that are sought
/// alone.
pub(super) fn lacking(
    span: &Span,
    known: Known<'_>,
    is_sought: impl Fn(&Access) -> bool,
) -> Vec<(Access, Lane)> {
    let mut lanes: BTreeMap<Access, Lane> = BTreeMap::new();
    for wanted in known.snapshot.missing_at(span.now) {
        lanes.entry(access_to(wanted)).or_default().miss(span, wanted);
    }
    for waiting in known.snapshot.deferred.iter().filter(|waiting| waiting.window.end() > span.now) {
        lanes.entry(access_of(waiting)).or_default();
    }
    lanes.retain(|access, _| is_sought(access));
    finish(span, &mut lanes, known);
    let mut lanes: Vec<(Access, Lane)> = lanes.into_iter().filter(|(_, lane)| lane.has_something()).collect();
    lanes.sort_by_cached_key(|(access, lane)| (lane.state(span.now), access.clone()));
    lanes
}

fn access_to(wanted: &Wanted) -> Access {
    Access { resource: wanted.resource.clone(), email: wanted.email.to_string() }
}

fn access_of(grant: &Grant) -> Access {
    Access { resource: grant.resource.clone(), email: grant.email.to_string() }
}

/// Adds to the lanes what waits and what is in doubt, and puts their bars in order.
fn finish(span: &Span, lanes: &mut BTreeMap<Access, Lane>, known: Known<'_>) {
    add_deferred(span, lanes, known.snapshot);
    mark_unknown(span, lanes, known.snapshot, known.rules);
    for lane in lanes.values_mut() {
        lane.bars.sort_by_key(|bar| (bar.kind, bar.start));
    }
}

/// Adds windows that wait to the lanes that are there.
fn add_deferred(span: &Span, lanes: &mut BTreeMap<Access, Lane>, snapshot: &StatusSnapshot) {
    for waiting in &snapshot.deferred {
        let Some(lane) = lanes.get_mut(&access_of(waiting)) else { continue };
        lane.waits = true;
        lane.rules.extend(waiting.rules.iter().cloned());
        if lane.bars.iter().filter(|bar| bar.kind == Kind::Deferred).count() < SHIFTS {
            lane.add(span, Kind::Deferred, waiting.window.start(), Some(waiting.window.end()));
        }
    }
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
fn mark_unknown(span: &Span, lanes: &mut BTreeMap<Access, Lane>, snapshot: &StatusSnapshot, rules: &[Rule]) {
    let unseen: BTreeMap<&Source, Option<DateTime<Utc>>> = snapshot
        .sources
        .iter()
        .filter(|status| status.error.is_some())
        .map(|status| (&status.source, status.seen_at))
        .collect();
    if unseen.is_empty() {
        return;
    }
    for lane in lanes.values_mut() {
        let sources = rules.iter().filter(|rule| lane.rules.contains(&rule.name)).flat_map(Rule::sources);
        let since = sources.filter_map(|source| unseen.get(&source).copied()).min();
        if let Some(since) = since {
            lane.unknown = true;
            lane.add(span, Kind::Unknown, since.unwrap_or(span.start), None);
        }
    }
}

#[cfg(test)]
mod tests;
