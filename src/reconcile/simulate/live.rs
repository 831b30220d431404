//! Lives through the time: a pass at each instant at which something may change by itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Event, Gap, Held, Simulation, Write,
    forecast::{Forecast, Pace},
    saved::SavedWorld,
};
use crate::{
    model::{
        Fault, Grant, LedgerRow, NamesBeside, OnCall, OwnGrant, PeopleSelector, Rule, Skipped, Unknown,
        Window, Windows, later,
    },
    reconcile::{
        plan::{Action, Plan, Released, Settings, foresee},
        world::Recorded,
    },
};

/// What would happen within `window`, which lies within that of `world`. Rules about incidents are left out.
pub(crate) fn simulate(mut settings: Settings, world: &SavedWorld, window: Window, pace: Pace) -> Simulation {
    let is_about_time = |rule: &Rule| !matches!(rule.people, PeopleSelector::Incidents(_));
    let (rules, ignored): (Vec<Rule>, Vec<Rule>) = settings.rules.into_iter().partition(is_about_time);
    settings.rules = rules;
    let mut life = Life::new(&settings, world, window);
    while let Some(now) = life.agenda.pop_first() {
        life.pass(now);
    }
    let Life { events, held, skipped, mut unknown, grants, .. } = life;
    let fault = "the saved world does not tell: save it anew with these rules";
    unknown.extend(world.lacks(&settings).into_iter().map(|source| Unknown::new(source, Fault::from(fault))));
    let names = world.names(&settings);
    let gaps = gaps(&settings, world, window).into_iter();
    Simulation {
        from: window.start(),
        until: window.end(),
        forecast: Forecast::new(window, &events, world.calls, pace),
        events: events
            .into_iter()
            .map(|one| Event { grant: one.grant.named(&names), reason: names.tell(&one.reason), ..one })
            .collect(),
        gaps: gaps.map(|gap| Gap { names: names.beside(&gap.source), ..gap }).collect(),
        skipped: skipped.into_values().map(|skipped| skipped.named(&names)).collect(),
        unknown: unknown.into_iter().map(|unknown| unknown.named(&names)).collect(),
        held: held.into_iter().map(|held| Held { grant: held.grant.named(&names), ..held }).collect(),
        ignored_rules: ignored.into_iter().map(|rule| rule.name).collect(),
        grants: grants.into_iter().map(|own| OwnGrant { grant: own.grant.named(&names), ..own }).collect(),
    }
}

/// The service, as far as it is simulated.
struct Life<'s> {
    settings: &'s Settings,
    world: &'s SavedWorld,
    window: Window,
    /// When to look.
    agenda: BTreeSet<DateTime<Utc>>,
    recorded: Recorded,
    last_row: i64,
    events: Vec<Event>,
    held: Vec<Held>,
    /// By what they are about.
    skipped: BTreeMap<String, Skipped>,
    unknown: BTreeSet<Unknown>,
    /// Every grant that was made, with the window that it had in the end.
    grants: Vec<OwnGrant>,
}

impl<'s> Life<'s> {
    fn new(settings: &'s Settings, world: &'s SavedWorld, window: Window) -> Self {
        let mut life = Self {
            settings,
            world,
            window,
            agenda: BTreeSet::from([window.start()]),
            recorded: Recorded::default(),
            last_row: 0,
            events: Vec::new(),
            held: Vec::new(),
            skipped: BTreeMap::new(),
            unknown: BTreeSet::new(),
            grants: Vec::new(),
        };
        for (source, on_calls) in world.known_on_calls() {
            for rule in settings.rules.iter().filter(|rule| rule.names(source)) {
                for on_call in on_calls.iter().filter(|on_call| rule.selects(on_call)) {
                    // What begins comes into view before, and ends some time after.
                    let start = on_call.start.map(|start| later(start, -rule.start_early));
                    let end = on_call.end.map(|end| later(end, rule.end_late));
                    let in_view = start.map(|start| later(start, -settings.horizon));
                    [start, end, in_view].into_iter().flatten().for_each(|at| life.look_at(at));
                }
            }
        }
        life
    }

    fn look_at(&mut self, at: DateTime<Utc>) {
        if self.window.contains(at) {
            self.agenda.insert(at);
        }
    }

    /// A pass in which every write succeeds.
    fn pass(&mut self, now: DateTime<Utc>) {
        self.recorded.ledger.retain(|own| own.grant.window.end() > now);
        let world = self.world.at(now, self.settings, self.recorded.clone());
        let plan = foresee(now, self.settings, &world, Released::Nothing);
        self.keep(now, &plan);
        // As rows are numbered where the plan foresees what comes of it.
        let rows = (self.last_row + 1..).map(LedgerRow::from);
        for (row, action) in rows.zip(plan.actions()) {
            self.last_row = row.number();
            self.write(now, row, action);
        }
        for (row, causes) in plan.relabelled {
            let known = self.recorded.ledger.iter_mut().chain(&mut self.grants);
            known.filter(|own| own.row == row).for_each(|own| own.causes.clone_from(&causes));
        }
        self.recorded.due = plan.due;
        if let Some(wake) = plan.next_wake.filter(|wake| *wake > now) {
            self.look_at(wake);
        }
    }

    fn write(&mut self, now: DateTime<Utc>, row: LedgerRow, action: &Action) {
        match action {
            Action::Create(new) => {
                // Several shifts of one person are told in the same words.
                let causes: BTreeSet<String> = new.causes.iter().map(ToString::to_string).collect();
                let causes: Vec<String> = causes.into_iter().collect();
                self.tell(now, Write::Create, &new.grant, causes.join("; "));
                let own = OwnGrant {
                    row,
                    grant: Grant {
                        id: Some(format!("simulated-{}", row.number()).into()),
                        ..new.grant.clone()
                    },
                    causes: new.causes.clone(),
                };
                if own.causes.iter().any(|cause| cause.shift_end.is_none()) {
                    // It is renewed when less than half of the horizon is left of it.
                    self.look_at(own.grant.window.end() - self.settings.horizon / 2 + TimeDelta::seconds(1));
                }
                self.grants.push(own.clone());
                self.recorded.ledger.push(own);
            }
            Action::Revoke(revocation) => {
                self.tell(now, Write::Revoke, &revocation.grant, revocation.audit_reason());
                self.recorded.ledger.retain(|own| own.row != revocation.row);
                // In a picture, it ends here; or it never was, if it had not begun.
                self.grants.retain_mut(|own| match own.grant.window.until(now) {
                    _ if own.row != revocation.row => true,
                    Some(window) => {
                        own.grant.window = window;
                        true
                    }
                    None => false,
                });
            }
        }
    }

    fn tell(&mut self, at: DateTime<Utc>, action: Write, grant: &Grant, reason: String) {
        let grant = Grant { id: None, ..grant.clone() };
        self.events.push(Event { at, action, grant, reason });
    }

    /// Takes over what is not done.
    fn keep(&mut self, now: DateTime<Utc>, plan: &Plan) {
        for grant in &plan.held {
            let own = self.recorded.ledger.iter().find(|own| own.grant.id == grant.id);
            let Some(row) = own.map(|own| own.row) else { continue };
            if !self.held.iter().any(|held| held.row == row) {
                self.held.push(Held { at: now, grant: Grant { id: None, ..grant.clone() }, row });
            }
        }
        for skipped in &plan.skipped {
            let known = self.skipped.entry(format!("{} {}", skipped.subject, skipped.reason));
            let known = known.or_insert_with(|| skipped.clone());
            known.rules.extend(skipped.rules.iter().cloned());
            known.first_shift = known.first_shift.min(skipped.first_shift);
        }
        self.unknown.extend(plan.unknown.iter().cloned());
    }
}

/// The stretches in which nobody is on call through a source that was seen.
fn gaps(settings: &Settings, world: &SavedWorld, window: Window) -> Vec<Gap> {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (source, on_calls) in world.known_on_calls() {
        for rule in settings.rules.iter().filter(|rule| rule.names(source)) {
            let selected = on_calls.iter().filter(|on_call| rule.selects(on_call));
            let covered: Windows = selected.filter_map(|on_call| shift(on_call, window)).collect();
            for gap in covered.missing_from(window) {
                found.entry((source.clone(), gap.start(), gap.end())).or_default().push(rule.name.clone());
            }
        }
    }
    let gap =
        |((source, start, end), rules)| Gap { source, start, end, rules, names: NamesBeside::default() };
    found.into_iter().map(gap).collect()
}

fn shift(on_call: &OnCall, window: Window) -> Option<Window> {
    Window::new(on_call.start.unwrap_or(window.start()), on_call.end.unwrap_or(window.end()))
}
