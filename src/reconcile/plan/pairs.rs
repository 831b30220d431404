//! What is known of one account and one resource, and what is decided about it: claims, our grants, other people's.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Deferred, Revocation,
    claims::{Claim, Claims},
    timeline::Timeline,
    wanted::WantedTerms,
};
use crate::{
    model::{
        Altered, Cause, Email, ForeignGrant, Grant, LedgerRow, NewGrant, OwnGrant, Pair, SecondGrant, Terms,
        Window, Windows, later,
    },
    reconcile::world::{Recorded, World},
};

/// Everything that is known of one account and one resource.
pub(super) struct PairFacts<'a> {
    pub(super) pair: Pair,
    email: &'a Email,
    /// The resource's name.
    resource: &'a str,
    /// Who is certainly entitled to it, and why.
    pub(super) claims: Timeline<&'a Claim>,
    /// The same as one set of instants.
    pub(super) wanted: Windows,
    /// The same with the groups that are wanted then.
    pub(super) terms: WantedTerms,
    /// Our grants that have not ended, by window, then age.
    pub(super) ours: Vec<&'a OwnGrant>,
    /// Other people's grants that have not ended.
    pub(super) foreign: Timeline<&'a ForeignGrant>,
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
    let mut pairs: BTreeMap<Pair, Found<'a>> = BTreeMap::new();
    for claim in &all_claims.certain {
        let Claim { pair, resource, email, window, .. } = claim;
        let of_pair = pairs.entry(pair.clone()).or_insert_with(|| Found::new(email, resource));
        of_pair.claims.push((*window, claim));
    }
    let Recorded { ledger, foreign, unsettled, refusals, altered, .. } = &world.recorded;
    for own in ledger.iter().filter(|own| own.grant.window.end() > now) {
        let Grant { resource, email, .. } = &own.grant;
        let of_pair = pairs.entry(own.grant.pair()).or_insert_with(|| Found::new(email, resource));
        of_pair.ours.push(own);
    }
    for foreign in foreign.iter().filter(|foreign| foreign.window.end() > now) {
        if let Some(of_pair) = pairs.get_mut(&foreign.pair) {
            of_pair.foreign.push((foreign.window, foreign));
        }
    }
    for refusal in refusals.iter().filter(|refusal| refusal.until > now) {
        if let Some(of_pair) = pairs.get_mut(&refusal.pair) {
            of_pair.refused_until = of_pair.refused_until.max(Some(refusal.until));
        }
    }
    for altered in altered.iter().filter(|altered| altered.until > now) {
        if let Some(of_pair) = pairs.get_mut(&altered.pair) {
            of_pair.altered.push(altered);
        }
    }
    let unsettled: BTreeSet<&Pair> = unsettled.iter().collect();
    let facts = pairs.into_iter().map(|(pair, found)| {
        let Found { email, resource, claims, mut ours, foreign, refused_until, altered } = found;
        ours.sort_by_key(|own| (own.grant.window, own.row));
        PairFacts {
            email,
            resource,
            wanted: claims.iter().map(|(window, _)| *window).collect(),
            terms: WantedTerms::union(claims.iter().map(|(window, claim)| (*window, &claim.groups))),
            claims: Timeline::new(claims),
            ours,
            foreign: Timeline::new(foreign),
            unsettled: unsettled.contains(&pair),
            pair,
            refused_until,
            altered,
            second_grant: world.recorded.second_grant,
            all_claims,
            now,
            horizon,
        }
    });
    facts.collect()
}

/// What was found of one pair so far.
struct Found<'a> {
    email: &'a Email,
    resource: &'a str,
    claims: Vec<(Window, &'a Claim)>,
    ours: Vec<&'a OwnGrant>,
    foreign: Vec<(Window, &'a ForeignGrant)>,
    refused_until: Option<DateTime<Utc>>,
    altered: Vec<&'a Altered>,
}

impl<'a> Found<'a> {
    fn new(email: &'a Email, resource: &'a str) -> Self {
        let (claims, ours, foreign, altered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { email, resource, claims, ours, foreign, refused_until: None, altered }
    }
}

impl PairFacts<'_> {
    /// The part of a grant between now and the horizon. What lies behind was not observed.
    pub(super) fn in_view(&self, own: &OwnGrant) -> Option<Window> {
        own.grant.window.from(self.now)?.until(later(self.now, self.horizon))
    }

    /// Whether somebody may be entitled to a part of `grant` that lies in `window`, although nobody certainly is.
    pub(super) fn may_be_wanted(&self, own: &OwnGrant, window: Window) -> bool {
        self.all_claims.possible.touch(own, window)
    }

    pub(super) fn new_grant(&self, Terms { window, groups: kubernetes_groups }: Terms) -> NewGrant {
        let causes: Vec<Cause> = self.causes(window).into_iter().cloned().collect();
        let mut rules: Vec<String> = causes.iter().map(|cause| cause.rule.clone()).collect();
        rules.dedup();
        let grant = Grant {
            id: None,
            email: self.email.clone(),
            name: None,
            account_id: self.pair.account.clone(),
            resource: self.resource.to_owned(),
            resource_id: self.pair.resource.clone(),
            window,
            kubernetes_groups,
            rules,
        };
        NewGrant { grant, causes }
    }

    /// The new attribution of a grant that stays, if it changed. One that nobody is known to want keeps its own.
    pub(super) fn relabel(&self, own: &OwnGrant) -> Option<(LedgerRow, Vec<Cause>)> {
        let causes = self.causes(own.grant.window.from(self.now)?);
        let is_new = !causes.is_empty() && !causes.iter().copied().eq(&own.causes);
        is_new.then(|| (own.row, causes.into_iter().cloned().collect()))
    }

    fn causes(&self, window: Window) -> Vec<&Cause> {
        let mut causes: Vec<&Cause> =
            self.claims.overlapping(window).into_iter().map(|claim| &claim.cause).collect();
        causes.sort();
        causes.dedup();
        causes
    }
}
