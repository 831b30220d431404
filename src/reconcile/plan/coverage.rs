//! One account and one resource: what is wanted, what is there, and the difference.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::{
    Deferred, Revocation, RevocationReason,
    claims::{Claim, Claims},
};
use crate::{
    model::{
        Cause, Email, FOREVER, ForeignGrant, Grant, LedgerRow, NewGrant, OwnGrant, Pair, SecondGrant, Window,
        Windows, later,
    },
    reconcile::world::World,
};

/// Everything that is known about one account and one resource.
pub(super) struct PairFacts<'a> {
    pub(super) pair: Pair,
    email: &'a Email,
    /// The resource's name.
    resource: &'a str,
    pub(super) claims: Vec<&'a Claim>,
    /// Our grants that have not ended, by window, then age.
    pub(super) ours: Vec<&'a OwnGrant>,
    /// Other people's grants that have not ended, by window.
    pub(super) foreign: Vec<&'a ForeignGrant>,
    pub(super) unsettled: bool,
    /// strongDM refuses grants for this pair, and will not be asked again before.
    refused_until: Option<DateTime<Utc>>,
    second_grant: SecondGrant,
    all_claims: &'a Claims,
    now: DateTime<Utc>,
    horizon: TimeDelta,
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

/// Which grants stay although they are due for revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// Those of which a part is wanted.
    Useful,
    Everything,
}

impl<'a> PairFacts<'a> {
    pub(super) fn new(
        now: DateTime<Utc>,
        horizon: TimeDelta,
        world: &World,
        all_claims: &'a Claims,
        pair: &Pair,
        email: &'a Email,
        resource: &'a str,
    ) -> Self {
        let refusals = world.refusals.iter().filter(|refusal| refusal.pair == *pair);
        Self {
            refused_until: refusals.map(|refusal| refusal.until).filter(|until| *until > now).max(),
            unsettled: world.unsettled.contains(pair),
            pair: pair.clone(),
            email,
            resource,
            claims: Vec::new(),
            ours: Vec::new(),
            foreign: Vec::new(),
            second_grant: world.second_grant,
            all_claims,
            now,
            horizon,
        }
    }

    /// The decision for this pair. With `hold`, no grant is revoked.
    pub(super) fn decide(&self, hold: bool) -> Decision {
        if self.unsettled {
            return Decision { kept: self.ours.len(), ..Decision::default() };
        }
        let decision = self.decide_holding(if hold { Hold::Everything } else { Hold::Nothing });
        if !self.takes_away_what_is_wanted(&decision) {
            return decision;
        }
        // Access for too long does less harm than a responder without access.
        let retry = decision.deferred.iter().filter_map(|deferred| deferred.until).min();
        let safe = self.decide_holding(Hold::Useful);
        Decision { look_again: retry.into_iter().chain(safe.look_again).min(), ..safe }
    }

    /// Whether a part of a grant that is to be revoked is wanted, but could not be granted anew in time, because
    /// something stays in the way.
    fn takes_away_what_is_wanted(&self, decision: &Decision) -> bool {
        let foreign: Windows = self.foreign.iter().map(|foreign| foreign.window).collect();
        let useful = || decision.revoke.iter().filter(|due| due.why == RevocationReason::TooLong);
        decision.deferred.iter().any(|Deferred { grant, until }| {
            let waits = grant.window.until(until.unwrap_or(FOREVER));
            let gaps = waits.map(|waits| foreign.missing_from(waits)).unwrap_or_default();
            gaps.iter().any(|gap| useful().any(|due| due.grant.window.overlaps(gap)))
        })
    }

    fn decide_holding(&self, hold: Hold) -> Decision {
        let wanted: Windows = self.claims.iter().map(|claim| claim.window).collect();
        let (mut kept, mut revoke) = self.sort_out(&wanted, hold);
        let (mut missing, mut look_again) = self.missing(&wanted, &kept);
        if self.second_grant == SecondGrant::Refused && hold != Hold::Everything {
            let displaced = self.displace(&mut kept, &wanted, &missing);
            if !displaced.is_empty() {
                revoke.extend(displaced);
                (missing, look_again) = self.missing(&wanted, &kept);
            }
        }
        let (create, deferred) = self.without_conflict(missing, &kept);
        if !deferred.is_empty() {
            // Where several are in the way, the end of the first may let the others be displaced.
            look_again = self.first_end(&kept).into_iter().chain(look_again).min();
        }
        let grants = |windows: Vec<Window>| windows.into_iter().map(|window| self.new_grant(window));
        Decision {
            create: grants(create).collect(),
            deferred: deferred
                .into_iter()
                .map(|(window, until)| Deferred { grant: self.new_grant(window).grant, until })
                .collect(),
            relabelled: kept.iter().filter_map(|own| self.relabel(own)).collect(),
            kept: kept.len(),
            revoke,
            look_again,
            revoke_first: self.second_grant != SecondGrant::Taken,
        }
    }

    fn first_end(&self, kept: &[&OwnGrant]) -> Option<DateTime<Utc>> {
        let ours = kept.iter().map(|own| own.grant.window.end());
        ours.chain(self.foreign.iter().map(|foreign| foreign.window.end())).min()
    }

    /// Tells the grants that stay from those that are due for revocation.
    fn sort_out(&self, wanted: &Windows, hold: Hold) -> (Vec<&'a OwnGrant>, Vec<Revocation>) {
        let (mut kept, mut revoke): (Vec<&OwnGrant>, Vec<Revocation>) = (Vec::new(), Vec::new());
        for own in &self.ours {
            match (self.due(own, wanted), hold) {
                (None, _) | (Some(_), Hold::Everything) | (Some(RevocationReason::TooLong), Hold::Useful) => {
                    kept.push(own);
                }
                (Some(why), Hold::Nothing | Hold::Useful) => revoke.push(revocation(own, why)),
            }
        }
        if hold == Hold::Everything {
            return (kept, revoke);
        }
        let certain: Vec<&OwnGrant> = kept
            .iter()
            .copied()
            .filter(|own| self.in_view(own).is_some_and(|in_view| wanted.cover(in_view)))
            .collect();
        kept.retain(|own| {
            let duplicate = self.is_duplicate(own, &certain);
            if duplicate {
                revoke.push(revocation(own, RevocationReason::Duplicate));
            }
            !duplicate
        });
        (kept, revoke)
    }

    /// Whether coverage stays the same without this grant, because a grant that certainly stays contains it; of
    /// equal ones the oldest stays.
    fn is_duplicate(&self, own: &OwnGrant, certain: &[&OwnGrant]) -> bool {
        let rest = |own: &OwnGrant| own.grant.window.from(self.now);
        let contained = certain.iter().any(|other| match (rest(other), rest(own)) {
            (Some(outer), Some(inner)) if outer == inner => other.row < own.row,
            (Some(outer), Some(inner)) => outer.start() <= inner.start() && inner.end() <= outer.end(),
            _ => false,
        });
        contained && self.in_view(own).is_some_and(|in_view| !self.all_claims.may_want(&own.grant, in_view))
    }

    /// The part of a grant between now and the horizon. What lies behind was not observed.
    fn in_view(&self, own: &OwnGrant) -> Option<Window> {
        own.grant.window.from(self.now)?.until(later(self.now, self.horizon))
    }

    /// Why a grant of ours should go, if it should: it gives access between now and the horizon that nobody is
    /// known or suspected to want.
    fn due(&self, own: &OwnGrant, wanted: &Windows) -> Option<RevocationReason> {
        let in_view = self.in_view(own)?;
        let excess = wanted.missing_from(in_view);
        if excess.is_empty() || self.all_claims.may_want(&own.grant, in_view) {
            return None;
        }
        let useful = excess != [in_view];
        // While strongDM refuses this pair, what the grant rightly covers could not be granted again.
        if useful && self.refused_until.is_some() {
            return None;
        }
        Some(match useful {
            true => RevocationReason::TooLong,
            false if self.all_claims.moved_on(own) => RevocationReason::OtherAddress,
            false => RevocationReason::NotWanted,
        })
    }

    /// What is wanted and not covered by `kept`, and when a rolling grant is to be renewed.
    fn missing(&self, wanted: &Windows, kept: &[&OwnGrant]) -> (Vec<Window>, Option<DateTime<Utc>>) {
        let covered: Windows = kept.iter().map(|own| own.grant.window).collect();
        let (mut missing, mut renew_at) = (Vec::new(), None);
        // Shifts that end are granted whole at once, also where an on-call without an end goes on after them.
        let ends = self.claims.iter().map(|claim| claim.window.end()).filter(|end| *end < FOREVER);
        let last_end = ends.max().unwrap_or(self.now);
        for window in wanted.iter() {
            if window.end() < FOREVER {
                missing.extend(covered.missing_from(*window));
                continue;
            }
            let Some(rolling) = window.until(later(self.now, self.horizon).max(last_end)) else { continue };
            missing.extend(covered.missing_from(rolling));
            let tail =
                missing.last().filter(|tail| tail.start() > rolling.start() && tail.end() == rolling.end());
            let runs_until = tail.map_or(rolling.end(), Window::start);
            let renew = (runs_until - self.horizon / 2).trunc_subsecs(0);
            if renew > self.now && (tail.is_none() || runs_until >= last_end) {
                renew_at = Some(renew);
                if tail.is_some() {
                    missing.pop();
                }
            }
        }
        (missing, renew_at)
    }

    /// Where strongDM takes one grant only: takes our later grants out of the way of an earlier window.
    fn displace(
        &self,
        kept: &mut Vec<&'a OwnGrant>,
        wanted: &Windows,
        missing: &[Window],
    ) -> Vec<Revocation> {
        let Some(first) = missing.first() else { return Vec::new() };
        if self.refused_until.is_some() || !self.foreign.is_empty() {
            return Vec::new();
        }
        // What is certainly wanted is granted anew in its turn; what is only suspected would be lost.
        let stays = |own: &OwnGrant| {
            let window = own.grant.window;
            window.start() <= first.start().max(self.now)
                || !wanted.cover(window) && self.all_claims.may_want(&own.grant, window)
        };
        if kept.iter().any(|own| stays(own)) {
            return Vec::new();
        }
        kept.drain(..).map(|own| revocation(own, RevocationReason::InTheWay)).collect()
    }

    /// Splits what is missing into what strongDM takes now and what must wait until when.
    #[expect(clippy::type_complexity, reason = "two lists with one reader")]
    fn without_conflict(
        &self,
        missing: Vec<Window>,
        kept: &[&OwnGrant],
    ) -> (Vec<Window>, Vec<(Window, Option<DateTime<Utc>>)>) {
        if let Some(until) = self.refused_until {
            return (Vec::new(), missing.into_iter().map(|window| (window, Some(until))).collect());
        }
        let foreign: Windows = self.foreign.iter().map(|foreign| foreign.window).collect();
        let until = |at: DateTime<Utc>| (at < FOREVER).then_some(at);
        let (mut create, mut deferred) = (Vec::new(), Vec::new());
        match self.second_grant {
            SecondGrant::Taken => create = missing,
            SecondGrant::RefusedIfOverlapping => {
                for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                    let Some(blocker) = foreign.iter().find(|blocker| blocker.overlaps(&window)) else {
                        create.push(window);
                        continue;
                    };
                    create.extend(window.until(blocker.start()));
                    deferred.extend(window.from(blocker.start()).map(|rest| (rest, until(blocker.end()))));
                }
            }
            SecondGrant::Refused => {
                let ours = kept.iter().map(|own| own.grant.window);
                let mut in_the_way = ours.chain(foreign.iter().copied()).map(|window| window.end()).max();
                for window in missing.into_iter().filter(|window| !foreign.cover(*window)) {
                    if let Some(end) = in_the_way {
                        deferred.push((window, until(end)));
                    } else {
                        in_the_way = Some(window.end());
                        create.push(window);
                    }
                }
            }
        }
        (create, deferred)
    }

    fn new_grant(&self, window: Window) -> NewGrant {
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
    fn relabel(&self, own: &OwnGrant) -> Option<(LedgerRow, Vec<Cause>)> {
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

fn revocation(own: &OwnGrant, why: RevocationReason) -> Revocation {
    Revocation { row: own.row, grant: own.grant.clone(), why, released: false }
}
