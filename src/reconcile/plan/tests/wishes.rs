//! Whom the rules give what, and how a change of shifts becomes grants and revocations.

use chrono::TimeDelta;
use insta::assert_snapshot;

use super::builders::{
    Scene, always, at, email, filter, level, made_for, named, on_db, own, policy, policy_rule,
    policy_rule_with_always, resource, schedule, schedule_rule, shift, span, without_end,
};
use crate::{
    model::{Aliases, ForeignGrant, Observed, OnCall, Pair, Rule, UserId, Window},
    reconcile::{plan::Action, world::ResourceMatch},
};

/// The windows that are granted to `who`, in hours.
fn granted(scene: &Scene, who: &str) -> Vec<Window> {
    let plan = scene.plan();
    let actions = plan.actions();
    let of_who = |step: &&Action| step.grant().email.as_str().starts_with(who);
    actions.filter(of_who).map(|action| action.grant().window).collect()
}

#[test]
fn a_shift_becomes_a_grant_from_now_to_its_end() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn swapped_shifts_swap_the_grants_and_make_the_new_ones_first() {
    let scene = Scene::with_shifts([shift("night", 8, 20), shift("day", 20, 32)])
        .ours([own(1, "day", 8, 20), own(2, "night", 20, 32)]);
    assert_snapshot!(scene.words(), @r#"
    grant     night@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-night is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    grant     day@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T08:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    revoke    night@corp.example on db from 2027-03-01T20:00:00Z until 2027-03-02T08:00:00Z (rules: db)
              because no rule wants this access any more
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn what_is_right_is_left_alone() {
    let scene = Scene::with_shifts([shift("day", 8, 20), shift("night", 20, 32)])
        .ours([own(1, "day", 8, 20), own(2, "night", 20, 32)]);
    assert_snapshot!(scene.words(), @r"
    2 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}

#[test]
fn an_extended_shift_gets_the_rest_as_a_neighbouring_grant() {
    let scene = Scene::with_shifts([shift("day", 8, 23)]).ours([own(1, "day", 8, 20)]);
    assert_eq!(granted(&scene, "day"), [span(20, 23)]);
}

#[test]
fn neighbouring_shifts_become_one_grant() {
    let scene = Scene::with_shifts([shift("day", 8, 14), shift("day", 14, 20)]);
    assert_eq!(granted(&scene, "day"), [span(12, 20)]);
}

#[test]
fn one_person_through_two_rules_levels_and_policies_gets_one_grant() {
    let rules = [policy_rule("api", "PA", &[]), policy_rule("web", "PW", &[1, 2])];
    let scene = Scene::new(rules)
        .on_call(policy("PA"), [level(1, shift("day", 8, 20)), level(3, shift("day", 10, 22))])
        .on_call(policy("PW"), [level(2, shift("day", 6, 18))]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T22:00:00Z (rules: api, web)
              because of rule "api": user P-day is on call for escalation policy PA at level 1
              because of rule "api": user P-day is on call for escalation policy PA at level 3
              because of rule "web": user P-day is on call for escalation policy PW at level 2
    0 grants unchanged, 3 on-calls seen; the next change by itself is at 2027-03-01T18:00:00Z
    "#);
}

#[test]
fn margins_widen_the_window_and_bring_ended_shifts_back() {
    let (start_early, end_late) = (TimeDelta::hours(1), TimeDelta::hours(2));
    let rule = Rule { start_early, end_late, ..schedule_rule("db", &["PS"]) };
    let scene = Scene::new([rule])
        .on_call(schedule("PS"), [shift("night", 3, 11), shift("day", 20, 22), shift("backup", 4, 10)]);
    assert_eq!(granted(&scene, "night"), [span(12, 13)]);
    assert_eq!(granted(&scene, "day"), [span(19, 24)]);
    assert_eq!(granted(&scene, "backup"), [], "the margin has ended too");
}

#[test]
fn a_shift_that_reaches_past_the_horizon_is_granted_whole_and_one_behind_it_not_yet() {
    let week = 7 * 24;
    let scene = Scene::with_shifts([
        shift("day", 12 + week - 1, 12 + week + 500),
        shift("night", 12 + week, 12 + week + 1),
    ]);
    assert_eq!(granted(&scene, "day"), [span(12 + week - 1, 12 + week + 500)]);
    assert_eq!(granted(&scene, "night"), []);
    let mut within_the_second = scene;
    within_the_second.now += TimeDelta::milliseconds(999);
    assert_eq!(granted(&within_the_second, "night"), [], "the horizon moves by whole seconds");
}

#[test]
fn an_on_call_without_an_end_is_granted_to_the_horizon_and_renewed_at_half() {
    let week = 7 * 24;
    let scene = Scene::with_shifts([without_end(shift("day", 8, 0))]);
    assert_eq!(granted(&scene, "day"), [span(12, 12 + week)]);
    assert_eq!(scene.plan().next_wake, Some(at(12 + week / 2)));

    let scene = scene.ours([own(1, "day", 12, 12 + week)]);
    let early = scene.clone().now(12 + week / 2 - 1);
    assert_eq!(granted(&early, "day"), []);
    assert_eq!(early.plan().next_wake, Some(at(12 + week / 2)));
    let half = scene.now(12 + week / 2);
    assert_eq!(granted(&half, "day"), [span(12 + week, 12 + week + week / 2)]);
}

#[test]
fn an_on_call_without_an_end_is_granted_although_it_starts_late_or_something_is_missing_before() {
    let week = 7 * 24;
    let late = Scene::with_shifts([without_end(shift("day", 12 + 120, 0))]);
    assert_eq!(granted(&late, "day"), [span(12 + 120, 12 + week)]);
    assert_eq!(late.plan().next_wake, Some(at(12 + week / 2)));
    let gap = Scene::with_shifts([without_end(shift("day", 8, 0))])
        .ours([own(1, "day", 8, 13), own(2, "day", 20, 12 + week)]);
    assert_eq!(granted(&gap, "day"), [span(13, 20)]);
    assert_eq!(gap.plan().next_wake, Some(at(12 + week / 2)));
}

#[test]
fn a_shift_is_granted_whole_even_if_an_on_call_without_an_end_goes_on_after_it() {
    let week = 7 * 24;
    let scene = Scene::with_shifts([shift("day", 8, 100), without_end(shift("day", 100, 0))])
        .ours([own(1, "day", 8, 99)]);
    assert_eq!(
        granted(&scene, "day"),
        [span(99, 12 + week)],
        "although more than half of the horizon is left"
    );
    let scene = Scene::with_shifts([shift("day", 8, 500), without_end(shift("day", 8, 0))]);
    assert_eq!(granted(&scene, "day"), [span(12, 500)]);
}

#[test]
fn nobody_wakes_up_to_renew_a_shift_that_ends() {
    let scene = Scene::with_shifts([shift("day", 8, 156)]).ours([own(1, "day", 8, 156)]);
    assert_eq!(scene.plan().next_wake, Some(at(156)), "more than half a horizon ahead");
}

#[test]
fn a_horizon_of_odd_seconds_is_renewed_at_a_whole_second() {
    let mut scene = Scene::with_shifts([without_end(shift("day", 8, 0))]);
    scene.settings.horizon = TimeDelta::seconds(61);
    scene.now = at(12) + TimeDelta::milliseconds(999);
    let wake = scene.plan().next_wake.unwrap();
    assert_eq!(wake, at(12) + TimeDelta::seconds(30));
    let mut granted = own(1, "day", 12, 13);
    granted.grant.window = Window::new(at(12), at(12) + TimeDelta::seconds(61)).unwrap();
    scene = scene.ours([granted]);
    scene.now = wake;
    let plan = scene.plan();
    assert_eq!(plan.pairs.len(), 1, "{plan}");
    assert!(plan.next_wake.is_none_or(|next| next > wake), "it would wake at once, again and again");
}

#[test]
fn always_on_call_counts_only_if_the_rule_says_so() {
    let on_calls = [always("day"), level(1, shift("night", 8, 20))];
    let without = Scene::new([policy_rule("api", "PA", &[])]).on_call(policy("PA"), on_calls.clone());
    assert_eq!(granted(&without, "day"), []);
    assert_eq!(granted(&without, "night"), [span(12, 20)]);
    let with = Scene::new([policy_rule_with_always("api", "PA", &[])]).on_call(policy("PA"), on_calls);
    assert_eq!(granted(&with, "day"), [span(12, 12 + 7 * 24)]);
}

#[test]
fn a_rule_about_levels_ignores_the_others() {
    let scene = Scene::new([policy_rule("api", "PA", &[1])]).on_call(
        policy("PA"),
        [level(1, shift("day", 8, 20)), level(2, shift("night", 8, 20)), shift("backup", 8, 20)],
    );
    assert_eq!(granted(&scene, "day"), [span(12, 20)]);
    assert_eq!(granted(&scene, "night"), []);
    assert_eq!(granted(&scene, "backup"), [], "no level is not level 1");
}

#[test]
fn an_alias_leads_to_the_other_account() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).settings(|settings| {
        let (from, to) = (super::builders::email("day"), super::builders::email("backup"));
        settings.aliases = Aliases::from_iter([(from, to)]);
    });
    assert_eq!(granted(&scene, "day"), []);
    assert_eq!(granted(&scene, "backup"), [span(12, 20)]);
}

/// Day has another address in PagerDuty, in a domain that is mapped as a whole.
fn of_an_old_domain(scene: Scene) -> Scene {
    let mut scene = scene.settings(|settings| {
        let domains = [("old.example".to_owned(), "corp.example".to_owned())];
        settings.aliases = Aliases::default().with_domains(domains.into());
    });
    let address = Observed::Known(Some("Day@Old.example".to_owned()));
    scene.world.people.insert("P-day".into(), address);
    scene
}

#[test]
fn a_mapped_domain_leads_to_the_account() {
    let scene = of_an_old_domain(Scene::with_shifts([shift("day", 8, 20)]));
    assert_eq!(granted(&scene, "day"), [span(12, 20)]);
}

#[test]
fn of_two_people_whom_a_domain_leads_to_one_account_the_mapped_one_gets_nothing_and_nobody_loses_anything() {
    let twin = OnCall { user: "P-twin".into(), ..shift("day", 14, 18) };
    let told = Observed::Known(Some("day@corp.example".to_owned()));
    // From before the domain was mapped, and under the same address.
    let mut before = made_for("day", "PS", own(2, "old", 8, 20));
    before.causes[0].address = Some("day@old.example".to_owned());
    let mut scene = of_an_old_domain(Scene::with_shifts([shift("day", 8, 20), twin]))
        .ours([made_for("day", "PS", own(1, "day", 8, 13)), before]);
    scene.world.people.insert("P-twin".into(), told.clone());
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T14:00:00Z until 2027-03-01T18:00:00Z (rules: db)
              because of rule "db": user P-twin is on call for schedule PS
    skipped   Day@Old.example: several strongDM accounts have this address, or several people in PagerDuty lead to its account (rules: db), on call from 2027-03-01T08:00:00Z
    2 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T14:00:00Z
    "#);
    // One who was seen by an earlier look counts as well, and one whose address changed meanwhile does not.
    scene = scene.on_call(schedule("PS"), [shift("day", 8, 20)]);
    scene.world.people.remove(&UserId::from("P-twin"));
    assert_eq!(granted(&scene, "day"), [span(13, 20)]);
    scene.world.acquaintances.insert("P-twin".into(), "day@corp.example".to_owned());
    assert_eq!(granted(&scene, "day"), []);
    scene.world.people.insert("P-twin".into(), Observed::Known(Some("twin@corp.example".to_owned())));
    assert_eq!(granted(&scene, "day"), [span(13, 20)]);
    // An exact alias says that it is meant.
    scene.world.people.insert("P-twin".into(), told);
    let exact = [("day@old.example".parse().unwrap(), email("day"))];
    let scene = scene.settings(|settings| {
        let domains = settings.aliases.domains().clone();
        settings.aliases = exact.into_iter().collect::<Aliases>().with_domains(domains);
    });
    assert_eq!(granted(&scene, "day"), [span(13, 20)]);
}

#[test]
fn a_resource_that_a_filter_no_longer_matches_is_taken_back() {
    let rule =
        Rule { resources: vec![named("web"), filter("tags:env=prod")], ..schedule_rule("db", &["PS"]) };
    let scene = Scene::new([rule])
        .on_call(schedule("PS"), [shift("day", 8, 20)])
        .resource(filter("tags:env=prod"), Observed::Known(ResourceMatch::Found(vec![resource("web")])))
        .ours([own(1, "day", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on web from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn a_resource_made_anew_under_its_name_gets_a_new_grant() {
    let mut found = resource("db");
    found.id = "rs-other".into();
    let scene = Scene::with_shifts([shift("day", 8, 20)])
        .resource(named("db"), Observed::Known(ResourceMatch::Found(vec![found])))
        .ours([own(1, "day", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because no rule wants this access any more
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn grants_behind_the_horizon_and_other_peoples_are_not_touched() {
    let week = 7 * 24;
    let foreign = ForeignGrant {
        pair: Pair { resource: "rs-web".into(), ..on_db("day") },
        ..super::builders::foreign("fg", "day", span(8, 20))
    };
    let ours = [own(1, "day", 12 + week, 13 + week), own(2, "day", 12 + week, 13 + week)];
    let scene = Scene::with_shifts([]).ours(ours).foreign(foreign);
    assert_snapshot!(scene.words(), @r"
    2 grants unchanged, 0 on-calls seen; nothing changes by itself
    ");
}

#[test]
fn of_duplicates_the_oldest_stays() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).ours([
        own(3, "day", 9, 20),
        own(2, "day", 8, 20),
        own(4, "day", 13, 15),
    ]);
    assert_snapshot!(scene.words(), @r"
    revoke    day@corp.example on db from 2027-03-01T09:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because another grant covers all of it
    revoke    day@corp.example on db from 2027-03-01T13:00:00Z until 2027-03-01T15:00:00Z (rules: db)
              because another grant covers all of it
    1 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    ");
}

#[test]
fn a_shift_that_starts_later_than_granted_takes_the_access_back_until_then() {
    let scene = Scene::with_shifts([shift("day", 16, 20)]).ours([own(1, "day", 8, 20)]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T16:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because of rule "db": user P-day is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because only a part of it is still wanted, and that part is granted anew
    0 grants unchanged, 1 on-calls seen; the next change by itself is at 2027-03-01T16:00:00Z
    "#);
}

#[test]
fn a_grant_that_stays_learns_its_new_causes() {
    let scene = Scene::with_shifts([shift("day", 8, 20)]).ours([own(1, "day", 8, 20)]);
    let plan = scene.plan();
    assert_eq!(plan.relabelled.len(), 1);
    let (row, causes) = &plan.relabelled[0];
    assert_eq!((row.number(), causes.len(), causes[0].rule.as_str()), (1, 1, "db"));
    let mut again = scene;
    again.world.recorded.ledger[0].causes.clone_from(causes);
    assert_eq!(again.plan().relabelled, []);
}

#[test]
fn the_service_wakes_at_the_next_start_or_end() {
    let scene = Scene::with_shifts([shift("day", 8, 20), shift("night", 15, 32)]);
    assert_eq!(scene.plan().next_wake, Some(at(15)));
    assert_eq!(scene.clone().now(15).plan().next_wake, Some(at(20)), "strictly later, or it would spin");
    assert_eq!(scene.clone().now(20).plan().next_wake, Some(at(32)));
    assert_eq!(scene.now(32).plan().next_wake, None);
}
