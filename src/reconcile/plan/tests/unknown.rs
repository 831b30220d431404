//! What could not be observed or used: it leads to nothing, and it protects.

use insta::assert_snapshot;

use super::builders::{
    Scene, email, filter, foreign, in_groups, made_for, named, on_db, own, policy, policy_rule, resource,
    schedule, schedule_rule, shift, span, with_groups,
};
use crate::{
    model::{Cause, Observed, OwnGrant, Rule, SecondGrant, SkipReason, UserId},
    reconcile::{
        plan::{Action, Plan},
        world::{AccountMatch, ResourceMatch},
    },
};

fn unknown<T>() -> Observed<T> {
    Observed::Unknown("HTTP 500".into())
}

/// Rows that are revoked.
fn revoked(plan: &Plan) -> Vec<i64> {
    let actions = plan.actions();
    let row = |step: &Action| match step {
        Action::Revoke(revocation) => Some(revocation.row.number()),
        Action::Create(_) => None,
    };
    actions.filter_map(row).collect()
}

fn created(plan: &Plan) -> usize {
    let actions = plan.actions();
    actions.filter(|action| matches!(action, Action::Create(_))).count()
}

fn skipped(plan: &Plan) -> Vec<SkipReason> {
    plan.skipped.iter().map(|skipped| skipped.reason).collect()
}

#[test]
fn an_unknown_schedule_keeps_its_grants_while_the_others_go_on() {
    let web = Rule { resources: vec![named("web")], ..schedule_rule("web", &["PW"]) };
    let scene = Scene::new([schedule_rule("db", &["PS"]), web])
        .unseen(schedule("PS"))
        .on_call(schedule("PW"), [shift("night", 8, 20)])
        .ours([own(1, "day", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     night@corp.example on web from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: web)
              because of rule "web": user P-night is on call for schedule PW
    unknown   schedule PS: HTTP 500; grants that depend on it stay until their end
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn a_grant_goes_only_if_every_rule_about_its_resource_is_known() {
    let scene = Scene::new([schedule_rule("db", &["PS"]), policy_rule("oncall", "PA", &[])])
        .on_call(schedule("PS"), [])
        .on_call(policy("PA"), [])
        .ours([own(1, "day", 8, 20)]);
    assert_eq!(revoked(&scene.plan()), [1]);
    assert!(revoked(&scene.unseen(policy("PA")).plan()).is_empty());
}

#[test]
fn what_was_not_asked_is_unknown_but_not_reported() {
    let scene = Scene::new([schedule_rule("db", &["PS"])]).ours([own(1, "day", 8, 20)]);
    let plan = scene.plan();
    assert!(revoked(&plan).is_empty());
    assert_eq!(plan.unknown, []);
}

#[test]
fn an_unknown_account_protects_only_its_own_grants() {
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .account("day", unknown())
        .ours([own(1, "day", 8, 20), own(2, "night", 8, 20)]);
    assert_snapshot!(scene.words(), @r"
    revoke    night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    unknown   strongDM account of day@corp.example: HTTP 500; grants that depend on it stay until their end
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}

#[test]
fn a_person_who_could_not_be_looked_up_could_be_anyone() {
    let mut scene =
        Scene::with_shifts([shift("day", 8, 20)]).ours([own(1, "night", 8, 20), own(2, "night", 21, 23)]);
    scene.world.people.insert(UserId::from("P-day"), unknown());
    assert_eq!(revoked(&scene.plan()), [2], "but not outside of the shift");
    scene.world.people.clear();
    assert_eq!(revoked(&scene.plan()), [2]);
}

#[test]
fn people_who_cannot_be_used_are_skipped_and_the_rest_goes_on() {
    let mut scene = Scene::with_shifts([
        shift("gone", 8, 20),
        shift("odd", 8, 20),
        shift("stranger", 8, 20),
        shift("twice", 8, 20),
        shift("day", 8, 20),
    ])
    .account("stranger", Observed::Known(AccountMatch::None))
    .account("twice", Observed::Known(AccountMatch::Many));
    for (who, address) in [
        ("gone", None),
        ("odd", Some("od*d@corp.example")),
        ("stranger", Some("stranger@corp.example")),
        ("twice", Some("Twice@corp.example")),
    ] {
        let address = address.map(ToOwned::to_owned);
        scene.world.people.insert(UserId::from(format!("P-{who}")), Observed::Known(address));
    }
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    skipped   od*d@corp.example: the address has characters that are not safe to look up (rules: db), on call from 2027-03-01T08:00:00Z
    skipped   stranger@corp.example: no strongDM user account has this address (rules: db), on call from 2027-03-01T08:00:00Z
    skipped   twice@corp.example: several strongDM accounts have this address, or several people in PagerDuty lead to its account (rules: db), on call from 2027-03-01T08:00:00Z
    skipped   PagerDuty user P-gone: PagerDuty knows no e-mail address, or the user is deleted (rules: db), on call from 2027-03-01T08:00:00Z
    0 grants unchanged, 5 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

/// Day has access, and PagerDuty tells this address of whoever is on call as day now.
fn with_address(address: Option<&str>) -> Scene {
    let mut scene = Scene::with_shifts([shift("day", 8, 20)])
        .ours([made_for("day", "PS", own(1, "day", 8, 20)), made_for("night", "PS", own(2, "night", 8, 20))]);
    scene.world.people.insert("P-day".into(), Observed::Known(address.map(ToOwned::to_owned)));
    scene
}

#[test]
fn a_changed_missing_or_unusable_address_takes_nothing_from_the_same_person() {
    for address in [None, Some("o*o@corp.example"), Some("new@corp.example"), Some("backup@corp.example")] {
        let scene = with_address(address).account("new", Observed::Known(AccountMatch::None));
        assert_eq!(revoked(&scene.plan()), [2], "{address:?}: night is not on call");
    }
    let moved = with_address(Some("backup@corp.example")).plan();
    assert_eq!(created(&moved), 1, "the account that is meant now gets access: {moved}");
    let over = with_address(Some("backup@corp.example")).on_call(schedule("PS"), []);
    assert_eq!(revoked(&over.plan()), [1, 2], "who is not on call cannot be meant");
}

#[test]
fn a_new_address_of_the_same_account_keeps_no_grant_that_is_too_long() {
    let renamed = with_address(Some("new@corp.example"))
        .settings(|settings| settings.aliases = [(email("new"), email("day"))].into_iter().collect())
        .on_call(schedule("PS"), [shift("day", 8, 16)]);
    assert_eq!(revoked(&renamed.plan()), [1, 2]);
}

#[test]
fn an_alias_that_leads_elsewhere_takes_access_away_with_one_address_and_the_same() {
    let aliased = with_address(Some("day@corp.example"))
        .settings(|settings| settings.aliases = [(email("day"), email("backup"))].into_iter().collect());
    assert_eq!(revoked(&aliased.plan()), [1, 2], "PagerDuty tells what it told, so we changed our mind");
}

#[test]
fn a_doubtful_answer_gives_what_it_tells_and_takes_nothing_away() {
    let mut scene = Scene::with_shifts([shift("day", 8, 20)]).ours([own(1, "night", 8, 20)]);
    scene.world.doubts.insert(schedule("PS"), "level 2 is missing".into());
    let plan = scene.plan();
    assert_eq!((created(&plan), revoked(&plan), plan.unknown.len()), (1, vec![], 1), "{plan}");
}

#[test]
fn a_filter_that_suddenly_matches_nothing_takes_nothing_away() {
    let rule = Rule { resources: vec![filter("tags:env=prod")], ..schedule_rule("db", &["PS"]) };
    let scene = |found| {
        Scene::new([rule.clone()])
            .on_call(schedule("PS"), [shift("day", 8, 20)])
            .resource(filter("tags:env=prod"), Observed::Known(ResourceMatch::Found(found)))
            .ours([
                made_for("day", "PS", own(1, "day", 8, 20)),
                made_for("night", "PS", own(2, "night", 8, 20)),
            ])
    };
    assert_eq!(revoked(&scene(Vec::new()).plan()), [2]);
    assert_eq!(revoked(&scene(vec![resource("web")]).plan()), [1, 2], "it found something else");
}

#[test]
fn what_is_kept_for_another_rule_is_kept_also_when_its_filter_matches_nothing() {
    let group = |rule| with_groups(&["g"], rule);
    let by_filter = Rule { resources: vec![filter("env")], ..schedule_rule("b", &["PB"]) };
    let finds = |found| Observed::Known(ResourceMatch::Found(found));
    let mut scene = Scene::new([group(schedule_rule("db", &["PA"])), group(by_filter)])
        .resource(filter("env"), finds(vec![resource("db")]))
        .on_call(schedule("PA"), [])
        .on_call(schedule("PB"), [shift("day", 9, 18)])
        .ours([in_groups(&["g"], made_for("day", "PA", own(1, "day", 8, 20)))])
        .second_grant(SecondGrant::RefusedIfOverlapping)
        .foreign(foreign("fg", "day", span(14, 15)));
    let plan = scene.plan();
    assert_eq!((revoked(&plan), plan.relabelled.len()), (Vec::new(), 1), "its replacement must wait");
    let Some((_, causes)) = plan.relabelled.into_iter().next() else { unreachable!() };
    scene.world.recorded.ledger[0].causes = causes;
    let plan = scene.resource(filter("env"), finds(Vec::new())).plan();
    assert!(revoked(&plan).is_empty(), "{plan}");
}

#[test]
fn a_filter_that_matches_nothing_keeps_its_part_of_a_grant_that_another_rule_wants_as_well() {
    let by_filter = Rule { resources: vec![filter("env")], ..schedule_rule("b", &["PB"]) };
    let mut scene = Scene::new([schedule_rule("db", &["PA"]), by_filter])
        .resource(filter("env"), Observed::Known(ResourceMatch::Found(Vec::new())))
        .on_call(schedule("PA"), [shift("day", 16, 20)])
        .on_call(schedule("PB"), [shift("day", 8, 16)]);
    let of_both = made_for("day", "PA", own(1, "day", 8, 20));
    let of_filter = made_for("day", "PB", own(1, "day", 8, 20)).causes;
    let of_filter = of_filter.into_iter().map(|cause| Cause { rule: "b".to_owned(), ..cause });
    let causes = of_filter.chain(of_both.causes).collect();
    scene = scene.ours([OwnGrant { causes, ..of_both }]);
    for look in 0..3 {
        let plan = scene.plan();
        assert_eq!((revoked(&plan), plan.unchanged), (Vec::new(), 1), "look {look}: {plan}");
        for (_, causes) in plan.relabelled {
            scene.world.recorded.ledger[0].causes = causes;
        }
    }
}

#[test]
fn a_suspended_account_gets_nothing_new_and_keeps_what_is_still_wanted() {
    let scene = Scene::with_shifts([shift("day", 8, 30)]).suspended("day").ours([own(1, "day", 8, 20)]);
    let plan = scene.plan();
    assert_eq!((created(&plan), revoked(&plan)), (0, vec![]));
    assert_eq!(skipped(&plan), [SkipReason::AccountSuspended]);

    let off_call = Scene::with_shifts([]).suspended("day").ours([own(1, "day", 8, 20)]);
    assert_eq!(revoked(&off_call.plan()), [1]);
}

#[test]
fn a_missing_account_lets_its_former_grants_end() {
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .account("day", Observed::Known(AccountMatch::None))
        .ours([own(1, "day", 8, 20)]);
    assert!(revoked(&scene.plan()).is_empty());
}

#[test]
fn a_resource_that_cannot_be_used_is_skipped_and_keeps_its_grants() {
    let rule = Rule { resources: vec![named("db"), named("web")], ..schedule_rule("db", &["PS"]) };
    for (found, reason) in [
        (ResourceMatch::None, SkipReason::ResourceNotFound),
        (ResourceMatch::Many, SkipReason::AmbiguousResource),
        (ResourceMatch::Refused("bad".to_owned()), SkipReason::FilterRefused),
    ] {
        let scene = Scene::new([rule.clone()])
            .on_call(schedule("PS"), [shift("day", 8, 20)])
            .resource(named("db"), Observed::Known(found))
            .ours([own(1, "day", 8, 20), own(2, "night", 8, 20)]);
        let plan = scene.plan();
        assert_eq!(skipped(&plan), [reason]);
        assert_eq!(created(&plan), 1, "the other resource is granted");
        assert_eq!(revoked(&plan), [2], "who is not on call cannot be meant");
    }
}

#[test]
fn a_filter_that_is_refused_or_unknown_could_mean_any_resource() {
    let rule = Rule { resources: vec![filter("tags:env=prod")], ..schedule_rule("db", &["PS"]) };
    let scene = Scene::new([rule])
        .on_call(schedule("PS"), [shift("day", 8, 20)])
        .ours([own(1, "day", 8, 20), own(2, "night", 8, 20)]);
    let refused = Observed::Known(ResourceMatch::Refused("no such field".to_owned()));
    assert_eq!(revoked(&scene.clone().resource(filter("tags:env=prod"), refused).plan()), [2]);
    assert_snapshot!(scene.resource(filter("tags:env=prod"), unknown()).words(), @r#"
    revoke    night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    unknown   resource filter "tags:env=prod": HTTP 500; grants that depend on it stay until their end
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn pairs_with_an_unsettled_write_are_left_alone() {
    let mut scene =
        Scene::with_shifts([shift("day", 8, 30)]).ours([own(1, "day", 8, 20), own(2, "night", 8, 20)]);
    scene.world.recorded.unsettled = vec![on_db("day")];
    assert_snapshot!(scene.words(), @r"
    revoke    night@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    unsettled a-day on rs-db: an earlier write has an unknown outcome
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-02T06:00:00Z
    ");
}

#[test]
fn a_duplicate_is_not_removed_for_a_grant_that_is_only_suspected() {
    // The longer grant stays because nobody knows; what is exactly right must not depend on it.
    let scene = Scene::new([schedule_rule("db", &["PS"]), schedule_rule("other", &["PX"])])
        .on_call(schedule("PS"), [shift("day", 8, 20)])
        .unseen(schedule("PX"))
        .ours([own(1, "day", 8, 30), own(2, "day", 8, 20)]);
    assert!(revoked(&scene.plan()).is_empty());
}
