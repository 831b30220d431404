//! The guard: too many revocations of grants in force at once are held.

use insta::assert_snapshot;

use super::builders::{Scene, own, shift};
use crate::{
    model::SecondGrant,
    reconcile::plan::{Guard, Plan, plan},
};

fn counts(plan: &Plan) -> (usize, usize) {
    (plan.actions().count(), plan.held.len())
}

/// Three grants in force and a coming one, of which the rules want none.
fn reorganised() -> Scene {
    Scene::with_shifts([shift("backup", 8, 20)])
        .ours([own(1, "day", 8, 20), own(2, "night", 8, 20), own(3, "night", 30, 40)])
        .settings(|settings| settings.max_revocations = 1)
}

#[test]
fn too_many_revocations_are_all_held_and_creations_go_on() {
    assert_snapshot!(reorganised().words(), @r#"
    grant     backup@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-backup is on call for schedule PS
    held      day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      night@corp.example on db from 2027-03-02T06:00:00Z until 2027-03-02T16:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
    assert_eq!(reorganised().plan().unchanged, 0);
}

#[test]
fn as_many_as_allowed_are_not_held_and_coming_grants_do_not_count() {
    let scene = reorganised().settings(|settings| settings.max_revocations = 2);
    assert_eq!(counts(&scene.plan()), (4, 0));
}

#[test]
fn a_pass_that_is_allowed_to_revokes_them() {
    let scene = reorganised();
    let allowed = plan(scene.now, &scene.settings, &scene.world, Guard::Lifted);
    assert_eq!(counts(&allowed), (4, 0));
    let told = allowed.to_string();
    assert_eq!(told.matches("a request released them (allow_mass_revocation)").count(), 3, "{told}");
    let scene = scene.settings(|settings| settings.max_revocations = 2);
    let needless = plan(scene.now, &scene.settings, &scene.world, Guard::Lifted).to_string();
    assert!(!needless.contains("released"), "nothing would have been held: {needless}");
}

#[test]
fn a_held_grant_that_is_too_long_is_not_granted_twice() {
    let scene =
        reorganised().ours([own(4, "backup", 8, 30)]).settings(|settings| settings.max_revocations = 2);
    assert_snapshot!(scene.words(), @r"
    held      backup@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-02T06:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    held      night@corp.example on db from 2027-03-02T06:00:00Z until 2027-03-02T16:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}

#[test]
fn a_held_grant_in_the_way_defers_what_comes_after_it() {
    let scene = Scene::with_shifts([shift("day", 8, 16), shift("day", 25, 26)])
        .ours([own(1, "day", 8, 20)])
        .second_grant(SecondGrant::Refused)
        .settings(|settings| settings.max_revocations = 0);
    assert_snapshot!(scene.words(), @r"
    held      day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              too many revocations at once: if they are right, confirm with --allow-mass-revocation, or POST /sync
    deferred  day@corp.example on db from 2027-03-02T01:00:00Z until 2027-03-02T02:00:00Z (rules: db)
              another grant is in the way until it ends at 2027-03-01T20:00:00Z
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    ");
}
