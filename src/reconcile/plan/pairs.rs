//! What is known of one account and one resource, and what is decided about it: claims, our grants, other people's.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::from_fn,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Deferred, Revocation,
    claims::{Claim, Claims},
    timeline::Timeline,
    wanted::WantedTerms,
};
use crate::{
    model::{
        AccountId, Altered, Cause, Email, ForeignGrant, Grant, LedgerRow, NewGrant, OwnGrant, Pair,
        ResourceId, SecondGrant, Terms, Window, Windows, later,
    },
    reconcile::world::{Recorded, World},
};

/// Everything that is known of one account and one resource.
pub(super) struct PairFacts<'a> {
    account: &'a AccountId,
    pub(super) resource_id: &'a ResourceId,
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
    /// A horizon from now.
    pub(super) view_ends: DateTime<Utc>,
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
    let Recorded { ledger, foreign, unsettled, refusals, altered, .. } = &world.recorded;
    let foreign = foreign.iter().filter(|foreign| foreign.window.end() > now);
    let mut foreign = by_pair(foreign.map(|foreign| (&foreign.pair, (foreign.window, foreign))));
    let refusals = refusals.iter().filter(|refusal| refusal.until > now);
    let mut refusals = by_pair(refusals.map(|refusal| (&refusal.pair, refusal.until)));
    let altered = altered.iter().filter(|altered| altered.until > now);
    let mut altered = by_pair(altered.map(|altered| (&altered.pair, altered)));
    let unsettled: BTreeSet<Key<'_>> = unsettled.iter().map(key).collect();

    let mut ours: Vec<&OwnGrant> = ledger.iter().filter(|own| own.grant.window.end() > now).collect();
    ours.sort_unstable_by(|one, other| one.by_pair().cmp(&other.by_pair()));
    let mut claims: Vec<&Claim> = all_claims.certain.iter().collect();
    claims.sort_unstable();
    let of_ours = ours.iter().map(|own| own.grant.pair_ids());
    let mut pairs: Vec<Key<'_>> = of_ours.chain(claims.iter().map(|claim| key(&claim.pair))).collect();
    // Two runs in order, which this sort merges.
    pairs.sort();
    pairs.dedup();
    let (mut ours, mut claims) = (ours.into_iter().peekable(), claims.into_iter().peekable());
    let view_ends = later(now, horizon);
    // All three are in the order of pairs.
    let facts = pairs.into_iter().map(|pair| {
        let (account, resource_id) = pair;
        let ours: Vec<&OwnGrant> = from_fn(|| ours.next_if(|own| own.grant.pair_ids() == pair)).collect();
        let claims: Vec<&Claim> = from_fn(|| claims.next_if(|claim| key(&claim.pair) == pair)).collect();
        let of_claim = claims.first().map(|claim| (&claim.email, claim.resource.as_str()));
        let of_ours = ours.first().map(|own| (&own.grant.email, own.grant.resource.as_str()));
        let (email, resource) = of_claim.or(of_ours).expect("a pair is of a claim or of a grant");
        let foreign = foreign.remove(&pair).unwrap_or_default();
        PairFacts {
            account,
            resource_id,
            email,
            resource,
            wanted: claims.iter().map(|claim| claim.window).collect(),
            terms: WantedTerms::union(claims.iter().map(|claim| (claim.window, &claim.groups))),
            claims: Timeline::new(claims.into_iter().map(|claim| (claim.window, claim))),
            ours,
            foreign: Timeline::new(foreign),
            unsettled: unsettled.contains(&pair),
            refused_until: refusals.remove(&pair).into_iter().flatten().max(),
            altered: altered.remove(&pair).unwrap_or_default(),
            second_grant: world.recorded.second_grant,
            all_claims,
            now,
            horizon,
            view_ends,
        }
    });
    facts.collect()
}

/// A pair without copies: there are thousands of grants, and few of them change.
type Key<'a> = (&'a AccountId, &'a ResourceId);

fn key(pair: &Pair) -> Key<'_> {
    (&pair.account, &pair.resource)
}

fn by_pair<'a, T>(things: impl Iterator<Item = (&'a Pair, T)>) -> BTreeMap<Key<'a>, Vec<T>> {
    let mut by_pair: BTreeMap<Key<'a>, Vec<T>> = BTreeMap::new();
    for (pair, thing) in things {
        by_pair.entry(key(pair)).or_default().push(thing);
    }
    by_pair
}

impl PairFacts<'_> {
    pub(super) fn pair(&self) -> Pair {
        Pair { account: self.account.clone(), resource: self.resource_id.clone() }
    }

    /// The part of a grant between now and the horizon. What lies behind was not observed.
    pub(super) fn in_view(&self, own: &OwnGrant) -> Option<Window> {
        own.grant.window.from(self.now)?.until(self.view_ends)
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
            account_id: self.account.clone(),
            resource: self.resource.to_owned(),
            resource_id: self.resource_id.clone(),
            window,
            kubernetes_groups,
            rules,
        };
        NewGrant { grant, causes }
    }

    /// The new attribution of a grant that stays, if it changed. One that nobody is known to want keeps its own, and none
    /// loses a rule of which this look could not tell all that it wants: what that rule gave is protected by it.
    pub(super) fn relabel(&self, own: &OwnGrant) -> Option<(LedgerRow, Vec<Cause>)> {
        let certain = self.causes(own.grant.window.from(self.now)?);
        if certain.is_empty() {
            return None;
        }
        let is_told_anew = |cause: &Cause| {
            let is_same =
                |new: &&Cause| new.rule == cause.rule && new.source == cause.source && new.user == cause.user;
            certain.iter().any(is_same)
        };
        let is_uncertain =
            |cause: &&Cause| self.all_claims.doubtful.contains(&cause.rule) && !is_told_anew(cause);
        let mut causes: Vec<&Cause> = own.causes.iter().filter(is_uncertain).collect();
        causes.extend(certain);
        causes.sort();
        let is_new = !causes.iter().copied().eq(&own.causes);
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
