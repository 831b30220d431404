//! Kubernetes groups: who wants them when, and what becomes of grants with other ones.

use chrono::TimeDelta;
use insta::assert_snapshot;

use super::builders::{
    Scene, always, at, foreign, in_groups, level, made_for, own, policy, policy_rule_with_always, schedule,
    schedule_rule, shift, span, with_groups, without_end,
};
use crate::{
    model::{Altered, ForeignGrant, SecondGrant, Terms},
    reconcile::plan::{Action, Plan, Wait},
};

/// By two rules about `db`: whoever is on call for `PA` acts in group `a`, for `PB` in `b`; for `PS` in none.
fn rules() -> Scene {
    let scene = Scene::new([
        schedule_rule("plain", &["PS"]),
        with_groups(&["a"], schedule_rule("a", &["PA"])),
        with_groups(&["b"], schedule_rule("b", &["PB"])),
    ]);
    ["PS", "PA", "PB"].into_iter().fold(scene, |scene, id| scene.on_call(schedule(id), []))
}

fn terms(start: i64, end: i64, groups: &[&str]) -> Terms {
    Terms { window: span(start, end), groups: groups.iter().copied().collect() }
}

fn created(plan: &Plan) -> Vec<Terms> {
    let created = plan.actions().filter_map(|action| match action {
        Action::Create(new) => Some(new.grant.terms()),
        Action::Revoke(_) => None,
    });
    created.collect()
}

fn revoked(plan: &Plan) -> Vec<i64> {
    let revoked = plan.actions().filter_map(|action| match action {
        Action::Revoke(due) => Some(due.row.number()),
        Action::Create(_) => None,
    });
    revoked.collect()
}

fn deferred(plan: &Plan) -> Vec<(Terms, Option<i64>)> {
    let hours = |at: chrono::DateTime<chrono::Utc>| (at - self::at(0)).num_hours();
    plan.deferred.iter().map(|deferred| (deferred.grant.terms(), deferred.until.map(hours))).collect()
}

#[test]
fn windows_are_cut_where_the_groups_change() {
    let scene = rules()
        .on_call(schedule("PS"), [shift("day", 12, 20)])
        .on_call(schedule("PA"), [shift("day", 14, 18), shift("day", 18, 24)])
        .on_call(schedule("PB"), [shift("day", 16, 18)]);
    assert_snapshot!(scene.words(), @r#"
    grant     day@corp.example on db from 2027-03-01T12:00:00Z until 2027-03-01T14:00:00Z (rules: plain)
              because of rule "plain": user P-day is on call for schedule PS
    grant     day@corp.example on db in groups a from 2027-03-01T14:00:00Z until 2027-03-01T16:00:00Z (rules: a, plain)
              because of rule "a": user P-day is on call for schedule PA
              because of rule "plain": user P-day is on call for schedule PS
    grant     day@corp.example on db in groups a, b from 2027-03-01T16:00:00Z until 2027-03-01T18:00:00Z (rules: a, b, plain)
              because of rule "a": user P-day is on call for schedule PA
              because of rule "b": user P-day is on call for schedule PB
              because of rule "plain": user P-day is on call for schedule PS
    grant     day@corp.example on db in groups a from 2027-03-01T18:00:00Z until 2027-03-02T00:00:00Z (rules: a, plain)
              because of rule "a": user P-day is on call for schedule PA
              because of rule "plain": user P-day is on call for schedule PS
    0 grants unchanged, 4 on-calls seen; the next change by itself is at 2027-03-01T14:00:00Z
    "#);
}

#[test]
fn where_one_grant_is_taken_at_a_time_the_next_stretch_waits_for_the_first() {
    let shifts = |second_grant| {
        let scene = rules().on_call(schedule("PS"), [shift("day", 12, 20)]);
        scene.on_call(schedule("PA"), [shift("day", 14, 16)]).second_grant(second_grant)
    };
    let all = [terms(12, 14, &[]), terms(14, 16, &["a"]), terms(16, 20, &[])];
    let apart = shifts(SecondGrant::RefusedIfOverlapping).plan();
    assert_eq!((created(&apart), deferred(&apart)), (all.to_vec(), vec![]));
    let one = shifts(SecondGrant::Refused).plan();
    let [first, second, third] = all;
    assert_eq!(created(&one), [first]);
    assert_eq!(deferred(&one), [(second.clone(), Some(14)), (third.clone(), Some(14))]);
    assert_eq!(one.next_wake, Some(at(14)));
    let then = shifts(SecondGrant::Refused).now(14).plan();
    assert_eq!((created(&then), deferred(&then)), (vec![second], vec![(third, Some(16))]));
}

#[test]
fn more_groups_take_one_look_and_come_before_the_old_grant_goes() {
    let scene = |second| {
        let scene = rules().on_call(schedule("PS"), [shift("day", 8, 20)]);
        scene
            .on_call(schedule("PA"), [shift("day", 10, 20)])
            .ours([own(1, "day", 8, 20)])
            .second_grant(second)
    };
    assert_snapshot!(scene(SecondGrant::Taken).first_look(), @r#"
    grant     day@corp.example on db in groups a from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: a, plain)
              because of rule "a": user P-day is on call for schedule PA
              because of rule "plain": user P-day is on call for schedule PS
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because more Kubernetes groups are wanted; it is granted anew with them
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
    assert_snapshot!(scene(SecondGrant::Refused).first_look(), @r#"
    revoke    day@corp.example on db from 2027-03-01T08:00:00Z until 2027-03-01T20:00:00Z (rules: db)
              because more Kubernetes groups are wanted; it is granted anew with them
    grant     day@corp.example on db in groups a from 2027-03-01T12:00:00Z until 2027-03-01T20:00:00Z (rules: a, plain)
              because of rule "a": user P-day is on call for schedule PA
              because of rule "plain": user P-day is on call for schedule PS
    0 grants unchanged, 2 on-calls seen; the next change by itself is at 2027-03-01T20:00:00Z
    "#);
}

#[test]
fn what_is_replaced_beyond_a_grant_that_is_yet_to_be_renewed_comes_back_at_once() {
    let scene = Scene::new([with_groups(&["b"], schedule_rule("b", &["PB"]))])
        .on_call(schedule("PB"), [without_end(shift("day", 10, 14))])
        .ours([in_groups(&["b"], own(1, "day", 12, 160))]);
    let plan = scene.clone().plan();
    assert_eq!(created(&plan), [], "it is early for the rest of the week");
    let plan = scene.ours([own(2, "day", 165, 170)]).plan();
    assert_eq!((created(&plan), revoked(&plan)), (vec![terms(160, 12 + 7 * 24, &["b"])], vec![2]));
}

#[test]
fn what_cannot_be_removed_is_replaced_once() {
    for second in [SecondGrant::Taken, SecondGrant::RefusedIfOverlapping, SecondGrant::Refused] {
        let mut scene = Scene::new([with_groups(&["b"], schedule_rule("b", &["PB"]))])
            .on_call(schedule("PB"), [without_end(shift("day", 10, 14))])
            .ours([own(1, "day", 8, 30 * 24)])
            .second_grant(second);
        let mut made = 0;
        for _ in 0..60 {
            let created = created(&scene.plan());
            made += created.len();
            for terms in created {
                let groups: Vec<&str> = terms.groups.iter().collect();
                let row = 1 + i64::try_from(scene.world.recorded.ledger.len()).unwrap();
                let mut grant = in_groups(&groups, own(row, "day", 12, 13));
                grant.grant.window = terms.window;
                scene = scene.ours([grant]);
            }
            scene.now += TimeDelta::minutes(1);
        }
        assert_eq!(made, 1, "{second:?}");
    }
}

#[test]
fn groups_that_nobody_wants_any_more_take_two_looks() {
    let scene = || {
        let scene = rules().on_call(schedule("PS"), [shift("day", 8, 20)]);
        scene
            .ours([in_groups(&["a"], own(1, "day", 8, 20))])
            .settings(|settings| settings.max_revocations = 0)
    };
    let first = scene().first_look();
    assert_eq!((created(&first), revoked(&first), first.awaiting.len()), (vec![], vec![], 1));
    let lost = &first.due.due[&1.into()];
    assert_eq!((lost.lost.as_slice(), &lost.lost_groups["a"]), ([].as_slice(), &vec![span(12, 20)]));

    let next = |mut scene: Scene, plan: &Plan| {
        scene.world.recorded.due = plan.due.clone();
        scene.now += TimeDelta::seconds(3);
        scene.first_look()
    };
    let second = next(scene(), &first);
    let end = second.pairs[0].actions[0].grant().window.end();
    assert_eq!((created(&second).len(), end, revoked(&second)), (1, at(20), vec![1]));
    assert!(created(&second)[0].groups.is_empty(), "{second}");

    // Replacing it counts not, however few may go; but a look that wants the group starts anew.
    let wanted = scene().on_call(schedule("PA"), [shift("day", 8, 20)]);
    let between = next(wanted, &first);
    assert_eq!((revoked(&between), between.due.due.len()), (vec![], 0));
    assert_eq!(revoked(&next(scene(), &between)), [0; 0]);
}

#[test]
fn looks_must_agree_on_the_group() {
    let scene = |id| {
        let scene = rules().on_call(schedule(id), [shift("day", 8, 20)]);
        scene.ours([in_groups(&["a", "b"], own(1, "day", 8, 20))])
    };
    let first = scene("PA").first_look();
    let mut second = scene("PB");
    second.world.recorded.due = first.due.clone();
    second.now += TimeDelta::seconds(3);
    let second = second.first_look();
    assert_eq!((revoked(&second), second.awaiting.len()), (vec![], 1), "b was lost first, then a");
    // Whoever lost all access by the first look lost the group as well, but not the other way round.
    let gone = rules().ours([in_groups(&["a"], own(1, "day", 8, 20))]);
    for (one, then, expected) in [(&gone, &scene_without_a(), vec![1]), (&scene_without_a(), &gone, vec![])] {
        let first = one.first_look();
        let mut then = then.clone();
        then.world.recorded.due = first.due.clone();
        then.now += TimeDelta::seconds(3);
        assert_eq!(revoked(&then.first_look()), expected);
    }
}

fn scene_without_a() -> Scene {
    let scene = rules().on_call(schedule("PS"), [shift("day", 8, 20)]);
    scene.ours([in_groups(&["a"], own(1, "day", 8, 20))])
}

#[test]
fn what_a_source_without_an_answer_may_want_stays() {
    let ours = || in_groups(&["a"], made_for("day", "PA", own(1, "day", 8, 20)));
    let scene = |second| {
        let scene = rules().unseen(schedule("PA")).ours([ours()]).second_grant(second);
        scene.on_call(schedule("PS"), [shift("day", 8, 20)])
    };
    for second in [SecondGrant::Taken, SecondGrant::RefusedIfOverlapping, SecondGrant::Refused] {
        let plan = scene(second).plan();
        assert_eq!((created(&plan), revoked(&plan), plan.unchanged), (vec![], vec![], 1), "{plan}");
        // What is certainly wanted beside it comes beside it, or waits.
        let plan = scene(second).on_call(schedule("PB"), [shift("day", 8, 20)]).plan();
        let beside = terms(12, 20, &["b"]);
        let expected = match second {
            SecondGrant::Taken => (vec![beside], vec![]),
            SecondGrant::RefusedIfOverlapping | SecondGrant::Refused => (vec![], vec![(beside, Some(20))]),
        };
        assert_eq!((created(&plan), deferred(&plan)), expected, "{plan}");
        assert_eq!(revoked(&plan), [0; 0]);
    }
    // Whoever certainly has all of it, and more, loses nothing.
    let plan = scene(SecondGrant::Refused).on_call(schedule("PB"), [shift("day", 8, 20)]);
    let more = with_groups(&["a"], schedule_rule("more", &["PB"]));
    let plan = plan.settings(|settings| settings.rules.push(more)).plan();
    assert_eq!((created(&plan), revoked(&plan)), (vec![terms(12, 20, &["a", "b"])], vec![1]), "{plan}");
}

#[test]
fn a_foreign_grant_serves_only_with_the_groups() {
    let theirs = |groups: &[&str]| ForeignGrant {
        groups: groups.iter().copied().collect(),
        ..foreign("fg", "day", span(8, 21))
    };
    let scene = |groups: &[&str]| {
        let scene = rules().on_call(schedule("PA"), [shift("day", 8, 20)]);
        scene.foreign(theirs(groups)).second_grant(SecondGrant::RefusedIfOverlapping)
    };
    let served = scene(&["a", "x"]).plan();
    assert_eq!((created(&served), deferred(&served)), (vec![], vec![]));
    let lacking = scene(&[]).plan();
    assert_eq!((created(&lacking), deferred(&lacking)), (vec![], vec![(terms(12, 20, &["a"]), Some(21))]));
    // What ours gives goes only if theirs gives it as well.
    let ours = scene(&[]).ours([own(1, "day", 8, 20)]).plan();
    assert_eq!((created(&ours), revoked(&ours)), (vec![], vec![1]), "{ours}");
    let both = scene(&[]).on_call(schedule("PB"), [shift("day", 8, 20)]);
    let both = both.ours([in_groups(&["b"], own(1, "day", 8, 20))]).plan();
    assert_eq!((created(&both), revoked(&both)), (vec![], vec![]), "{both}");
}

#[test]
fn a_grant_without_its_groups_stays_while_they_are_not_to_be_asked_for() {
    let mut scene = rules().on_call(schedule("PA"), [shift("day", 8, 20)]).ours([own(1, "day", 8, 20)]);
    scene.world.recorded.altered.push(Altered {
        pair: super::builders::on_db("day"),
        window: span(8, 20),
        until: at(13),
        fault: None,
    });
    for second in [SecondGrant::Taken, SecondGrant::RefusedIfOverlapping, SecondGrant::Refused] {
        let plan = scene.clone().second_grant(second).plan();
        assert_eq!((created(&plan), revoked(&plan)), (vec![], vec![]), "{plan}");
        assert_eq!(
            (deferred(&plan), plan.next_wake),
            (vec![(terms(12, 20, &["a"]), Some(13))], Some(at(13)))
        );
        assert!(
            plan.deferred.iter().all(|deferred| deferred.wait == Wait::Altered)
                || second == SecondGrant::Refused
        );
    }
    let plan = scene.clone().ours([own(2, "day", 9, 20)]).plan();
    assert_eq!(revoked(&plan), [2], "one such grant is enough: {plan}");
}

#[test]
fn an_on_call_without_an_end_is_cut_like_any_other() {
    let rules =
        [policy_rule_with_always("always", "E", &[]), with_groups(&["a"], schedule_rule("a", &["PA"]))];
    let scene = Scene::new(rules)
        .on_call(policy("E"), [level(1, always("day"))])
        .on_call(schedule("PA"), [shift("day", 10, 14), shift("day", 300, 320)]);
    let week = 12 + 7 * 24;
    assert_eq!(created(&scene.clone().plan()), [terms(12, 14, &["a"]), terms(14, week, &[])]);
    let renewed = scene.ours([own(1, "day", 14, 300)]).now(200).plan();
    assert_eq!(created(&renewed), [terms(300, 320, &["a"]), terms(320, 200 + 7 * 24, &[])]);
    let endless = with_groups(&["b"], schedule_rule("b", &["PB"]));
    let scene = Scene::new([endless]).on_call(schedule("PB"), [without_end(shift("day", 10, 14))]);
    assert_eq!(created(&scene.plan()), [terms(12, week, &["b"])]);
}
