//! The guard: where access goes from too many people at once, a human must look first.

use std::collections::BTreeMap;

use insta::assert_snapshot;

use super::builders::{Scene, at, made_for, named, own, schedule, schedule_rule, shift};
use crate::{
    model::{DueRevocation, LedgerRow, OwnGrant, Rule, SecondGrant},
    reconcile::plan::{Action, Plan, Released},
};

fn counts(plan: &Plan) -> (usize, usize) {
    (plan.actions().count(), plan.held.len())
}

/// Nobody is on call any more, though day and night have access and night has more to come. One may go at once.
fn reorganised() -> Scene {
    Scene::with_shifts([])
        .ours([own(1, "day", 8, 20), own(2, "night", 8, 20), own(3, "night", 30, 40)])
        .settings(|settings| settings.max_revocations = 1)
}

/// What the next look is about, after a plan that was carried out.
fn after(mut scene: Scene, plan: &Plan) -> Scene {
    scene.world.recorded.due = plan.due.clone();
    let gone: Vec<LedgerRow> = plan
        .actions()
        .filter_map(|action| match action {
            Action::Revoke(due) => Some(due.row),
            Action::Create(_) => None,
        })
        .collect();
    scene.world.recorded.ledger.retain(|own| !gone.contains(&own.row));
    scene
}

#[test]
fn too_many_revocations_are_all_held_and_all_else_goes_on() {
    let scene = reorganised().on_call(schedule("PS"), [shift("backup", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     backup@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-backup is on call for schedule PS
    revoke    night@corp.example on db from 2027-03-02T06:00:00Z until 2027-03-02T16:00:00Z (rules: db)
              because no rule wants this access any more
    held      day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
    assert_eq!(scene.plan().unchanged, 0);
}

#[test]
fn as_many_as_allowed_are_not_held_and_grants_of_tomorrow_do_not_count() {
    let scene = reorganised().settings(|settings| settings.max_revocations = 2);
    assert_eq!(counts(&scene.plan()), (3, 0));
}

#[test]
fn grants_that_start_within_the_hour_count() {
    let scene = Scene::with_shifts([])
        .ours([own(1, "day", 8, 20), own(2, "night", 13, 20)])
        .settings(|settings| settings.max_revocations = 1);
    assert_eq!(counts(&scene.plan()), (0, 2));
}

#[test]
fn whoever_has_a_successor_does_not_count() {
    let handed_over =
        reorganised().on_call(schedule("PS"), [shift("backup", 8, 20)]).ours([own(4, "backup", 12, 20)]);
    assert_eq!(counts(&handed_over.plan()), (3, 0));
    let too_short =
        reorganised().on_call(schedule("PS"), [shift("backup", 8, 18)]).ours([own(4, "backup", 12, 18)]);
    assert_eq!(counts(&too_short.plan()).1, 2, "nobody takes the last two hours");
    let elsewhere = reorganised().ours([own(4, "backup", 12, 20)]);
    assert_eq!(counts(&elsewhere.plan()).1, 3, "a successor who must go takes nobody's place");
}

#[test]
fn a_window_that_makes_room_for_the_right_one_does_not_count() {
    let scene = |shifts: [(i64, i64); 3]| {
        let people = ["day", "night", "backup"];
        let shifts = people.into_iter().zip(shifts).map(|(who, (start, end))| shift(who, start, end));
        Scene::with_shifts(shifts)
            .ours(people.into_iter().zip(1..).map(|(who, row)| own(row, who, 8, 20)))
            .settings(|settings| settings.max_revocations = 1)
    };
    assert_eq!(counts(&scene([(8, 19), (8, 19), (8, 19)]).plan()), (6, 0), "shorter for all");
    assert_eq!(counts(&scene([(14, 20), (14, 20), (14, 20)]).plan()), (0, 3), "access goes from all, now");
}

#[test]
fn a_confirmation_covers_what_was_held_and_up_to_as_many_more() {
    let scene = reorganised();
    assert_eq!(
        counts(&scene.plan_releasing(Released::Held(0))),
        (1, 2),
        "nothing was held, so nothing was confirmed"
    );
    let released = scene.plan_releasing(Released::Held(1));
    assert_eq!(counts(&released), (3, 0));
    let told = released.to_string();
    assert_eq!(told.matches("a request released them (allow_mass_revocation)").count(), 3, "{told}");
    let more = scene.ours([own(4, "backup", 8, 20)]);
    assert_eq!(counts(&more.plan_releasing(Released::Held(1))).1, 3, "three are more than twice one");
    let needless = reorganised().settings(|settings| settings.max_revocations = 2);
    let needless = needless.plan_releasing(Released::Held(2)).to_string();
    assert!(!needless.contains("released"), "nothing would have been held: {needless}");
}

#[test]
fn what_is_confirmed_holds_up_nobody_after_it() {
    let scene = reorganised();
    let held = scene.plan();
    let scene = after(scene, &held);
    let released = scene.plan_releasing(Released::Held(2));
    let scene = after(scene, &released).ours([own(5, "backup", 8, 20)]);
    assert_eq!(counts(&scene.plan()), (1, 0));
}

#[test]
fn what_is_held_is_freed_by_people_who_are_wanted_again() {
    let scene = reorganised();
    let held = scene.plan();
    let scene = after(scene, &held).on_call(schedule("PS"), [shift("day", 8, 20)]);
    let freed = scene.plan();
    assert_eq!(counts(&freed), (1, 0), "{freed}");
    assert_eq!(freed.due.held().count(), 0);
}

#[test]
fn of_what_is_held_each_counts_once_and_what_is_wanted_again_not_at_all() {
    let of_two = Rule { resources: vec![named("db"), named("web")], ..schedule_rule("db", &["PS"]) };
    let mut on_web = own(2, "night", 8, 20);
    (on_web.grant.resource, on_web.grant.resource_id) = ("web".to_owned(), "rs-web".into());
    let scene = Scene::new([of_two])
        .on_call(schedule("PS"), [])
        .ours([own(1, "day", 8, 20), on_web])
        .settings(|settings| settings.max_revocations = 1);
    let held = scene.plan();
    assert_eq!(counts(&held), (0, 2));
    let scene = after(scene, &held).on_call(schedule("PS"), [shift("day", 8, 20)]);
    assert_eq!(counts(&scene.plan()), (2, 0), "one is left, and nobody has taken its place");
}

#[test]
fn a_look_that_finds_nothing_due_holds_nothing_more() {
    let (held, went) = (LedgerRow::from(1), LedgerRow::from(9));
    let mut scene = Scene::with_shifts([])
        .ours([made_for("day", "PS", own(1, "day", 8, 20))])
        .settings(|settings| settings.max_revocations = 0);
    scene.world.recorded.due = scene.plan().due;
    scene.world.recorded.due.counted.insert(went, scene.now);
    let silent = scene.unseen(schedule("PS"));
    for released in [Released::Nothing, Released::Held(1)] {
        let plan = silent.plan_releasing(released);
        assert_eq!(plan.due.held().collect::<Vec<_>>(), [held], "{released:?}");
        assert_eq!(plan.due.counted.get(&went), Some(&silent.now));
    }
}

#[test]
fn of_grants_that_are_gone_only_what_was_held_is_remembered_and_no_longer_than_the_rest_of_it() {
    let gone = |held| DueRevocation { since: at(11), lost: Vec::new(), lost_groups: BTreeMap::new(), held };
    let remembered = |live: &[OwnGrant]| {
        let mut scene = Scene::with_shifts([])
            .ours(live.iter().cloned())
            .settings(|settings| settings.max_revocations = 0);
        scene.world.recorded.due.due = [(8.into(), gone(true)), (9.into(), gone(false))].into();
        scene.plan().due.due.into_keys().map(LedgerRow::number).collect::<Vec<_>>()
    };
    assert_eq!(remembered(&[own(1, "day", 8, 20)]), [1, 8]);
    assert_eq!(remembered(&[]), [0_i64; 0]);
}

#[test]
fn neither_time_nor_a_narrow_look_frees_what_is_held() {
    let scene = reorganised().ours([own(4, "backup", 8, 14)]);
    let held = scene.plan();
    assert_eq!(held.held.len(), 3);
    let scene = after(scene, &held).now(15);
    assert_eq!(counts(&scene.plan()), (0, 2), "one ended by itself");

    let scene = after(reorganised(), &reorganised().plan());
    let silent = scene.clone().unseen(schedule("PS")).plan();
    assert_eq!(silent.actions().count(), 0);
    assert_eq!(counts(&after(scene, &silent).plan()).1, 2, "it was held before the source fell silent");
}

#[test]
fn a_silent_source_does_not_hide_what_is_held() {
    let ours = made_for("day", "PS", own(1, "day", 8, 20));
    let scene = Scene::with_shifts([]).ours([ours]).settings(|settings| settings.max_revocations = 0);
    let held = scene.plan();
    let silent = after(scene, &held).unseen(schedule("PS"));
    assert_eq!(counts(&silent.plan()), (0, 1));
}

#[test]
fn revocations_of_the_last_minute_count() {
    let first =
        Scene::with_shifts([]).ours([own(1, "day", 8, 20)]).settings(|settings| settings.max_revocations = 1);
    let (plan, first_at) = (first.plan(), first.now);
    assert_eq!(counts(&plan), (1, 0));
    let second = after(first, &plan).ours([own(2, "night", 8, 20)]);
    let held = second.plan();
    assert_eq!(counts(&held), (0, 1), "two within a minute");
    let mut later = after(second, &held);
    later.now += chrono::TimeDelta::minutes(5);
    assert_eq!(counts(&later.plan()), (0, 1), "time does not free it");

    for minutes in [1, 2] {
        let mut later = after(later.clone(), &plan);
        later.now = first_at + chrono::TimeDelta::minutes(minutes);
        assert_eq!(counts(&later.plan()), (1, 0), "the first is minutes old: {minutes}");
    }
}

#[test]
fn a_held_grant_in_the_way_defers_what_comes_after_it() {
    let scene = Scene::with_shifts([shift("day", 25, 26)])
        .ours([own(1, "day", 8, 20)])
        .second_grant(SecondGrant::Refused)
        .settings(|settings| settings.max_revocations = 0);
    assert_snapshot!(scene.words(), @r"
    held      day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    deferred  day@corp.example on db from 2027-03-02T01:00:00Z until 2027-03-02T02:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T20:00:00Z
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}
