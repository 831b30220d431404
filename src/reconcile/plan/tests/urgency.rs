//! The order of the writes: who waits for whom.

use chrono::{DateTime, Utc};
use insta::assert_snapshot;

use super::builders::{Scene, at, made_for, own, schedule, schedule_rule, shift, with_groups};
use crate::{
    model::SecondGrant,
    reconcile::plan::{Action, Plan, Queue, Urgency},
};

/// Each write in the order of the plan: `+` for a grant to be made, `-` for one to be taken back, a bracket around what
/// belongs together.
fn order(plan: &Plan) -> String {
    let parts = plan.pairs.iter().map(|writes| {
        let words = writes.actions.iter().map(|action| {
            let (sign, grant) = match action {
                Action::Create(new) => ('+', &new.grant),
                Action::Revoke(due) => ('-', &due.grant),
            };
            let who = grant.email.as_str().split('@').next().unwrap();
            let hours = |instant: DateTime<Utc>| (instant - at(0)).num_hours();
            format!("{sign}{who} {}-{}", hours(grant.window.start()), hours(grant.window.end()))
        });
        format!("[{}] {:?}", words.collect::<Vec<_>>().join(", "), Kind::of(writes.urgency))
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[derive(Debug)]
enum Kind {
    Missing,
    Ending,
    Coming,
}

impl Kind {
    fn of(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Missing => Self::Missing,
            Urgency::Ending => Self::Ending,
            Urgency::Coming(_) => Self::Coming,
        }
    }
}

#[test]
fn who_is_on_call_now_waits_for_nobody_and_the_nearest_shift_comes_first_after_that() {
    let scene = Scene::with_shifts([
        shift("backup", 30, 40),
        shift("backup", 20, 22),
        shift("day", 50, 60),
        shift("night", 10, 20),
        shift("night", 25, 28),
    ])
    .ours([own(1, "day", 8, 20), own(2, "day", 40, 44)]);
    assert_snapshot!(order(&scene.plan()), @r"
    [+night 12-20] Missing
    [-day 8-20] Ending
    [+backup 20-22] Coming
    [+night 25-28] Coming
    [+backup 30-40] Coming
    [-day 40-44] Coming
    [+day 50-60] Coming
    ");
}

#[test]
fn what_replaces_a_grant_stays_with_it_and_nobody_lacks_access_meanwhile() {
    let scene = Scene::with_shifts([
        shift("backup", 8, 16),
        shift("backup", 30, 40),
        shift("day", 18, 20),
        shift("night", 10, 20),
    ])
    .ours([own(1, "backup", 8, 20), own(2, "day", 8, 20)]);
    for (second_grant, expected) in [
        (
            SecondGrant::Taken,
            "[+night 12-20] Missing\n\
             [+backup 12-16, -backup 8-20] Ending\n\
             [+day 18-20, -day 8-20] Ending\n\
             [+backup 30-40] Coming",
        ),
        (
            SecondGrant::RefusedIfOverlapping,
            "[+night 12-20] Missing\n\
             [-backup 8-20, +backup 12-16] Ending\n\
             [-day 8-20, +day 18-20] Ending\n\
             [+backup 30-40] Coming",
        ),
    ] {
        assert_eq!(order(&scene.clone().second_grant(second_grant).plan()), expected);
    }
}

#[test]
fn what_only_touches_is_not_kept_together() {
    let rules = [
        with_groups(&["viewer"], schedule_rule("db", &["PS"])),
        with_groups(&["admin"], schedule_rule("more", &["PX"])),
    ];
    let scene = Scene::new(rules)
        .on_call(schedule("PS"), [shift("day", 8, 16)])
        .on_call(schedule("PX"), [shift("day", 16, 20)]);
    assert_eq!(order(&scene.plan()), "[+day 12-16] Missing\n[+day 16-20] Coming");
}

#[test]
fn a_grant_that_makes_way_goes_as_soon_as_what_it_makes_way_for_is_due() {
    let scene = Scene::with_shifts([
        shift("backup", 14, 16),
        shift("day", 8, 16),
        shift("day", 30, 40),
        shift("night", 18, 20),
        shift("night", 30, 40),
    ])
    .ours([own(1, "day", 30, 40), own(2, "night", 30, 40)])
    .second_grant(SecondGrant::Refused);
    assert_snapshot!(order(&scene.plan()), @r"
    [-day 30-40, +day 12-16] Missing
    [+backup 14-16] Coming
    [-night 30-40, +night 18-20] Coming
    ");
}

#[test]
fn writes_about_one_pair_follow_each_other_and_the_rest_goes_past_them() {
    let rules = [schedule_rule("db", &["PS"])];
    let scene = Scene::new(rules).on_call(
        schedule("PS"),
        [shift("day", 8, 13), shift("day", 14, 15), shift("day", 16, 17), shift("night", 20, 21)],
    );
    let plan = scene.ours([made_for("backup", "PS", own(1, "backup", 8, 20))]).plan();
    let mut queue = Queue::new(&plan.pairs);
    let start = |writes: &crate::reconcile::plan::PairActions| writes.actions[0].grant().window.start();
    let now = queue.next().unwrap();
    assert_eq!(start(now.writes), at(12));
    let revoked = queue.next().unwrap();
    assert_eq!(revoked.writes.urgency, Urgency::Ending);
    let next = queue.next().unwrap();
    assert_eq!(start(next.writes), at(20), "the same pair waits");
    assert!(queue.next().is_none());
    queue.finish(&now);
    let [second, none] = [queue.next(), queue.next()];
    assert_eq!(start(second.as_ref().unwrap().writes), at(14));
    assert!(none.is_none());
    queue.finish(&next);
    assert!(queue.next().is_none(), "nothing comes after it");
    queue.finish(&second.unwrap());
    assert_eq!(start(queue.next().unwrap().writes), at(16));
}
