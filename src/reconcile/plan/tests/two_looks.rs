//! To give access takes one look, to take it away takes two.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use insta::assert_snapshot;

use super::builders::{
    Scene, in_groups, made_for, own, schedule, schedule_rule, shift, with_groups, without_end,
};
use crate::{
    model::{FirstLooks, LedgerRow, SecondGrant},
    reconcile::{
        plan::{Action, Plan, Released, plan},
        world::World,
    },
};

/// Day is relieved by night before the end of the shift.
fn relieved() -> Scene {
    Scene::with_shifts([shift("night", 10, 20)]).ours([own(1, "day", 8, 20)])
}

/// The next look, so many milliseconds later, after `plan` was carried out as far as it revokes nothing.
fn next(mut scene: Scene, plan: &Plan, ms: i64) -> Scene {
    scene.world.recorded.due = plan.due.clone();
    scene.now += TimeDelta::milliseconds(ms);
    scene
}

fn revoked(plan: &Plan) -> Vec<i64> {
    let revoked = plan.actions().filter_map(|action| match action {
        Action::Revoke(due) => Some(due.row.number()),
        Action::Create(_) => None,
    });
    revoked.collect()
}

#[test]
fn the_first_look_gives_and_takes_nothing() {
    let first = relieved().first_look();
    assert_snapshot!(first, @r#"
    grant     night@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-night is on call for schedule PS
    due       day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              nothing justifies it; it is revoked if a second look agrees
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
    assert_eq!((first.unchanged, first.awaiting.len()), (0, 1));
    assert_eq!(first.second_look.unwrap().at, relieved().now + TimeDelta::seconds(2));
}

#[test]
fn what_awaits_a_second_look_makes_nothing_superfluous_in_the_first() {
    let rules =
        [with_groups(&["a"], schedule_rule("a", &["PA"])), with_groups(&["b"], schedule_rule("b", &["PB"]))];
    // The last one has the wrong groups and waits for a second look. Until then it is in the way of the right one, so
    // the first one stays, which contains the second.
    let plan = Scene::new(rules)
        .on_call(schedule("PA"), [shift("day", 8, 20)])
        .on_call(schedule("PB"), [shift("day", 14, 20)])
        .second_grant(SecondGrant::RefusedIfOverlapping)
        .ours(
            [(1, 8, 20, "a"), (2, 8, 14, "a"), (3, 14, 20, "c")]
                .map(|(row, start, end, group)| in_groups(&[group], own(row, "day", start, end))),
        )
        .first_look();
    assert_eq!((revoked(&plan), plan.awaiting.len()), (vec![], 1), "{plan}");
}

#[test]
fn nobody_looks_again_at_what_is_revoked() {
    let first = relieved().first_look();
    let second = next(relieved(), &first, 2000).first_look();
    assert_eq!((revoked(&second), second.due_without(&[])), (vec![1], second.due.clone()));
    let gone: Vec<_> = second.actions().map(|action| action.grant().clone()).collect();
    assert!(second.due_without(&gone).due.is_empty());
}

#[test]
fn a_second_look_takes_what_both_found_due() {
    let first = relieved().first_look();
    for (ms, expected) in [(0, vec![]), (1999, vec![]), (2000, vec![1]), (3_600_000, vec![1])] {
        let second = next(relieved(), &first, ms).first_look();
        assert_eq!(revoked(&second), expected, "after {ms} ms");
    }
}

#[test]
fn what_awaits_its_second_look_keeps_no_other_grant_of_the_same_person() {
    let first = relieved().first_look();
    let both = next(relieved().ours([own(2, "day", 8, 18)]), &first, 2000).first_look();
    assert_eq!((revoked(&both), both.awaiting.len()), (vec![1], 1), "{both}");
}

#[test]
fn a_look_in_between_that_says_otherwise_starts_anew() {
    let first = relieved().first_look();
    let right = relieved().on_call(schedule("PS"), [shift("day", 8, 20)]);
    let otherwise = next(right, &first, 1000).first_look();
    assert!(otherwise.due.due.is_empty());
    let third = next(relieved(), &otherwise, 3000).first_look();
    assert_eq!((revoked(&third), third.awaiting.len()), (vec![], 1));
}

#[test]
fn a_look_without_an_answer_is_none() {
    let first = relieved().first_look();
    let silent = next(relieved().unseen(schedule("PS")), &first, 3000).first_look();
    assert_eq!((revoked(&silent), silent.awaiting.len()), (vec![], 0));
    assert_eq!(silent.due, first.due, "it confirms nothing, and refutes nothing");
    let third = next(relieved(), &silent, 4000).first_look();
    assert_eq!(revoked(&third), [1]);
}

#[test]
fn looks_must_agree_on_what_is_lost() {
    let scene = |until| Scene::with_shifts([shift("day", 8, until)]).ours([own(1, "day", 8, 20)]);
    let shorter = scene(19).first_look();
    let none = next(scene(12), &shorter, 3000).first_look();
    assert_eq!(revoked(&none), [0; 0], "only one look says that access ends now");
    let longer = next(scene(19), &scene(18).first_look(), 3000).first_look();
    assert_eq!(revoked(&longer), [1], "both say that the last hour is lost");
}

#[test]
fn access_of_tomorrow_takes_two_looks_unless_it_makes_room_for_what_is_wanted_now() {
    let scene = Scene::with_shifts([]).ours([own(1, "day", 30, 40)]);
    let first = scene.first_look();
    assert_eq!((revoked(&first), first.awaiting.len()), (vec![], 1));
    assert_eq!(revoked(&next(scene, &first, 2000).first_look()), [1]);

    let urgent = Scene::with_shifts([shift("day", 8, 20), shift("day", 30, 40)])
        .ours([own(1, "day", 30, 40)])
        .second_grant(SecondGrant::Refused);
    assert_eq!(revoked(&urgent.first_look()), [1]);
}

#[test]
fn a_horizon_that_moves_is_no_disagreement() {
    let scene = Scene::with_shifts([without_end(shift("night", 10, 20))]).ours([own(1, "day", 8, 24 * 30)]);
    for took in [0, 5, 50] {
        let mut scene = scene.clone();
        // The answers come in a while after the question.
        scene.world.seen_at = scene.now + TimeDelta::seconds(took);
        let first = scene.first_look();
        assert_eq!(revoked(&next(scene, &first, 60_000).first_look()), [1], "after {took} s");
    }
}

#[test]
fn what_awaits_a_look_keeps_its_place_where_a_second_grant_is_refused() {
    let scene = Scene::with_shifts([shift("day", 8, 16), shift("day", 25, 26)])
        .ours([own(1, "day", 8, 20)])
        .second_grant(SecondGrant::Refused);
    let first = scene.first_look();
    assert_eq!(first.actions().count(), 0, "{first}");
    let second = next(scene, &first, 2000).first_look();
    assert_eq!(second.actions().count(), 2, "revoked and made anew: {second}");
}

#[test]
fn the_second_look_is_where_the_grant_came_from() {
    let everywhere = |scene: &Scene| scene.first_look().second_look.unwrap().sources.is_empty();
    assert!(everywhere(&relieved()), "nobody knows why it was made");
    let ours = made_for("day", "PS", own(1, "day", 8, 20));
    let mut scene = Scene::with_shifts([shift("night", 10, 20)]).ours([ours]);
    assert_eq!(scene.first_look().second_look.unwrap().sources, [schedule("PS")].into());
    scene.settings.rules = vec![schedule_rule("db", &["PX"])];
    let scene = scene.on_call(schedule("PX"), []);
    assert!(everywhere(&scene), "no rule names the schedule any more");
}

#[test]
fn deciding_again_by_the_same_answers_is_no_second_look() {
    let scene = relieved();
    let first = scene.first_look();
    let mut world = World { asked_at: scene.now, ..scene.world.clone() };
    world.recorded.due = first.due;
    let later = scene.now + TimeDelta::seconds(60);
    let by_the_same_answers = plan(later, &scene.settings, &world, Released::Nothing);
    assert!(revoked(&by_the_same_answers).is_empty());
    world.asked_at = later;
    assert_eq!(revoked(&plan(later, &scene.settings, &world, Released::Nothing)), [1]);
}

#[test]
fn a_source_that_wavers_is_looked_at_ever_more_rarely() {
    let right = || relieved().on_call(schedule("PS"), [shift("day", 8, 20)]);
    let pause =
        |plan: &Plan, asked: DateTime<Utc>| (plan.second_look.as_ref().unwrap().at - asked).num_seconds();
    let mut pauses = Vec::new();
    let mut plan = Plan::default();
    let mut ms = 0;
    for _ in 0..7 {
        let wrong = next(relieved(), &plan, ms);
        plan = wrong.first_look();
        pauses.push(pause(&plan, wrong.now));
        plan = next(right(), &plan, ms + 1000).first_look();
        assert!(plan.second_look.is_none() && plan.due.due.is_empty());
        ms += 2000;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
    let steady = next(relieved(), &plan, ms + 601_000);
    assert_eq!(pause(&steady.first_look(), steady.now), 2, "it has not wavered for a while");
}

#[test]
fn first_looks_are_forgotten_after_a_while_and_with_their_grant() {
    let mut scene = Scene::with_shifts([shift("day", 8, 20), shift("night", 8, 20)])
        .ours([own(1, "day", 8, 20), own(2, "night", 8, 20)]);
    let ago = |minutes| FirstLooks { before: 1, newest: scene.now - TimeDelta::minutes(minutes) };
    let looks = [(1, ago(9)), (2, ago(10)), (3, ago(9))].map(|(row, looks)| (LedgerRow::from(row), looks));
    scene.world.recorded.due.first_looks = looks.into();
    assert_eq!(scene.plan().due.first_looks, looks[..1].iter().copied().collect());
}

#[test]
fn who_has_not_wavered_does_not_wait_for_who_has() {
    let scene = || relieved().ours([own(2, "backup", 8, 20)]);
    let right = scene().on_call(schedule("PS"), [shift("day", 8, 20), shift("backup", 8, 20)]);
    for times in [1, 3] {
        let mut plan = Plan::default();
        for ms in (0..times).map(|time| 2000 * time) {
            plan = next(relieved(), &plan, ms).first_look();
            plan = next(right.clone(), &plan, ms + 1000).first_look();
        }
        let both = next(scene(), &plan, 2000 * times);
        let second_look = both.first_look().second_look.unwrap();
        assert_eq!(second_look.at, both.now + TimeDelta::seconds(2), "{times} times");
        let after = next(scene(), &both.first_look(), 2000 * times + 2000).first_look();
        let gone = BTreeSet::from_iter(revoked(&after));
        assert_eq!(gone, BTreeSet::from([1, 2]), "a look that comes earlier does as well");
    }
}
