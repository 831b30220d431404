//! The decision: who must have which grant until when, and what to do about it. Pure: values in, values out, no
//! clock, no I/O, no async.
//!
//! Why it cannot lock out a responder, in the order of the code:
//!
//! 1. `claims.rs` turns rules and observations into *claims* (certain: this account, this resource, this window)
//!    and *possibilities* (somebody may be entitled to something, but a look-up failed, was not made, or named
//!    nobody). Certain claims lead to grants. Possibilities lead to nothing, and protect.
//! 2. `coverage.rs` looks at one account and resource at a time. A grant of ours is due for revocation only if it
//!    gives access at an instant between now and the horizon that no claim covers **and** no possibility touches
//!    it. All else is left alone.
//! 3. What the revoked grant covered rightly is granted anew: before the revocation where strongDM takes a second
//!    grant, right after it where it does not. The steps of one account and resource are one ordered list, and a
//!    step is not done if an earlier step that overlaps it failed. If something stays in the way of the new grant,
//!    the old one stays too.
//! 4. If more grants in force are due than the guard allows, none is revoked, and the decision is made again with
//!    all of them left in place.

mod claims;
mod coverage;
mod describe;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use self::{
    claims::{Claim, Claims},
    coverage::{Decision, PairFacts},
};
use super::world::World;
use crate::model::{
    Aliases, Cause, Email, FOREVER, Fault, Grant, LedgerRow, NewGrant, Pair, Rule, Source, Window,
};

/// The operator's part of the decision.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which on-calls give access to what.
    pub rules: Vec<Rule>,
    /// Whose strongDM address differs from the one in PagerDuty.
    pub aliases: Aliases,
    /// How far ahead shifts are granted.
    pub horizon: TimeDelta,
    /// How many grants in force one pass may revoke.
    pub max_revocations: usize,
}

/// What is to be done, and what was decided not to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes, by account and resource. Different pairs are independent of each other.
    pub pairs: Vec<PairActions>,
    /// Revocations that the guard stopped.
    pub held: Vec<Grant>,
    /// Windows that wait for the grant in their way.
    pub deferred: Vec<Deferred>,
    /// People, resources and filters that nothing could be done about.
    pub skipped: Vec<Skipped>,
    /// What could not be observed.
    pub unknown: Vec<Unknown>,
    /// Pairs left alone, because an earlier write to them has an unknown outcome.
    pub unsettled: Vec<Pair>,
    /// Grants that stay but are wanted for other causes than the store says.
    pub relabelled: Vec<(LedgerRow, Vec<Cause>)>,
    /// How many grants stay as they are.
    pub unchanged: usize,
    /// Who is certainly entitled to what, for people to look at.
    pub wanted: Vec<Wanted>,
    /// How many on-calls the rules selected.
    pub on_calls: usize,
    /// The next instant at which anything changes by itself.
    pub next_wake: Option<DateTime<Utc>>,
}

/// What one on-call entitles to by one rule, from the moment of the plan on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whom, by the address in strongDM.
    pub email: Email,
    /// The resource's name.
    pub resource: String,
    /// From when to when; an open end reaches to [`FOREVER`].
    pub window: Window,
    /// Why.
    pub cause: Cause,
}

/// The ordered writes for one account and resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairActions {
    /// The account and the resource.
    pub pair: Pair,
    /// A step is not done if an earlier one that overlaps it failed.
    pub steps: Vec<Action>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make this grant.
    Create(NewGrant),
    /// Take this grant of ours back.
    Revoke(Revocation),
}

impl Action {
    /// The grant it is about.
    pub fn grant(&self) -> &Grant {
        match self {
            Self::Create(new) => &new.grant,
            Self::Revoke(revocation) => &revocation.grant,
        }
    }
}

/// A grant of ours to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its row in our store.
    pub row: LedgerRow,
    /// The grant.
    pub grant: Grant,
    /// Why.
    pub why: RevocationReason,
    /// The guard would have held it, but this pass was allowed to revoke.
    pub released: bool,
}

/// Why a grant of ours is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// No rule wants any of it.
    NotWanted,
    /// The same: whoever it was made for is on call, but counts under another strongDM address by now.
    OtherAddress,
    /// A rule wants only a part of it, which is granted anew.
    TooLong,
    /// Another grant of ours covers all of it.
    Duplicate,
    /// strongDM takes one grant only, and an earlier window is wanted.
    InTheWay,
}

/// A wanted window that strongDM would refuse now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// The grant that is wanted.
    pub grant: Grant,
    /// When it is tried again; none while a grant without an end is in the way.
    pub until: Option<DateTime<Utc>>,
}

/// A record that could not be used; everything else went on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong with it.
    pub reason: SkipReason,
    /// The rules that name it.
    pub rules: BTreeSet<String>,
    /// When the first shift that it concerns starts, if it is about a person.
    pub first_shift: Option<DateTime<Utc>>,
}

/// Whom or what a skipped record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A person, by the e-mail address in strongDM or, if that is unusable, as PagerDuty has it.
    Email(String),
    /// A person without an e-mail address, by PagerDuty user ID.
    User(String),
    /// A resource name.
    Resource(String),
    /// A resource filter.
    Filter(String),
}

/// Why a record was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// No strongDM user account has the address.
    NoAccount,
    /// The account may not log in; nothing new is granted, what exists is left to end.
    AccountSuspended,
    /// Several accounts have the address.
    AmbiguousAccount,
    /// PagerDuty knows no e-mail address, or the user is deleted.
    NoEmail,
    /// The address is not safe to look up.
    InvalidEmail,
    /// No resource has the name.
    ResourceNotFound,
    /// Several resources have the name.
    AmbiguousResource,
    /// strongDM does not accept the filter or name.
    FilterRefused,
}

/// Something that could not be observed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unknown {
    /// What was asked.
    pub about: Asked,
    /// What went wrong, and what mends it.
    pub error: Fault,
}

/// What an unanswered question was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// The on-calls of a schedule or escalation policy.
    OnCalls(Source),
    /// A PagerDuty user's e-mail address.
    User(String),
    /// The account of an e-mail address.
    Account(Email),
    /// The resources of a name or filter.
    Resource(String),
    /// What became of an earlier write.
    Write(Pair),
    /// strongDM's list of all grants.
    GrantList,
}

/// Decides what to do at `now`.
///
/// `allow_mass_revocation` lifts the guard for this one plan. Planning again after the plan was carried out gives
/// no steps; the order of anything in `world` does not matter.
pub fn plan(now: DateTime<Utc>, settings: &Settings, world: &World, allow_mass_revocation: bool) -> Plan {
    // Windows are whole seconds; a rest of one would make the horizon differ between two of them.
    let now = now.trunc_subsecs(0);
    let claims = Claims::gather(now, settings, world);
    let pairs = pairs(now, settings.horizon, world, &claims);
    let decide = |hold: bool| -> Vec<Decision> { pairs.iter().map(|pair| pair.decide(hold)).collect() };

    let mut decisions = decide(false);
    let due_in_force = decisions.iter().flat_map(|decision| &decision.revoke);
    let over = due_in_force.filter(|due| due.grant.window.contains(now)).count() > settings.max_revocations;
    let hold = over && !allow_mass_revocation;
    let mut plan = Plan { on_calls: claims.on_calls, skipped: claims.skipped(), ..Plan::default() };
    plan.wanted = claims.certain.iter().map(Wanted::from).collect();
    if hold {
        plan.held = decisions.into_iter().flat_map(|decision| decision.revoke).map(|due| due.grant).collect();
        decisions = decide(true);
    }
    for revocation in decisions.iter_mut().flat_map(|decision| &mut decision.revoke) {
        revocation.released = over;
    }
    let mut wakes: BTreeSet<DateTime<Utc>> = claims.boundaries(now);
    for (pair, decision) in pairs.iter().zip(decisions) {
        let Decision { create, revoke, deferred, relabelled, kept, look_again, revoke_first } = decision;
        if pair.unsettled {
            plan.unsettled.push(pair.pair.clone());
        }
        wakes.extend(deferred.iter().filter_map(|deferred| deferred.until));
        wakes.extend(look_again);
        plan.unchanged += kept;
        plan.relabelled.extend(relabelled);
        plan.deferred.extend(deferred);
        let creations = create.into_iter().map(Action::Create);
        let revocations = revoke.into_iter().map(Action::Revoke);
        let steps: Vec<Action> = if revoke_first {
            revocations.chain(creations).collect()
        } else {
            creations.chain(revocations).collect()
        };
        if !steps.is_empty() {
            plan.pairs.push(PairActions { pair: pair.pair.clone(), steps });
        }
    }
    plan.unchanged -= plan.held.len();
    plan.unknown = claims.unknown.into_iter().collect();
    plan.next_wake = wakes.into_iter().find(|wake| *wake > now && *wake < FOREVER);
    plan
}

/// Brings together what is wanted, what is ours and what is in the way, for each account and resource.
fn pairs<'a>(
    now: DateTime<Utc>,
    horizon: TimeDelta,
    world: &'a World,
    claims: &'a Claims,
) -> Vec<PairFacts<'a>> {
    let mut pairs: BTreeMap<Pair, PairFacts<'a>> = BTreeMap::new();
    for claim in &claims.certain {
        let Claim { pair, resource, email, .. } = claim;
        pairs
            .entry(pair.clone())
            .or_insert_with_key(|pair| PairFacts::new(now, horizon, world, claims, pair, email, resource))
            .claims
            .push(claim);
    }
    for own in world.ledger.iter().filter(|own| own.grant.window.end() > now) {
        let Grant { resource, email, .. } = &own.grant;
        pairs
            .entry(own.grant.pair())
            .or_insert_with_key(|pair| PairFacts::new(now, horizon, world, claims, pair, email, resource))
            .ours
            .push(own);
    }
    for foreign in world.foreign.iter().filter(|foreign| foreign.window.end() > now) {
        if let Some(pair) = pairs.get_mut(&foreign.pair) {
            pair.foreign.push(foreign);
        }
    }
    let mut pairs: Vec<PairFacts<'a>> = pairs.into_values().collect();
    for pair in &mut pairs {
        pair.ours.sort_by_key(|own| (own.grant.window, own.row));
        pair.foreign.sort_by_key(|foreign| foreign.window);
    }
    pairs
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
