//! Which of the revocations that are due may be done: those that two complete looks agree on, and of these no more than
//! the guard allows.
//!
//! One wrong answer must not lock anybody out, so the first look that finds a grant due only writes that down. The
//! guard is there against an answer that stays wrong for many: what it holds once, it holds until somebody confirms it
//! or a look finds that enough of it is wanted again. Grants that end meanwhile go on counting, or time would free the
//! rest.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Released, Revocation, RevocationReason, Settings,
    pairs::{Decision, PairFacts},
    timeline::Timeline,
};
use crate::{
    model::{
        BETWEEN_LOOKS, DueRevocation, DueRevocations, FirstLooks, Grant, LedgerRow, OwnGrant, ResourceId,
        Rule, SecondLook, Source, Window, Windows, later,
    },
    reconcile::world::World,
};

/// A grant that starts within this time is as good as in force: whoever is about to need it plans with it.
const SOON: TimeDelta = TimeDelta::hours(1);
/// The guard counts over this time.
const COUNTED_FOR: TimeDelta = TimeDelta::minutes(1);

/// What may become of the grants that are due.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// The guard keeps these.
    pub(super) held: BTreeSet<LedgerRow>,
    /// A second look must agree first.
    pub(super) awaiting: BTreeSet<LedgerRow>,
    pub(super) second_look: Option<SecondLook>,
    /// What the next look must know.
    pub(super) due: DueRevocations,
    /// The guard would have held what goes, but somebody confirmed it.
    pub(super) released: bool,
}

/// One grant that is due.
struct Due<'d> {
    own: &'d OwnGrant,
    /// The access that goes with it.
    lost: Vec<Window>,
    /// The groups that go while access stays, by name.
    lost_groups: BTreeMap<String, Vec<Window>>,
    /// Since when all looks agree.
    since: DateTime<Utc>,
    first_looks: FirstLooks,
    is_agreed: bool,
    was_held: bool,
    /// The guard counts it: access goes now or soon, and nobody takes the place.
    counts: bool,
}

/// Whether a revocation takes a second look. One that makes room for what is wanted earlier takes none unless it is in
/// force: whoever is on call now must not wait.
pub(super) fn needs_second_look(now: DateTime<Utc>, revocation: &Revocation) -> bool {
    match revocation.reason {
        RevocationReason::NotWanted
        | RevocationReason::OtherAddress
        | RevocationReason::TooLong
        | RevocationReason::OtherGroups => true,
        // All that goes comes back at once.
        RevocationReason::MoreGroups => false,
        RevocationReason::Duplicate | RevocationReason::InTheWay => revocation.grant.window.contains(now),
    }
}

/// Reviews what `decisions` about `pairs` would revoke.
pub(super) fn review(
    now: DateTime<Utc>,
    settings: &Settings,
    world: &World,
    pairs: &[PairFacts<'_>],
    decisions: &[Decision],
    released: Released,
) -> Review {
    let due = find_due(now, world, pairs, decisions);
    let verdict = guard(now, settings, world, &due, pairs, released);
    let mut review = Review { released: verdict == Verdict::Released, ..Review::default() };
    for found in &due {
        if verdict == Verdict::Held && found.counts && (found.is_agreed || found.was_held) {
            review.held.insert(found.own.row);
        } else if !found.is_agreed {
            review.awaiting.insert(found.own.row);
        }
    }
    review.second_look = second_look(settings, &due, &review.awaiting);
    review.due = remember(now, world, pairs, &due, &review, verdict);
    review
}

/// The revocations that take a look or two, each with what earlier looks said of it.
fn find_due<'p>(
    now: DateTime<Utc>,
    world: &World,
    pairs: &'p [PairFacts<'_>],
    decisions: &[Decision],
) -> Vec<Due<'p>> {
    let losing: Vec<(&PairFacts<'_>, &Vec<Revocation>)> = pairs
        .iter()
        .zip(decisions.iter().map(|decision| &decision.revoke))
        .filter(|(_, revoke)| !revoke.is_empty())
        .collect();
    let going: BTreeSet<LedgerRow> =
        losing.iter().flat_map(|(_, revoke)| *revoke).map(|revocation| revocation.row).collect();
    let places = places(pairs, &losing.iter().map(|(facts, _)| facts.resource_id).collect(), &going);
    let mut due = Vec::new();
    for (facts, revoke) in losing {
        let staying = facts.ours.iter().filter(|own| !going.contains(&own.row)).map(|own| &own.grant);
        let staying = Timeline::new(staying.map(|grant| (grant.window, grant)));
        let stays = staying.iter().map(|(window, _)| *window);
        let stays: Windows = stays.chain(facts.wanted.iter().copied()).collect();
        let ours: BTreeMap<LedgerRow, &OwnGrant> = facts.ours.iter().map(|own| (own.row, *own)).collect();
        for revocation in revoke.iter().filter(|revocation| needs_second_look(now, revocation)) {
            let Some(own) = ours.get(&revocation.row).copied() else { continue };
            // What is neither wanted nor in another grant of the pair that stays.
            let lost = facts.in_view(own).map(|in_view| stays.missing_from(in_view)).unwrap_or_default();
            let before = world.recorded.due.due.get(&own.row);
            let lost_groups = lost_groups(facts, &staying, own, &lost);
            let is_handed_over = places
                .get(&own.grant.resource_id)
                .is_some_and(|taken| lost.iter().all(|lost| taken.cover(*lost)));
            let lost = to_the_end(facts, own, lost);
            let agreed = before.filter(|before| agrees(before, &lost, &lost_groups));
            let since = agreed.map_or(world.seen_at.max(world.asked_at), |before| before.since);
            let known = &world.recorded.due;
            let first_looks = match known.first_looks.get(&own.row).filter(|_| agreed.is_some()) {
                Some(first_looks) => *first_looks,
                None => known.one_more_first_look(own.row, since),
            };
            due.push(Due {
                own,
                since,
                first_looks,
                is_agreed: agreed.is_some_and(|before| before.may_be_confirmed_at(world.asked_at)),
                was_held: before.is_some_and(|before| before.held),
                counts: own.grant.window.start() <= later(now, SOON)
                    && !is_handed_over
                    && !is_replaced(now, revocation, &facts.wanted),
                lost,
                lost_groups,
            });
        }
    }
    due
}

/// When somebody has access to one of these resources by grants that stay.
fn places<'p>(
    pairs: &[PairFacts<'p>],
    resources: &BTreeSet<&ResourceId>,
    going: &BTreeSet<LedgerRow>,
) -> BTreeMap<&'p ResourceId, Windows> {
    let mut staying: BTreeMap<&ResourceId, Vec<Window>> = BTreeMap::new();
    let settled = pairs.iter().filter(|facts| !facts.unsettled);
    for facts in settled.filter(|facts| resources.contains(facts.resource_id)) {
        let stay = facts.ours.iter().filter(|own| !going.contains(&own.row));
        staying.entry(facts.resource_id).or_default().extend(stay.map(|own| own.grant.window));
    }
    staying.into_iter().map(|(resource, windows)| (resource, windows.into_iter().collect())).collect()
}

/// What is lost until the horizon is lost until the grant's end: nobody looks farther. So a horizon that moves on makes no
/// difference between two looks.
fn to_the_end(facts: &PairFacts<'_>, own: &OwnGrant, mut lost: Vec<Window>) -> Vec<Window> {
    let seen_until = facts.in_view(own).map(|in_view| in_view.end());
    if let Some(last) = lost.pop() {
        let end = if Some(last.end()) == seen_until { own.grant.window.end() } else { last.end() };
        lost.extend(Window::new(last.start(), end));
    }
    lost
}

/// When groups of a grant are wanted no more, nor in another grant of the pair that stays, while access goes on.
fn lost_groups(
    facts: &PairFacts<'_>,
    staying: &Timeline<&Grant>,
    own: &OwnGrant,
    lost: &[Window],
) -> BTreeMap<String, Vec<Window>> {
    let groups = &own.grant.kubernetes_groups;
    let Some(in_view) = facts.in_view(own).filter(|_| !groups.is_empty()) else { return BTreeMap::new() };
    let stays = staying.overlapping(in_view);
    let wanted = facts.terms.overlapping(in_view);
    let of_group = |group: &str| {
        let stays =
            stays.iter().filter(|other| other.kubernetes_groups.contain(group)).map(|other| other.window);
        let wanted = wanted.iter().filter(|terms| terms.groups.contain(group)).map(|terms| terms.window);
        let has: Windows = stays.chain(wanted).chain(lost.iter().copied()).collect();
        to_the_end(facts, own, has.missing_from(in_view))
    };
    let all = groups.iter().map(|group| (group.to_owned(), of_group(group)));
    all.filter(|(_, lost)| !lost.is_empty()).collect()
}

/// Whether the earlier looks found all of this lost.
fn agrees(before: &DueRevocation, lost: &[Window], lost_groups: &BTreeMap<String, Vec<Window>>) -> bool {
    let covers = |then: &Windows, lost: &[Window]| lost.iter().all(|lost| then.cover(*lost));
    covers(&before.lost.iter().copied().collect(), lost)
        && lost_groups.iter().all(|(group, lost)| {
            let of_group = before.lost_groups.get(group).into_iter().flatten();
            covers(&before.lost.iter().chain(of_group).copied().collect(), lost)
        })
}

/// Whether a person's own window only makes room for the right one.
fn is_replaced(now: DateTime<Utc>, revocation: &Revocation, wanted: &Windows) -> bool {
    match revocation.reason {
        RevocationReason::Duplicate
        | RevocationReason::InTheWay
        | RevocationReason::OtherGroups
        | RevocationReason::MoreGroups => true,
        RevocationReason::TooLong => {
            let in_force = revocation.grant.window.contains(now);
            !in_force || wanted.contain(now)
        }
        RevocationReason::NotWanted | RevocationReason::OtherAddress => false,
    }
}

/// What the guard says of the revocations that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// So few are due that nothing is held any more.
    Free,
    /// None of those that this look saw is due, but enough of what is held.
    Nothing,
    Held,
    /// They would be held, but somebody confirmed them.
    Released,
}

fn guard(
    now: DateTime<Utc>,
    settings: &Settings,
    world: &World,
    due: &[Due<'_>],
    pairs: &[PairFacts<'_>],
    released: Released,
) -> Verdict {
    let counting = due.iter().filter(|due| due.counts && (due.is_agreed || due.was_held)).count();
    let seen: BTreeSet<LedgerRow> = due.iter().map(|due| due.own.row).collect();
    let wanted_again = wanted(pairs, &world.recorded.due.due);
    let elsewhere =
        world.recorded.due.held().filter(|row| !seen.contains(row) && !wanted_again.contains(row)).count();
    let lately = lately(now, world).filter(|(row, _)| !seen.contains(row)).count();
    match counting {
        _ if counting + elsewhere + lately <= settings.max_revocations => Verdict::Free,
        0 => Verdict::Nothing,
        _ if released.covers(counting) => Verdict::Released,
        _ => Verdict::Held,
    }
}

/// The revocations that counted within the last minute, beside those that count because they are held.
fn lately(now: DateTime<Utc>, world: &World) -> impl Iterator<Item = (LedgerRow, DateTime<Utc>)> {
    let DueRevocations { due, counted, first_looks: _ } = &world.recorded.due;
    let counted = counted.iter().map(|(row, at)| (*row, *at));
    counted.filter(move |(row, at)| now - *at < COUNTED_FOR && !due.get(row).is_some_and(|due| due.held))
}

/// Those of these grants of which this look, whole for them, found everything wanted.
fn wanted(pairs: &[PairFacts<'_>], among: &BTreeMap<LedgerRow, DueRevocation>) -> BTreeSet<LedgerRow> {
    if among.is_empty() {
        return BTreeSet::new();
    }
    let settled = pairs.iter().filter(|facts| !facts.unsettled);
    settled
        .flat_map(|facts| {
            let is_wanted = |own: &&OwnGrant| {
                let view = facts.in_view(own);
                view.is_some_and(|view| facts.terms.include(view, &own.grant.kubernetes_groups))
            };
            let ours = facts.ours.iter().copied().filter(|own| among.contains_key(&own.row));
            ours.filter(is_wanted).map(|own| own.row)
        })
        .collect()
}

/// When what awaits a second look can have one, and where.
fn second_look(settings: &Settings, due: &[Due<'_>], awaiting: &BTreeSet<LedgerRow>) -> Option<SecondLook> {
    let awaiting: Vec<&Due<'_>> = due.iter().filter(|due| awaiting.contains(&due.own.row)).collect();
    let due_at = |due: &&Due<'_>| later(due.since, due.first_looks.pause());
    let first = awaiting.iter().map(due_at).min()?;
    // One look does for all that are due at about that time; who waits for longer holds up nobody.
    let at = awaiting.iter().map(due_at).filter(|at| *at - first < BETWEEN_LOOKS).max()?;
    let named: BTreeSet<Source> = settings.rules.iter().flat_map(Rule::sources).collect();
    let mut sources = BTreeSet::new();
    for due in awaiting {
        let causes = due.own.causes.iter().map(|cause| cause.source.clone());
        let causes: Vec<Source> = causes.filter(|source| named.contains(source)).collect();
        if causes.is_empty() {
            return Some(SecondLook { at, sources: BTreeSet::new() });
        }
        sources.extend(causes);
    }
    Some(SecondLook { at, sources })
}

/// What the next look must know of this one.
fn remember(
    now: DateTime<Utc>,
    world: &World,
    pairs: &[PairFacts<'_>],
    due: &[Due<'_>],
    review: &Review,
    verdict: Verdict,
) -> DueRevocations {
    let DueRevocations { due: before, counted, first_looks } = &world.recorded.due;
    let known = before.keys().chain(counted.keys()).chain(first_looks.keys()).copied();
    let known: BTreeSet<LedgerRow> = known.chain(due.iter().map(|due| due.own.row)).collect();
    let live = world.recorded.ledger.iter().map(|own| own.row).filter(|row| known.contains(row));
    let live: BTreeSet<LedgerRow> = live.collect();
    let first_looks = first_looks.iter().filter(|(row, looks)| live.contains(row) && looks.count_at(now));
    let mut after = DueRevocations {
        due: before.clone(),
        counted: lately(now, world).collect(),
        first_looks: first_looks.map(|(row, looks)| (*row, *looks)).collect(),
    };
    for row in wanted(pairs, before) {
        after.due.remove(&row);
    }
    if verdict == Verdict::Free {
        after.due.values_mut().for_each(|due| due.held = false);
    }
    for due in due {
        let held = review.held.contains(&due.own.row);
        after.first_looks.insert(due.own.row, due.first_looks);
        after.due.insert(
            due.own.row,
            DueRevocation {
                since: due.since,
                lost: due.lost.clone(),
                lost_groups: due.lost_groups.clone(),
                held,
            },
        );
        if due.counts && due.is_agreed && verdict == Verdict::Free {
            after.counted.entry(due.own.row).or_insert(now);
        }
    }
    if verdict == Verdict::Held {
        // They were part of what came due at once, so they go on counting with the rest.
        for (row, at) in lately(now, world) {
            let gone =
                DueRevocation { since: at, lost: Vec::new(), lost_groups: BTreeMap::new(), held: true };
            after.due.entry(row).and_modify(|due| due.held = true).or_insert(gone);
        }
    }
    let is_over = !after.held().any(|row| live.contains(&row));
    after.due.retain(|row, due| live.contains(row) || due.held && !is_over);
    after
}
