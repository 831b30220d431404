//! What holds for every decision, tried on arbitrary worlds. `PROPTEST_CASES=100000` tries harder.

mod agreement;
mod extremes;
mod incidents;
mod order;
mod situations;
mod worlds;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*};

use self::worlds::{Case, HORIZON, LAST, any_case, known_case, pairs};
use super::{
    Action, Plan, Released, Revocation, RevocationReason,
    specification::Specification,
    tests::{
        builders::{at, span},
        twin::{Fault, Twin},
    },
};
use crate::{
    model::{
        DueRevocations, Grant, LedgerRow, NewGrant, Observed, OwnGrant, Pair, PeopleSelector,
        ResourceSelector, SecondGrant, Window,
    },
    reconcile::world::{ResourceMatch, World},
};

fn healthy(_: &Action) -> Fault {
    Fault::None
}

fn revocations(plan: &Plan) -> impl Iterator<Item = &Revocation> {
    plan.actions().filter_map(|action| match action {
        Action::Revoke(revocation) => Some(revocation),
        Action::Create(_) => None,
    })
}

fn creations(plan: &Plan) -> impl Iterator<Item = &NewGrant> {
    plan.actions().filter_map(|action| match action {
        Action::Create(new) => Some(new),
        Action::Revoke(_) => None,
    })
}

/// The whole hours of `window` between `from` and the horizon of that hour.
fn in_view(window: Window, from: i64) -> impl Iterator<Item = DateTime<Utc>> {
    (from..from + HORIZON).map(at).filter(move |at| window.contains(*at))
}

impl Case {
    /// Who should have access, as it is seen at once.
    fn specification(&self) -> Specification<'_> {
        self.specification_at(0)
    }

    /// The same, as it is seen at that hour.
    fn specification_at(&self, hour: i64) -> Specification<'_> {
        Specification { settings: &self.settings, world: &self.world, now: at(hour), noticed: at(0) }
    }

    fn left_alone(&self, pair: &Pair) -> bool {
        let is_refused = self.world.recorded.refusals.iter().any(|refusal| refusal.pair == *pair);
        is_refused || self.world.recorded.unsettled.contains(pair)
    }

    /// Whether a look-up that failed, or a person who cannot be used, protects `grant` at `hour`.
    fn protects(&self, own: &OwnGrant, hour: i64) -> bool {
        in_view(own.grant.window, hour).any(|at| self.specification_at(hour).at(at).may_want(own))
    }

    /// Removes the grants that strongDM would have refused.
    fn without_conflicts(mut self) -> Self {
        let all = self.world.clone();
        (self.world.recorded.ledger, self.world.recorded.foreign) = (Vec::new(), Vec::new());
        let mut twin = Twin::new(self.really, &World::default());
        for own in all.recorded.ledger {
            if twin.add(self.now, own.grant.pair(), own.grant.window) {
                self.world.recorded.ledger.push(own);
            }
        }
        for foreign in all.recorded.foreign {
            if twin.add(self.now, foreign.pair.clone(), foreign.window) {
                self.world.recorded.foreign.push(foreign);
            }
        }
        self
    }
}

/// Passes again while the pass before made room: successors came, who free what the guard held, some of them in places that
/// it freed; a superfluous grant went, so that the one that it stood beside can be replaced; or a grant was attributed to a
/// rule whose filter finds nothing, which protects it. Returns the last two plans.
fn pass_until_no_room_is_made(twin: &mut Twin, case: &Case, mut before: Plan) -> (Plan, Plan) {
    for _ in 0..10 {
        let (after, _) = twin.pass(case.now, &case.settings, &case.world, Released::Nothing, &mut healthy);
        let was_superfluous = |due: &Revocation| due.reason == RevocationReason::Duplicate;
        let was_quiet = before.relabelled.is_empty() && !revocations(&before).any(was_superfluous);
        if was_quiet && after.held.len() >= before.held.len() {
            return (before, after);
        }
        before = after;
    }
    panic!("each pass makes room for the next one: {before}");
}

/// Twice as many as usual: what goes wrong here needs several things to come together.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases * 2, ..usual }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn planning_again_gives_nothing(case in any_case()) {
        let mut twin = Twin::new(case.really, &case.world);
        // A confirmation holds for one pass.
        let (first, _) = twin.pass(case.now, &case.settings, &case.world, case.released, &mut healthy);
        let (first, second) = pass_until_no_room_is_made(&mut twin, &case, first);
        prop_assert_eq!(second.actions().count(), 0, "{}after\n{}", second, first);
        prop_assert!(second.relabelled.is_empty(), "{:?}", second.relabelled);
        prop_assert!(second.next_wake.is_none_or(|wake| wake > case.now));
    }

    #[test]
    fn nothing_foreign_unknown_or_unchanged_is_revoked(case in any_case()) {
        let plan = case.plan();
        let specification = case.specification();
        let revoked: BTreeSet<LedgerRow> = revocations(&plan).map(|revocation| revocation.row).collect();
        for Revocation { row, grant, reason, released: _ } in revocations(&plan) {
            let is_this = |own: &&OwnGrant| own.row == *row && own.grant == *grant;
            let own = case.world.recorded.ledger.iter().find(is_this);
            prop_assert!(own.is_some(), "{grant} is not ours");
            let pair = grant.pair();
            prop_assert!(!case.world.recorded.unsettled.contains(&pair));
            let certain: Vec<bool> =
                in_view(grant.window, 0).map(|at| specification.at(at).wants(&pair)).collect();
            let possible = own.is_some_and(|own| case.protects(own, 0));
            let gives_no_more = |at: &DateTime<Utc>| {
                specification.at(*at).wants(&pair) && specification.at(*at).groups(&pair).include(&grant.kubernetes_groups)
            };
            let comes_back = in_view(grant.window, 0).all(|at| gives_no_more(&at));
            let right = match reason {
                RevocationReason::NotWanted | RevocationReason::OtherAddress => !possible && !certain.contains(&true) && !certain.is_empty(),
                RevocationReason::TooLong => !possible && certain.contains(&true) && certain.contains(&false),
                RevocationReason::OtherGroups => !possible && !certain.contains(&false) && !comes_back,
                RevocationReason::MoreGroups => {
                    let rest = (0..LAST).map(at).filter(|at| grant.window.contains(*at));
                    let same = |at: DateTime<Utc>| specification.at(at).groups(&pair) == grant.kubernetes_groups;
                    comes_back
                        && !in_view(grant.window, 0).all(same)
                        && (!possible || rest.into_iter().all(|at| gives_no_more(&at)))
                }
                RevocationReason::Duplicate => !possible && case.world.recorded.ledger.iter().any(|other| {
                    let (Some(rest), Some(outer)) =
                        (grant.window.from(at(0)), other.grant.window.from(at(0))) else { return false };
                    let in_the_way = |due: &Revocation| due.row == other.row && due.reason == RevocationReason::InTheWay;
                    (!revoked.contains(&other.row) || revocations(&plan).any(in_the_way))
                        && other.grant.joins(&pair)
                        && other.grant.kubernetes_groups == grant.kubernetes_groups
                        && outer.start() <= rest.start()
                        && rest.end() <= outer.end()
                }),
                RevocationReason::InTheWay => {
                    let replaced = creations(&plan).any(|new| {
                        new.grant.joins(&pair)
                            && new.grant.window.start() < grant.window.start()
                    });
                    // What is possibly wanted may only go if it is certainly wanted too, and so comes back.
                    replaced
                        && case.world.recorded.second_grant == SecondGrant::Refused
                        && (!possible || comes_back)
                }
            };
            prop_assert!(right, "{grant} is revoked because {reason}\n{plan}");
        }
    }

    #[test]
    fn creations_are_wanted_bounded_and_free_of_conflict(case in any_case()) {
        let plan = case.plan();
        let specification = case.specification();
        let revoked: BTreeSet<LedgerRow> = revocations(&plan).map(|revocation| revocation.row).collect();
        let ends = case.settings.rules.iter().flat_map(|rule| {
            let on_calls = case.world.on_calls.values().flat_map(|answer| match answer {
                Observed::Known(on_calls) => on_calls.as_slice(),
                Observed::Unknown(_) => &[],
            });
            on_calls.filter_map(|on_call| on_call.end.map(|end| end + rule.end_late))
        });
        let latest = ends.chain([at(HORIZON)]).max().unwrap();
        for (index, new) in creations(&plan).enumerate() {
            let NewGrant { grant, causes } = new;
            prop_assert!(grant.window.end() <= latest, "{grant}");
            prop_assert!(grant.window.start() >= at(0), "{grant}");
            prop_assert!(!causes.is_empty() && !grant.rules.is_empty() && grant.id.is_none(), "{grant}");
            let pair = grant.pair();
            let unwanted = in_view(grant.window, 0).find(|at| !specification.at(*at).wants(&pair));
            prop_assert_eq!(unwanted, None, "{}", grant);
            let wrong = in_view(grant.window, 0).find(|at| specification.at(*at).groups(&pair) != grant.kubernetes_groups);
            prop_assert_eq!(wrong, None, "{} has other groups", grant);
            prop_assert!(!case.left_alone(&pair), "{grant}");
            let in_pair = |other: &&Grant| other.joins(&pair);
            let others = creations(&plan).enumerate().filter(|(other, _)| *other != index);
            let staying = case.world.recorded.ledger.iter().filter(|own| !revoked.contains(&own.row));
            let staying: Vec<&Grant> =
                staying.map(|own| &own.grant).filter(in_pair).filter(|other| other.window.end() > at(0)).collect();
            let others: Vec<&Grant> = others.map(|(_, new)| &new.grant).filter(in_pair).collect();
            prop_assert!(others.iter().all(|other| !other.window.overlaps(&grant.window)), "{grant}\n{plan}");
            // Beside one that lacks groups there may be another, if strongDM takes it.
            let lacks = |other: &Grant| {
                case.world.recorded.second_grant == SecondGrant::Taken
                    && !other.kubernetes_groups.include(&grant.kubernetes_groups)
            };
            let mut overlapping = staying.iter().filter(|other| other.window.overlaps(&grant.window));
            prop_assert!(overlapping.all(|other| lacks(other)), "{grant}\n{plan}");
            let foreign = case.world.recorded.foreign.iter().filter(|other| {
                other.pair == pair && other.window.end() > at(0)
            });
            let mut foreign = foreign.map(|other| other.window);
            match case.world.recorded.second_grant {
                SecondGrant::Taken => {}
                SecondGrant::RefusedIfOverlapping => {
                    prop_assert!(foreign.all(|other| !other.overlaps(&grant.window)), "{grant}\n{plan}");
                }
                SecondGrant::Refused => {
                    let is_alone = staying.is_empty() && others.is_empty();
                    prop_assert!(foreign.next().is_none() && is_alone, "{grant}\n{plan}");
                }
            }
        }
    }

    #[test]
    fn nobody_loses_access_by_one_look(case in any_case()) {
        let plan = case.plan();
        let before = &case.world.recorded.due.due;
        let takes_away = |due: &&Revocation| due.reason != RevocationReason::MoreGroups;
        let in_force = |due: &&Revocation| due.grant.window.contains(case.now);
        for Revocation { row, grant, .. } in revocations(&plan).filter(in_force).filter(takes_away) {
            prop_assert!(before.contains_key(row), "{grant} goes at the first look\n{plan}");
        }
        let ours = case.world.recorded.ledger.iter().filter(|own| own.grant.window.end() > case.now).count();
        let stay = plan.unchanged + plan.held.len() + plan.awaiting.len();
        prop_assert_eq!(stay + revocations(&plan).count(), ours, "{}", plan);
        prop_assert_eq!(plan.awaiting.is_empty(), plan.second_look.is_none());
    }

    #[test]
    fn the_guard_lets_no_more_people_go_than_it_may(case in any_case()) {
        let plan = case.plan();
        let gone: BTreeSet<LedgerRow> = revocations(&plan).map(|revocation| revocation.row).collect();
        let has_a_place = |grant: &Grant| case.world.recorded.ledger.iter().any(|own| {
            own.grant.resource_id == grant.resource_id
                && own.grant.window.contains(case.now)
                && !gone.contains(&own.row)
        });
        let locked_out = revocations(&plan).map(|revocation| &revocation.grant).filter(|grant| {
            grant.window.contains(case.now)
                && !case.specification().at(at(0)).wants(&grant.pair())
                && !has_a_place(grant)
        });
        let most = match case.released {
            Released::Nothing => case.settings.max_revocations,
            Released::Held(held) => case.settings.max_revocations.max(2 * held),
        };
        prop_assert!(locked_out.count() <= most, "{plan}");
    }

    #[test]
    fn what_is_held_stays_held_in_every_slice(case in any_case(), slices in vec(vec(any::<bool>(), 4), 1..5)) {
        let mut twin = Twin::new(case.really, &case.world);
        let pass = |twin: &mut Twin, observed: &World| {
            twin.pass(case.now, &case.settings, observed, Released::Nothing, &mut healthy).0
        };
        let first = pass(&mut twin, &case.world);
        let (_, whole) = pass_until_no_room_is_made(&mut twin, &case, first);
        for asked in slices {
            let mut part = case.world.clone();
            let mut asked = asked.into_iter();
            part.on_calls.retain(|_, _| asked.next().unwrap_or(false));
            let plan = pass(&mut twin, &part);
            for held in &whole.held {
                let stays = twin.ledger.iter().any(|own| own.grant.id == held.id);
                prop_assert!(stays, "{held} went\n{whole}\n{plan}");
            }
        }
    }

    #[test]
    fn the_order_of_anything_does_not_matter(case in any_case(), by in 0..24_usize) {
        let mut other = case.clone();
        let world = &mut other.world;
        shuffle(&mut world.recorded.ledger, by);
        shuffle(&mut world.recorded.foreign, by);
        shuffle(&mut world.recorded.unsettled, by);
        shuffle(&mut world.recorded.refusals, by);
        shuffle(&mut world.recorded.parts, by);
        for answer in world.incidents.values_mut() {
            if let Observed::Known(incidents) = answer {
                shuffle(incidents, by);
                for incident in incidents.iter_mut() {
                    shuffle(&mut incident.parts, by);
                }
            }
        }
        for answer in world.on_calls.values_mut() {
            if let Observed::Known(on_calls) = answer {
                shuffle(on_calls, by);
            }
        }
        shuffle(&mut other.settings.rules, by);
        for rule in &mut other.settings.rules {
            shuffle(&mut rule.resources, by);
            match &mut rule.people {
                PeopleSelector::Schedules(ids) => shuffle(ids, by),
                PeopleSelector::Policies { ids, levels, include_always_on_call: _ } => {
                    shuffle(ids, by);
                    shuffle(levels, by);
                }
                PeopleSelector::Incidents(selector) => {
                    shuffle(&mut selector.services, by);
                    shuffle(&mut selector.eligible, by);
                }
            }
        }
        let sorted = |mut plan: Plan| {
            plan.parts.sort_by(|(one, _), (other, _)| one.key().cmp(&other.key()));
            plan
        };
        prop_assert_eq!(sorted(case.plan()), sorted(other.plan()));
    }

    #[test]
    fn parts_of_a_second_do_not_matter(case in any_case(), ms in 0..1000_i64) {
        let other = Case { now: at(0) + TimeDelta::milliseconds(ms), ..case.clone() };
        // Looks are told apart by the millisecond.
        let plan = |case: Case| Plan { due: DueRevocations::default(), second_look: None, ..case.plan() };
        prop_assert_eq!(plan(case), plan(other));
    }

    #[test]
    fn no_write_that_fails_takes_access_away(case in prop_oneof![any_case(), known_case()], faults in vec(0..4_u8, 1..8)) {
        let mut case = case;
        case.world.recorded.second_grant = SecondGrant::Taken;
        let before = Twin::new(case.really, &case.world);
        let mut after = before.clone();
        let mut faults = faults.into_iter().cycle();
        let plan = case.plan();
        after.carry_out(case.now, &plan, &mut |_| match faults.next() {
            Some(1) => Fault::Fails,
            Some(2) => Fault::AnswerLost,
            Some(3) => Fault::RequestLost,
            _ => Fault::None,
        });
        nobody_is_locked_out(&case, &before, &after, &plan)?;
    }

    #[test]
    fn no_pass_takes_access_away_where_a_second_grant_is_refused(
        case in prop_oneof![any_case(), known_case()],
        agreed in any::<bool>(),
    ) {
        let mut case = case;
        if agreed {
            (case.really, case.world.recorded.second_grant) = (SecondGrant::Refused, SecondGrant::Refused);
        }
        // What is believed may differ from the truth only as long as nothing that is there contradicts it.
        let case = if case.really == case.world.recorded.second_grant { case } else { case.without_conflicts() };
        let before = Twin::new(case.really, &case.world);
        let mut after = before.clone();
        let (plan, _) = after.pass(case.now, &case.settings, &case.world, case.released, &mut healthy);
        nobody_is_locked_out(&case, &before, &after, &plan)?;
    }

    #[test]
    fn a_filter_that_falls_silent_takes_nothing_from_whom_it_served(case in prop_oneof![any_case(), known_case()]) {
        // What is there must not contradict what is believed.
        let case = if case.really == case.world.recorded.second_grant { case } else { case.without_conflicts() };
        let mut after = Twin::new(case.really, &case.world);
        let (first, _) = after.pass(case.now, &case.settings, &case.world, Released::Nothing, &mut healthy);
        pass_until_no_room_is_made(&mut after, &case, first);
        let before = after.clone();
        let mut silent = case.world.clone();
        for (selector, answer) in &mut silent.resources {
            if matches!((selector, &answer), (ResourceSelector::Filter(_), Observed::Known(ResourceMatch::Found(_)))) {
                *answer = Observed::Known(ResourceMatch::Found(Vec::new()));
            }
        }
        let (plan, _) = after.pass(case.now, &case.settings, &silent, Released::Nothing, &mut healthy);
        nobody_is_locked_out(&case, &before, &after, &plan)?;
    }

    #[test]
    fn waking_up_as_told_gives_coverage_at_every_instant(case in known_case()) {
        let case = if case.really == case.world.recorded.second_grant { case } else { case.without_conflicts() };
        let mut twin = Twin::new(case.really, &case.world);
        let pass = |twin: &mut Twin, now| {
            twin.pass(now, &case.settings, &case.world, case.released, &mut healthy).0
        };
        let mut plan = pass(&mut twin, case.now);
        let mut woken = case.now;
        as_wanted(&case, &twin, 0, &plan)?;
        for hour in 1..LAST {
            while let Some(wake) = plan.next_wake.filter(|wake| *wake <= at(hour)) {
                prop_assert!(wake > woken, "it wakes again and again at {}\n{}", wake, plan);
                woken = wake;
                plan = pass(&mut twin, wake);
            }
            // The horizon moves on, and brings into view what no boundary announces.
            if hour % (HORIZON / 2) == 0 {
                plan = pass(&mut twin, at(hour));
            }
            as_wanted(&case, &twin, hour, &plan)?;
        }
    }
}

fn shuffle<T>(list: &mut [T], by: usize) {
    if by % 2 == 1 {
        list.reverse();
    }
    if !list.is_empty() {
        list.rotate_left(by / 2 % list.len());
    }
}

fn nobody_is_locked_out(case: &Case, before: &Twin, after: &Twin, plan: &Plan) -> Result<(), TestCaseError> {
    for pair in pairs() {
        let certain = case.specification().at(at(0)).wants(&pair);
        let had = before.ours_gives(&pair, at(0));
        let has = after.any_gives(&pair, at(0));
        prop_assert!(has || !(certain && had), "{pair}: access was lost\n{plan}");
        let groups = case.specification().at(at(0)).groups(&pair);
        let had = before.ours_gives_groups(&pair, at(0), &groups);
        let has = after.any_gives_groups(&pair, at(0), &groups);
        prop_assert!(has || !(certain && had), "{pair}: groups were lost\n{plan}");
    }
    Ok(())
}

/// Compares access at `hour` with what is wanted, in a world where everything is known.
fn as_wanted(case: &Case, twin: &Twin, hour: i64, plan: &Plan) -> Result<(), TestCaseError> {
    let refused = case.really.max(case.world.recorded.second_grant);
    let moment = case.specification_at(hour).at(at(hour));
    for pair in pairs() {
        let (at_hour, later) = (at(hour), span(hour, i64::from(u16::MAX)));
        let ours = || twin.ledger.iter().filter(|own| own.grant.joins(&pair));
        let foreign = twin.remote.iter().any(|found| {
            found.id.as_str().starts_with("fg-") && found.pair == pair && found.window.overlaps(&later)
        });
        let protected = ours().any(|own| (hour..LAST).any(|later| case.protects(own, later)));
        // Grants of ours that strongDM would not take beside each other were made before it was known to refuse that.
        let live: Vec<&OwnGrant> = ours().filter(|own| own.grant.window.end() > at_hour).collect();
        let is_crowded = live.iter().enumerate().any(|(n, own)| {
            let beside = |other: &&OwnGrant| other.grant.window.overlaps(&own.grant.window);
            live[..n].iter().any(|other| refused == SecondGrant::Refused || beside(other))
        });
        // What is still wanted of a grant may not be granted anew beside others: then it stays whole.
        let would_leave_a_gap = |own: &OwnGrant| {
            let is_wanted = |hour| {
                own.grant.window.contains(at(hour)) && case.specification_at(hour).at(at(hour)).wants(&pair)
            };
            refused != SecondGrant::Taken
                && (foreign || protected || is_crowded)
                && (hour..LAST).any(is_wanted)
        };
        let has = if refused == SecondGrant::Taken {
            twin.ours_gives(&pair, at_hour)
        } else {
            twin.any_gives(&pair, at_hour)
        };
        if moment.wants(&pair) {
            let blocked = refused == SecondGrant::Refused && (foreign || protected);
            prop_assert!(has || blocked, "{pair}: access is missing at {at_hour}\n{plan}");
            let groups = moment.groups(&pair);
            let blocked = refused != SecondGrant::Taken && (foreign || protected || is_crowded);
            let has = if refused == SecondGrant::Taken {
                twin.ours_gives_groups(&pair, at_hour, &groups)
            } else {
                twin.any_gives_groups(&pair, at_hour, &groups)
            };
            prop_assert!(has || blocked, "{pair}: groups are missing at {at_hour}\n{plan}");
            let excess = ours().find(|own| {
                own.grant.window.contains(at_hour)
                    && own.grant.kubernetes_groups != groups
                    && !case.protects(own, hour)
            });
            let blocked = blocked || excess.is_some_and(would_leave_a_gap);
            prop_assert!(excess.is_none() || blocked, "{pair}: {excess:?} is wrong at {at_hour}\n{plan}");
        } else {
            let excess = ours().find(|own| own.grant.window.contains(at_hour) && !case.protects(own, hour));
            let blocked = refused == SecondGrant::Refused && (foreign || protected)
                || excess.is_some_and(would_leave_a_gap);
            prop_assert!(excess.is_none() || blocked, "{pair}: access is left at {at_hour}\n{plan}");
        }
    }
    Ok(())
}
