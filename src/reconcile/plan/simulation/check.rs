//! Whether everybody has exactly what is wanted, and what excuses it if not.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    INTERVAL,
    rotas::Minute,
    service::Simulation,
    upstream::{ACCOUNTS, GROUPS, RESOURCES, account, pair, resource_id},
};
use crate::model::{AccountId, SecondGrant};

/// A grant that strongDM has, in seconds from the start.
pub(super) struct Access {
    start: i64,
    end: i64,
    person: usize,
    resource: usize,
    ours: bool,
    groups: [bool; GROUPS.len()],
}

/// What somebody has of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub(super) access: bool,
    pub(super) groups: [bool; GROUPS.len()],
}

impl Given {
    fn add(&mut self, access: &Access) {
        self.access = true;
        for (has, more) in self.groups.iter_mut().zip(access.groups) {
            *has |= more;
        }
    }
}

/// How somebody's access differs from what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    Lacks,
    StillHas,
}

/// What came up, so that a simulation in which nothing happens is noticed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) passes: u32,
    pub(super) writes: usize,
    pub(super) held: u32,
    pub(super) deferred: u32,
    pub(super) failed: u32,
    pub(super) unknown: u32,
    pub(super) wrong: Minutes,
}

impl Seen {
    pub(super) fn add(&mut self, more: Self) {
        let Self { passes, writes, held, deferred, failed, unknown, wrong } = more;
        self.passes += passes;
        self.writes += writes;
        self.held += held;
        self.deferred += deferred;
        self.failed += failed;
        self.unknown += unknown;
        self.wrong.add(wrong);
    }
}

/// Minutes of wrong access of one account to one resource, by what excuses them.
#[derive(Debug, Default)]
pub(super) struct Minutes(BTreeMap<(Wrong, &'static str), u64>);

impl Minutes {
    pub(super) fn count(&mut self, wrong: Wrong, excuse: &'static str) {
        *self.0.entry((wrong, excuse)).or_default() += 1;
    }

    pub(super) fn add(&mut self, more: Self) {
        for (kind, minutes) in more.0 {
            *self.0.entry(kind).or_default() += minutes;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn print(&self, title: &str) {
        for ((wrong, excuse), minutes) in &self.0 {
            let word = if *wrong == Wrong::Lacks { "too short" } else { "too long" };
            println!("{title}: {minutes:>8} minutes {word}: {excuse}");
        }
    }
}

impl Simulation {
    pub(super) fn compare(&mut self, minute: Minute) {
        let second = minute * 60 + 1;
        let mut given = [[[Given::default(); 2]; RESOURCES.len()]; ACCOUNTS];
        for access in self.access.iter().filter(|access| access.start <= second && second < access.end) {
            let [ours, anyone] = &mut given[access.person][access.resource];
            anyone.add(access);
            if access.ours {
                ours.add(access);
            }
        }
        let at = self.upstream.instant(minute) + TimeDelta::seconds(1);
        let wanted = *self.truth.wanted(&self.settings, &self.upstream, minute, at);
        let anyone_counts = self.twin.really != SecondGrant::Taken;
        for (person, given) in given.iter().enumerate() {
            for ((name, [ours, anyone]), wanted) in RESOURCES.into_iter().zip(given).zip(wanted[person]) {
                let has = if anyone_counts { anyone } else { ours };
                let groups = wanted.groups;
                let lacks = groups.into_iter().zip(has.groups).any(|(wanted, has)| wanted && !has);
                let too_many = groups.into_iter().zip(ours.groups).any(|(wanted, has)| has && !wanted);
                let wrong = match wanted.access {
                    true if !has.access || lacks => Wrong::Lacks,
                    false if ours.access => Wrong::StillHas,
                    _ if too_many => Wrong::StillHas,
                    true | false => continue,
                };
                let Some(excuse) = self.excuse(minute, person, name, wrong) else {
                    panic!("{}", self.complaint(minute, person, name, wrong));
                };
                self.seen.wrong.count(wrong, excuse);
            }
        }
    }

    fn complaint(&self, minute: Minute, person: usize, name: &str, wrong: Wrong) -> String {
        let id = pair(person, name);
        let instant = |minute: &Minute| self.upstream.instant(*minute);
        let ours: Vec<String> = self
            .twin
            .ledger
            .iter()
            .filter(|own| own.grant.joins(&id))
            .map(|own| own.grant.terms().to_string())
            .collect();
        format!(
            "SIMULATION_SEED={}: at {} p{person} {} {name}; wrong since {:?}, last unseen at {:?}\n{}\nours: {ours:#?}",
            self.seed,
            instant(&minute),
            match wrong {
                Wrong::Lacks => "lacks",
                Wrong::StillHas => "still has",
            },
            self.stale.get(&id).map(instant),
            self.last_invisible.get(name).map(instant),
            self.plan,
        )
    }

    /// Reads strongDM's list anew, after somebody wrote to it.
    pub(super) fn list_access(&mut self) {
        let since = |at: DateTime<Utc>| (at - self.upstream.start).num_seconds();
        let people: Vec<AccountId> = (0..ACCOUNTS).map(account).collect();
        let resources = RESOURCES.map(resource_id);
        let access = self.twin.remote.iter().map(|found| Access {
            start: since(found.window.start()),
            end: since(found.window.end()),
            person: people.iter().position(|id| *id == found.pair.account).unwrap(),
            resource: resources.iter().position(|id| *id == found.pair.resource).unwrap(),
            ours: found.id.as_str().starts_with("ag-"),
            groups: GROUPS.map(|group| found.groups.contain(group)),
        });
        self.access = access.collect();
    }

    /// What excuses wrong access, if anything does.
    fn excuse(&self, minute: Minute, person: usize, name: &str, wrong: Wrong) -> Option<&'static str> {
        let id = &pair(person, name);
        let refuses = self.twin.really != SecondGrant::Taken;
        let invisible = self.last_invisible.get(name).copied();
        let stale = self
            .stale
            .get(id)
            .is_some_and(|since| minute - (*since).max(invisible.unwrap_or(*since)) <= INTERVAL + 1);
        let held =
            self.plan.held.iter().any(|grant| grant.joins(id)) && (wrong == Wrong::StillHas || refuses);
        let foreign = refuses
            && self.twin.remote.iter().any(|found| {
                found.id.as_str().starts_with("fg-")
                    && found.pair == *id
                    && found.window.end() > self.upstream.instant(minute)
            });
        let outage = refuses && wrong == Wrong::Lacks && invisible.is_some_and(|last| minute - last <= 2);
        // Nothing is granted farther ahead than the horizon of the last pass that saw it, and nothing before the first.
        // What has no end is renewed when half of that is left.
        let is_permanent = self.upstream.always == Some(person);
        let beyond = self.upstream.horizon * 24 * 60 / if is_permanent { 2 } else { 1 } - INTERVAL - 1;
        let is_unknown = |since: Minute| since == 0 || minute - since >= beyond;
        let unknown = wrong == Wrong::Lacks
            && invisible.is_some_and(|last| minute - last <= 2)
            && is_unknown(self.invisible_since[name]);
        let is_suspended = self.upstream.suspended == Some(person) && wrong == Wrong::StillHas;
        let since = |last: Option<Minute>| last.map_or(Minute::MAX, |last| minute - last);
        let clock = since(self.last_wrong_clock) <= INTERVAL + 1;
        // The other one begins within half a minute.
        let taken_over = since(self.taken_over) <= 1;
        let was_away = invisible.is_some_and(|last| minute - last <= INTERVAL + 1);
        let excuses = [
            (is_suspended, "the account is suspended and keeps what it has"),
            (held, "the guard holds it"),
            (foreign, "a foreign grant is in the way"),
            (clock, "the service's clock is or was wrong"),
            (taken_over, "a replica died or lost the lease, and another one took over"),
            (unknown, "PagerDuty, strongDM or the process was away for longer than the horizon"),
            (outage || stale && was_away, "PagerDuty, strongDM or the process is or was away"),
            (stale, "a change that nobody announced, or a write that failed"),
        ];
        excuses.into_iter().find(|(is_so, _)| *is_so).map(|(_, excuse)| excuse)
    }
}
