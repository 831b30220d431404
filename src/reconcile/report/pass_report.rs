//! The report of a pass: what was seen, decided and done.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{open_incidents::OpenIncident, preflight::Ahead};
use crate::{
    model::{
        Altered, Asked, Calls, Fault, Grant, Names, OwnGrant, Pair, Skipped, Source, Unknown, Window,
        word::words,
    },
    reconcile::plan::{Action, Plan, Wanted},
};

/// What one pass did: the answer of `POST /sync`, what `sync` prints, and what the store keeps of a pass. Reports of
/// other versions are read as well.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PassReport {
    /// Unique; later passes have larger IDs.
    pub pass_id: String,
    /// Why it ran.
    pub trigger: Trigger,
    /// Whether it only looked.
    pub dry_run: bool,
    /// When it started, in UTC.
    pub started_at: DateTime<Utc>,
    /// When it ended, in UTC.
    pub finished_at: DateTime<Utc>,
    /// How many on-calls the rules selected.
    pub oncalls: usize,
    /// Grants made; in a dry run, those that would be.
    pub created: Vec<Grant>,
    /// Grants taken back; in a dry run, those that would be.
    pub revoked: Vec<Grant>,
    /// How many grants stayed as they were.
    pub unchanged: usize,
    /// Grants that the guard kept from being revoked.
    pub held: Vec<Grant>,
    /// Windows that wait for the grant in their way.
    pub deferred: Vec<Grant>,
    /// People, resources and filters that nothing could be done about.
    pub skipped: Vec<Skipped>,
    /// What could not be observed.
    pub unknown: Vec<Unknown>,
    /// Writes that were tried and failed.
    pub failed: Vec<Failure>,
    /// How many requests were sent for it until it was over; empty in a report of a version that did not count them.
    #[serde(default)]
    #[schema(required = false)]
    pub calls: Calls,
    /// How many entries each list lacks. Answers have them all; only what the store keeps of a pass is an excerpt.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    #[schema(required = false)]
    pub left_out: LeftOut,
    /// What else the pass knew; empty in a report that was read back.
    #[serde(skip)]
    pub(crate) unreported: Unreported,
}

/// How many entries the lists of a report lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LeftOut {
    /// Grants made.
    #[serde(skip_serializing_if = "is_none")]
    pub created: usize,
    /// Grants taken back.
    #[serde(skip_serializing_if = "is_none")]
    pub revoked: usize,
    /// Grants that the guard kept from being revoked.
    #[serde(skip_serializing_if = "is_none")]
    pub held: usize,
    /// Windows that wait for the grant in their way.
    #[serde(skip_serializing_if = "is_none")]
    pub deferred: usize,
    /// People, resources and filters that nothing could be done about.
    #[serde(skip_serializing_if = "is_none")]
    pub skipped: usize,
    /// What could not be observed.
    #[serde(skip_serializing_if = "is_none")]
    pub unknown: usize,
    /// Writes that failed.
    #[serde(skip_serializing_if = "is_none")]
    pub failed: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(number: &usize) -> bool {
    *number == 0
}

impl LeftOut {
    /// Whether the lists are whole.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What a pass knew, and neither answers nor keeps in its report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreported {
    /// The last plan in words, for people.
    pub(crate) plan: String,
    /// The next instant at which anything changes by itself.
    pub(crate) next_wake: Option<DateTime<Utc>>,
    /// What PagerDuty was asked about.
    pub(crate) asked: BTreeSet<Source>,
    /// How many grants the first plan left as they were.
    pub(crate) unchanged: Option<usize>,
    /// Who is entitled to what, as far as it was seen.
    pub(crate) wanted: Vec<Wanted>,
    /// What the rules do not reach; none if nothing was seen.
    pub(crate) ahead: Option<Ahead>,
    /// The open incidents that rules are about, as far as they were seen.
    pub(crate) incidents: Vec<OpenIncident>,
}

words!(
    /// Why a pass ran.
    Trigger {
        /// The service started.
        Start = "start",
        /// `sync.interval` went by.
        Interval = "interval",
        /// A shift boundary, a renewal or the end of a deferral.
        Boundary = "boundary",
        /// An earlier pass failed.
        Retry = "retry",
        /// A webhook.
        Webhook = "webhook",
        /// An earlier look found access due to be revoked.
        SecondLook = "second_look",
        /// What PagerDuty answers may have lagged behind an event.
        FollowUp = "follow_up",
        /// The webhook subscription was off for a while.
        Subscription = "subscription",
        /// `POST /sync`.
        Manual = "manual",
        /// The `sync` command.
        Command = "command",
    }
);

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a write was not begun: the pass has no time left.
pub(crate) const OUT_OF_TIME: &str = "the pass ran out of time";

/// A write that failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What was tried.
    pub action: Attempt,
    /// The grant it was about.
    pub grant: Grant,
    /// What went wrong, and what mends it where somebody must.
    #[schema(value_type = String)]
    pub error: Fault,
}

words!(
    /// What a write tries.
    Attempt {
        /// To make a grant.
        Create = "create",
        /// To take a grant of ours back.
        Revoke = "revoke",
    }
);

impl Failure {
    /// A write that was not begun, because the pass has no time left.
    pub(crate) fn out_of_time(action: &Action) -> Self {
        Self { action: action.into(), grant: action.grant().clone(), error: OUT_OF_TIME.into() }
    }

    /// Whether the write was not begun for want of time: nothing is wrong with it.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.error.error == OUT_OF_TIME
    }
}

impl From<&Action> for Attempt {
    fn from(action: &Action) -> Self {
        match action {
            Action::Create(_) => Self::Create,
            Action::Revoke(_) => Self::Revoke,
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PassReport {
    /// A report of a pass that has just begun.
    pub(crate) fn begin(pass_id: String, trigger: Trigger, started_at: DateTime<Utc>) -> Self {
        Self {
            pass_id,
            trigger,
            dry_run: false,
            started_at,
            finished_at: started_at,
            oncalls: 0,
            created: Vec::new(),
            revoked: Vec::new(),
            unchanged: 0,
            held: Vec::new(),
            deferred: Vec::new(),
            skipped: Vec::new(),
            unknown: Vec::new(),
            failed: Vec::new(),
            calls: Calls::default(),
            left_out: LeftOut::default(),
            unreported: Unreported::default(),
        }
    }

    /// Takes over what `plan` decided, beside its writes.
    pub(crate) fn take_decisions(&mut self, plan: &Plan) {
        let Plan {
            held, deferred, skipped, unknown, unsettled, on_calls, next_wake, wanted, unchanged, ..
        } = plan;
        self.oncalls = *on_calls;
        self.held.clone_from(held);
        self.deferred = deferred.iter().map(|deferred| deferred.grant.clone()).collect();
        self.skipped.clone_from(skipped);
        let unsettled = unsettled.iter().map(|pair| {
            let error = "strongDM has not said what became of an earlier write";
            Unknown::new(Asked::Write(pair.clone()), error)
        });
        self.unknown = unknown.iter().cloned().chain(unsettled).collect();
        self.unreported.plan = plan.to_string();
        self.unreported.next_wake = *next_wake;
        // Later plans of the pass find what it made unchanged, too.
        self.unchanged = *self.unreported.unchanged.get_or_insert(*unchanged);
        self.unreported.wanted.clone_from(wanted);
    }

    /// Takes over which rows of the ledger cannot be read. They say more than the plan, to which their pairs are unsettled.
    pub(crate) fn take_unreadable(&mut self, rows: &[Unknown]) {
        let told: BTreeSet<&Asked> = rows.iter().map(|row| &row.about).collect();
        self.unknown.retain(|unknown| !told.contains(&unknown.about));
        self.unknown.extend_from_slice(rows);
        for row in rows {
            write!(self.unreported.plan, "\nunknown   {row}").expect("a String takes everything");
        }
    }

    /// Tells as failures what waits because strongDM stored it so that it could not stay, and what stays all the same, since
    /// the next one would be no better.
    pub(crate) fn take_altered(&mut self, altered: &[Altered], ours: &[OwnGrant], plan: &Plan) {
        let mut faults: BTreeMap<&Pair, Vec<(&Window, &Fault)>> = BTreeMap::new();
        for Altered { pair, window, until: _, fault } in altered {
            faults.entry(pair).or_default().extend(fault.as_ref().map(|fault| (window, fault)));
        }
        let fault_of = |grant: &Grant| {
            let mut of_pair = faults.get(&grant.pair())?.iter();
            of_pair.find(|(window, _)| window.overlaps(&grant.window)).map(|(_, fault)| (*fault).clone())
        };
        let is_wrong = |grant: &Grant| {
            let of_pair = faults.get(&grant.pair()).into_iter().flatten();
            of_pair.clone().any(|(asked, _)| grant.window.end() > asked.end())
        };
        let is_told = |failed: &[Failure], grant: &Grant| {
            let is_same = |told: &Grant| told.pair() == grant.pair() && told.window.overlaps(&grant.window);
            failed.iter().any(|failure| is_same(&failure.grant))
        };
        let (waiting, deferred): (Vec<Grant>, Vec<Grant>) =
            std::mem::take(&mut self.deferred).into_iter().partition(|grant| fault_of(grant).is_some());
        self.deferred = deferred;
        let goes = |own: &OwnGrant| {
            plan.actions()
                .any(|action| matches!(action, Action::Revoke(revocation) if revocation.row == own.row))
        };
        let of_them = ours.iter().filter(|own| is_wrong(&own.grant) && !goes(own));
        for grant in waiting.into_iter().chain(of_them.map(|own| own.grant.clone())) {
            let Some(error) = fault_of(&grant).filter(|_| !is_told(&self.failed, &grant)) else { continue };
            self.failed.push(Failure { action: Attempt::Create, grant, error });
        }
    }

    /// Puts names beside the IDs and addresses that are reported: the last thing that is done to a report.
    pub(crate) fn take_names(&mut self, names: &Names) {
        fn all<T: Clone>(entries: &mut [T], named: impl Fn(T) -> T) {
            for entry in entries {
                *entry = named(entry.clone());
            }
        }
        let grant = |grant: Grant| grant.named(names);
        for grants in [&mut self.created, &mut self.revoked, &mut self.held, &mut self.deferred] {
            all(grants, grant);
        }
        all(&mut self.failed, |failure| Failure { grant: failure.grant.named(names), ..failure });
        all(&mut self.skipped, |skipped| skipped.named(names));
        all(&mut self.unknown, |unknown| unknown.named(names));
        all(&mut self.unreported.incidents, |incident| incident.named(names));
        self.unreported.plan = names.tell(&self.unreported.plan);
    }

    /// Takes over the writes of `plan` as if they had been done.
    pub(crate) fn take_actions(&mut self, plan: &Plan) {
        for action in plan.actions() {
            match action {
                Action::Create(new) => self.created.push(new.grant.clone()),
                Action::Revoke(revocation) => self.revoked.push(revocation.grant.clone()),
            }
        }
    }

    /// Whether everything was seen and every write that was tried succeeded.
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty() && self.failed.is_empty()
    }

    /// Whether nothing was written and nothing is amiss.
    pub fn is_quiet(&self) -> bool {
        self.is_complete() && self.created.is_empty() && self.revoked.is_empty() && self.held.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, grant, error } = self;
        write!(f, "{action} {grant}: {error}")
    }
}

impl fmt::Display for PassReport {
    /// For people: the plan in words; in a pass that wrote, what came of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.unreported.plan)?;
        for failure in &self.failed {
            writeln!(f, "failed    {failure}")?;
        }
        if !self.dry_run {
            let (created, revoked, failed) = (self.created.len(), self.revoked.len(), self.failed.len());
            writeln!(f, "done: {created} granted, {revoked} revoked, {failed} failed")?;
        }
        if !self.calls.is_empty() {
            writeln!(f, "asked: {}", self.calls)?;
        }
        Ok(())
    }
}
