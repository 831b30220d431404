//! The three ways of strongDM with a second grant for the same account and resource.

use insta::assert_snapshot;

use super::builders::{Scene, at, foreign, on_db, own, schedule, schedule_rule, shift, span, without_end};
use crate::model::{
    Altered, FOREVER,
    SecondGrant::{Refused, RefusedIfOverlapping, Taken},
    Window,
};

fn shortened() -> Scene {
    Scene::with_shifts([shift("day", 8, 16)]).ours([own(1, "day", 8, 20)])
}

#[test]
fn a_shortened_shift_is_granted_anew_before_the_old_grant_goes_where_a_second_one_is_taken() {
    assert_snapshot!(shortened().second_grant(Taken).words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T16:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because only a part of it is still wanted, and that part is granted anew
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    "#);
}

#[test]
fn a_shortened_shift_is_removed_and_made_anew_where_a_second_one_is_refused() {
    let words = shortened().second_grant(Refused).words();
    assert_snapshot!(words, @r#"
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because only a part of it is still wanted, and that part is granted anew
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T16:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    "#);
    assert_eq!(words, shortened().second_grant(RefusedIfOverlapping).words());
}

#[test]
fn a_shortened_shift_keeps_its_grant_while_the_pair_is_refused() {
    let scene = shortened().second_grant(Refused).refused("day", 13);
    assert_snapshot!(scene.words(), @r"
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    ");
}

#[test]
fn a_shortened_shift_keeps_its_grant_while_a_foreign_one_would_stop_the_new_one() {
    let scene = shortened().second_grant(Refused).foreign(foreign("fg", "day", span(100, 110)));
    assert_snapshot!(scene.words(), @r"
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    ");
    assert_eq!(scene.plan().next_wake, Some(at(16)));
}

#[test]
fn beside_a_grant_that_is_kept_too_long_goes_what_nobody_wants() {
    let scene = shortened().second_grant(Refused).foreign(foreign("fg", "day", span(100, 110)));
    assert_snapshot!(scene.ours([own(2, "day", 30, 40)]).words(), @r"
    revoke    day@corp.example on db from 2027-03-02T06:00:00Z until 2027-03-02T16:00:00Z (rules: db)
              because no rule wants this access any more
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    ");
}

#[test]
fn a_shortened_shift_that_waits_for_a_foreign_grant_is_looked_at_when_that_ends() {
    let scene = shortened().second_grant(Refused).foreign(foreign("fg", "day", span(13, 14)));
    assert_eq!((scene.plan().actions().count(), scene.plan().next_wake), (0, Some(at(14))));
    assert_eq!(scene.now(14).plan().actions().count(), 2);
}

#[test]
fn a_shortened_shift_keeps_its_grant_while_an_uncertain_one_would_stop_the_new_one() {
    let scene = Scene::new([schedule_rule("db", &["PS"]), schedule_rule("other", &["PX"])])
        .on_call(schedule("PS"), [shift("day", 8, 16)])
        .on_call(schedule("PX"), [shift("stranger", 50, 60)])
        .ours([own(1, "day", 8, 20), own(2, "day", 50, 60)])
        .second_grant(Refused);
    assert_snapshot!(scene.words(), @r"
    unknown   PagerDuty user P-stranger: not asked; grants that depend on it stay until their end
    2 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    ");
}

#[test]
fn what_nobody_wants_goes_even_while_the_pair_is_refused() {
    let scene = Scene::with_shifts([]).ours([own(1, "day", 8, 20)]).second_grant(Refused).refused("day", 13);
    assert_snapshot!(scene.words(), @r"
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    0 grants unchanged, 0 on-calls seen; nothing changes by itself
    ");
}

#[test]
fn later_windows_wait_for_the_first_where_any_second_one_is_refused() {
    let scene = Scene::with_shifts([shift("day", 8, 14), shift("day", 20, 22)]).second_grant(Refused);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T14:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    deferred  day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-01T22:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T14:00:00Z
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T14:00:00Z
    "#);
}

#[test]
fn windows_apart_are_granted_at_once_where_only_overlaps_are_refused() {
    let scene =
        Scene::with_shifts([shift("day", 8, 14), shift("day", 20, 22)]).second_grant(RefusedIfOverlapping);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T14:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    grant     day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-01T22:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T14:00:00Z
    "#);
}

#[test]
fn a_deferred_window_is_granted_the_moment_the_one_in_the_way_ends() {
    let scene = Scene::with_shifts([shift("day", 8, 14), shift("day", 14, 14 + 6)])
        .ours([own(1, "day", 8, 14)])
        .second_grant(Refused);
    assert_eq!(scene.plan().next_wake, Some(at(14)));
    assert_snapshot!(scene.now(14).words(), @r#"
    grant     day@corp.example on db from 2027-03-01T14:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn an_earlier_window_displaces_a_later_grant_where_any_second_one_is_refused() {
    let scene = Scene::with_shifts([shift("day", 13, 15), shift("day", 20, 30)])
        .ours([own(1, "day", 20, 30)])
        .second_grant(Refused);
    assert_snapshot!(scene.words(), @r#"
    revoke    day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T06:00:00Z (rules: db)
              because strongDM takes one grant at a time, and an earlier window is wanted
    grant     day@corp.example on db from 2027-03-01T13:00:00Z until 2027-03-01T15:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    deferred  day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T06:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T15:00:00Z
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T13:00:00Z
    "#);
}

#[test]
fn a_creation_waits_for_what_was_to_make_way_where_any_second_one_is_refused() {
    let displacing = Scene::with_shifts([shift("day", 13, 15), shift("day", 20, 30)])
        .ours([own(1, "day", 20, 30)])
        .second_grant(Refused)
        .plan();
    let [revoke, create] = &displacing.pairs[0].actions[..] else { panic!("{displacing}") };
    let undone = [revoke.grant().window];
    assert!(create.waits_for(&undone, Refused), "it would be refused");
    assert!(!create.waits_for(&undone, RefusedIfOverlapping), "that lies elsewhere");
    assert!(!create.waits_for(&[], Refused));
    assert!(!revoke.waits_for(&[create.grant().window], Refused), "to take it back needs nothing");
    assert!(revoke.waits_for(&undone, Taken), "what overlaps belongs together");
}

#[test]
fn a_later_grant_is_not_displaced_for_what_must_wait_anyway() {
    let scene = Scene::with_shifts([shift("day", 13, 15), shift("day", 20, 30)])
        .ours([own(1, "day", 20, 30)])
        .second_grant(Refused);
    assert_eq!(scene.plan().actions().count(), 2);
    let (pair, window, until) = (on_db("day"), span(13, 15), at(13));
    let mut altered = scene.clone();
    altered.world.recorded.altered.push(Altered { pair, window, until, fault: None });
    let foreign = scene.clone().foreign(foreign("fg", "day", span(100, 110)));
    for waits in [altered, foreign, scene.refused("day", 13)] {
        assert_eq!(waits.plan().actions().count(), 0, "{}", waits.words());
    }
}

#[test]
fn a_grant_in_force_is_never_displaced() {
    let scene = Scene::with_shifts([shift("day", 8, 14), shift("day", 15, 16)])
        .ours([own(1, "day", 8, 14)])
        .second_grant(Refused);
    assert_snapshot!(scene.words(), @r"
    deferred  day@corp.example on db from 2027-03-01T15:00:00Z until 2027-03-01T16:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T14:00:00Z
    1 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T14:00:00Z
    ");
}

#[test]
fn a_later_grant_is_displaced_despite_an_unknown_schedule_because_it_is_certainly_wanted_again() {
    let scene = Scene::new([schedule_rule("db", &["PS"]), schedule_rule("other", &["PX"])])
        .on_call(schedule("PS"), [shift("day", 8, 15), shift("day", 20, 30)])
        .unseen(schedule("PX"))
        .ours([own(1, "day", 20, 30)])
        .second_grant(Refused);
    assert_snapshot!(scene.words(), @r#"
    revoke    day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T06:00:00Z (rules: db)
              because strongDM takes one grant at a time, and an earlier window is wanted
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T15:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    deferred  day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T06:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T15:00:00Z
    unknown   schedule PX: HTTP 500; grants that depend on it stay until their end
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T15:00:00Z
    "#);
}

#[test]
fn several_grants_in_the_way_are_looked_at_again_when_the_first_ends() {
    // Made while a second grant was still taken.
    let scene = Scene::with_shifts([without_end(shift("day", 8, 0))])
        .ours([own(1, "day", 8, 13), own(2, "day", 15, 19)])
        .second_grant(Refused);
    assert_eq!(scene.plan().next_wake, Some(at(13)));
    assert_snapshot!(scene.now(13).words(), @r#"
    revoke    day@corp.example on db from 2027-03-01T15:00:00Z until 2027-03-01T19:00:00Z (rules: db)
              because strongDM takes one grant at a time, and an earlier window is wanted
    grant     day@corp.example on db from 2027-03-01T13:00:00Z until 2027-03-08T13:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-05T01:00:00Z
    "#);
}

#[test]
fn a_foreign_grant_does_not_matter_where_a_second_one_is_taken() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).foreign(foreign("fg", "day", span(0, 30)));
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn a_foreign_grant_that_covers_the_window_is_enough_where_a_second_one_is_refused() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).foreign(foreign("fg", "day", span(0, 20)));
    let words = scene.clone().second_grant(Refused).words();
    assert_snapshot!(words, @r"
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
    assert_eq!(words, scene.second_grant(RefusedIfOverlapping).words());
}

#[test]
fn a_foreign_grant_that_covers_a_part_defers_the_window_to_its_end() {
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .foreign(foreign("fg", "day", span(0, 15)))
        .second_grant(RefusedIfOverlapping);
    assert_snapshot!(scene.words(), @r"
    deferred  day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T15:00:00Z
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T15:00:00Z
    ");
    assert_eq!(scene.words(), scene.clone().second_grant(Refused).words());
    assert_eq!(scene.plan().next_wake, Some(at(15)));
}

#[test]
fn what_lies_before_a_foreign_grant_is_granted_where_only_overlaps_are_refused() {
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .foreign(foreign("fg", "day", span(15, 17)))
        .second_grant(RefusedIfOverlapping);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T15:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    deferred  day@corp.example on db from 2027-03-01T15:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T17:00:00Z
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T17:00:00Z
    "#);
}

#[test]
fn a_foreign_grant_without_an_end_leaves_no_time_to_try_again() {
    let endless = Window::new(at(15), FOREVER).unwrap();
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .foreign(foreign("fg", "day", endless))
        .second_grant(Refused);
    assert_snapshot!(scene.words(), @r"
    deferred  day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              another grant is in the way until somebody removes it
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}

#[test]
fn a_refusal_without_a_visible_cause_is_remembered() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).refused("day", 13);
    assert_snapshot!(scene.words(), @r"
    deferred  day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T13:00:00Z
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T13:00:00Z
    ");
    assert_eq!(scene.plan().next_wake, Some(at(13)));
    assert_eq!(scene.now(13).plan().pairs.len(), 1, "and then tried again");
}
