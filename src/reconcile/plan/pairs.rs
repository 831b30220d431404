//! What is known of one account and one resource, and what is decided about it: claims, our grants, other people's.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Deferred, Revocation,
    claims::{Claim, Claims},
};
use crate::{
    model::{
        Altered, Cause, Email, ForeignGrant, Grant, LedgerRow, NewGrant, OwnGrant, Pair, SecondGrant, Window,
        Windows, later,
    },
    reconcile::world::World,
};

/// Everything that is known of one account and one resource.
pub(super) struct PairFacts<'a> {
    pub(super) pair: Pair,
    email: &'a Email,
    /// The resource's name.
    resource: &'a str,
    /// Who is certainly entitled to it, and why.
    pub(super) claims: Vec<&'a Claim>,
    /// Our grants that have not ended, by window, then age.
    pub(super) ours: Vec<&'a OwnGrant>,
    /// Other people's grants that have not ended, by window.
    pub(super) foreign: Vec<&'a ForeignGrant>,
    /// An earlier write to the pair has an unknown outcome.
    pub(super) unsettled: bool,
    /// strongDM refuses grants for this pair, and will not be asked again before.
    pub(super) refused_until: Option<DateTime<Utc>>,
    /// Windows that strongDM did not store as asked, and that are not to be asked for again yet.
    pub(super) altered: Vec<&'a Altered>,
    pub(super) second_grant: SecondGrant,
    /// The claims and possibilities of all pairs.
    pub(super) all_claims: &'a Claims,
    pub(super) now: DateTime<Utc>,
    pub(super) horizon: TimeDelta,
}

/// What to do about one pair.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub(super) create: Vec<NewGrant>,
    pub(super) revoke: Vec<Revocation>,
    pub(super) deferred: Vec<Deferred>,
    pub(super) relabelled: Vec<(LedgerRow, Vec<Cause>)>,
    /// How many grants of ours stay.
    pub(super) kept: usize,
    /// When the pair is to be looked at again, beside the boundaries of what is wanted or deferred.
    pub(super) look_again: Option<DateTime<Utc>>,
    /// strongDM refuses a second grant, so the old one must go before the new one comes.
    pub(super) revoke_first: bool,
}

/// Brings together what is wanted, what is ours and what is in the way, for each account and resource.
pub(super) fn gather<'a>(
    now: DateTime<Utc>,
    horizon: TimeDelta,
    world: &'a World,
    all_claims: &'a Claims,
) -> Vec<PairFacts<'a>> {
    let facts = |pair: &Pair, email: &'a Email, resource: &'a str| {
        let refusals = world.recorded.refusals.iter().filter(|refusal| refusal.pair == *pair);
        PairFacts {
            pair: pair.clone(),
            email,
            resource,
            claims: Vec::new(),
            ours: Vec::new(),
            foreign: Vec::new(),
            unsettled: world.recorded.unsettled.contains(pair),
            refused_until: refusals.map(|refusal| refusal.until).filter(|until| *until > now).max(),
            altered: Vec::new(),
            second_grant: world.recorded.second_grant,
            all_claims,
            now,
            horizon,
        }
    };
    let mut pairs: BTreeMap<Pair, PairFacts<'a>> = BTreeMap::new();
    for claim in &all_claims.certain {
        let Claim { pair, resource, email, window: _, cause: _ } = claim;
        let of_pair = pairs.entry(pair.clone()).or_insert_with_key(|pair| facts(pair, email, resource));
        of_pair.claims.push(claim);
    }
    for own in world.recorded.ledger.iter().filter(|own| own.grant.window.end() > now) {
        let Grant { resource, email, .. } = &own.grant;
        let of_pair = pairs.entry(own.grant.pair()).or_insert_with_key(|pair| facts(pair, email, resource));
        of_pair.ours.push(own);
    }
    for foreign in world.recorded.foreign.iter().filter(|foreign| foreign.window.end() > now) {
        if let Some(of_pair) = pairs.get_mut(&foreign.pair) {
            of_pair.foreign.push(foreign);
        }
    }
    for altered in world.recorded.altered.iter().filter(|altered| altered.until > now) {
        if let Some(of_pair) = pairs.get_mut(&altered.pair) {
            of_pair.altered.push(altered);
        }
    }
    let mut pairs: Vec<PairFacts<'a>> = pairs.into_values().collect();
    for facts in &mut pairs {
        facts.ours.sort_by_key(|own| (own.grant.window, own.row));
        facts.foreign.sort_by_key(|foreign| foreign.window);
    }
    pairs
}

impl PairFacts<'_> {
    /// The part of a grant between now and the horizon. What lies behind was not observed.
    pub(super) fn in_view(&self, own: &OwnGrant) -> Option<Window> {
        own.grant.window.from(self.now)?.until(later(self.now, self.horizon))
    }

    /// What is certainly wanted.
    pub(super) fn wanted(&self) -> Windows {
        self.claims.iter().map(|claim| claim.window).collect()
    }

    /// Whether somebody may be entitled to a part of `grant` that lies in `window`, although nobody certainly is.
    pub(super) fn may_be_wanted(&self, own: &OwnGrant, window: Window) -> bool {
        self.all_claims.may_want(own, window)
    }

    pub(super) fn new_grant(&self, window: Window) -> NewGrant {
        let causes = self.causes(window);
        let mut rules: Vec<String> = causes.iter().map(|cause| cause.rule.clone()).collect();
        rules.dedup();
        let grant = Grant {
            id: None,
            email: self.email.clone(),
            account_id: self.pair.account.clone(),
            resource: self.resource.to_owned(),
            resource_id: self.pair.resource.clone(),
            window,
            rules,
        };
        NewGrant { grant, causes }
    }

    /// The new attribution of a grant that stays, if it changed. One that nobody is known to want keeps its own.
    pub(super) fn relabel(&self, own: &OwnGrant) -> Option<(LedgerRow, Vec<Cause>)> {
        let causes = self.causes(own.grant.window.from(self.now)?);
        (!causes.is_empty() && causes != own.causes).then_some((own.row, causes))
    }

    fn causes(&self, window: Window) -> Vec<Cause> {
        let claims = self.claims.iter().filter(|claim| claim.window.overlaps(&window));
        let mut causes: Vec<Cause> = claims.map(|claim| claim.cause.clone()).collect();
        causes.sort();
        causes.dedup();
        causes
    }
}
