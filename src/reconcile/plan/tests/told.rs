//! What a decision tells beside its writes: who is wanted where, what would come of it, and why.

use super::builders::{
    Scene, always, at, email, made_for, own, policy, policy_rule_with_always, schedule, shift,
};
use crate::{
    model::{Aliases, SecondGrant},
    reconcile::plan::{Action, Guard, Plan, Released, RevocationReason, foresee, namesakes_in_words},
};

/// `+` with the person for each grant to be made, `-` with the row for each to be taken back.
fn writes(plan: &Plan) -> Vec<String> {
    let told = |action: &Action| match action {
        Action::Create(new) => format!("+{}", new.grant.email.as_str().trim_end_matches("@corp.example")),
        Action::Revoke(due) => format!("-{}", due.row.number()),
    };
    plan.actions().map(told).collect()
}

#[test]
fn what_is_foreseen_is_what_comes_once_every_second_look_agrees() {
    let shifts = [(30, 40), (50, 60), (70, 80)].map(|(start, end)| shift("backup", start, end));
    let shifts = shifts.into_iter().chain([shift("backup", 8, 14), shift("night", 14, 20)]);
    let ours = [(3, 30, 40), (5, 30, 40), (2, 50, 60), (4, 70, 80)];
    let ours = ours.map(|(row, start, end)| own(row, "backup", start, end));
    let ours = ours.into_iter().chain([own(7, "day", 8, 20)]);
    // Only because both take the place together may the one go.
    let scene = Scene::with_shifts(shifts).ours(ours).settings(|settings| settings.max_revocations = 0);
    let mut world = scene.world.clone();
    world.asked_at = scene.now;
    assert_eq!(writes(&scene.first_look()), ["+backup", "+night", "-5"]);
    let foreseen = foresee(scene.now, &scene.settings, &world, Released::Nothing);
    assert_eq!(writes(&foreseen), ["+backup", "+night", "-5", "-7"]);
    assert_eq!((foreseen.unchanged, foreseen.awaiting.len(), foreseen.held.len()), (3, 0, 0), "{foreseen}");
}

#[test]
fn who_is_wanted_is_told_with_the_whole_shift() {
    let scene = Scene::new([policy_rule_with_always("db", "PA", &[])])
        .on_call(policy("PA"), [shift("day", 8, 20), always("night")]);
    let wanted = scene.plan().wanted;
    let told: Vec<_> = wanted.iter().map(|wanted| (wanted.email.clone(), wanted.start, wanted.end)).collect();
    assert_eq!(told, [(email("day"), at(8), Some(at(20))), (email("night"), at(12), None)]);
}

#[test]
fn what_only_gives_at_once_is_told_from_what_comes_later_or_takes() {
    let only_gives = |scene: &Scene| {
        scene.plan().pairs.iter().map(super::super::PairActions::only_gives_at_once).collect::<Vec<_>>()
    };
    let shifts = Scene::with_shifts([shift("day", 8, 16), shift("day", 18, 20)]);
    assert_eq!(only_gives(&shifts), [true, false]);
    let makes_way = shifts.ours([own(1, "day", 18, 20)]).second_grant(SecondGrant::Refused);
    assert_eq!(only_gives(&makes_way), [false], "{}", makes_way.words());
}

#[test]
fn whoever_counts_under_another_address_by_now_is_told_so() {
    let ours = [made_for("day", "PS", own(1, "day", 8, 20)), made_for("night", "PS", own(2, "night", 8, 20))];
    let scene = Scene::with_shifts([shift("day", 8, 20), shift("night", 30, 40)]).ours(ours);
    let scene =
        scene.settings(|settings| settings.aliases = Aliases::from_iter([(email("day"), email("backup"))]));
    let plan = scene.plan();
    let reasons = plan.actions().filter_map(|action| match action {
        Action::Revoke(due) => Some((due.row.number(), due.reason)),
        Action::Create(_) => None,
    });
    let expected = [(1, RevocationReason::OtherAddress), (2, RevocationReason::NotWanted)];
    assert_eq!(reasons.collect::<Vec<_>>(), expected, "night is on call later, under the same address");
}

#[test]
fn people_of_one_account_are_named_and_counted() {
    let domains = [("old.example".to_owned(), "corp.example".to_owned())];
    let aliases = Aliases::default().with_domains(domains.into());
    let (two, remedy) = namesakes_in_words(&aliases, "day@old.example", &["day@corp.example"]);
    assert!(two.starts_with("day@old.example and day@corp.example are two people in PagerDuty"), "{two}");
    assert!(two.contains("the one strongDM account day@corp.example"), "{two}");
    assert!(remedy.contains(r#"aliases = { "day@old.example" = "day@corp.example" }"#), "{remedy}");
    let (three, _) = namesakes_in_words(&aliases, "a@old.example", &["b@corp.example", "c@corp.example"]);
    assert!(three.starts_with("a@old.example, b@corp.example and c@corp.example are 3 people"), "{three}");
}

#[test]
fn a_confirmation_is_read_and_written_as_what_it_is() {
    for (allowed, guard) in [(true, Guard::Lifted), (false, Guard::On)] {
        assert_eq!((Guard::from(allowed), bool::from(guard)), (guard, allowed));
    }
}

#[test]
fn nothing_changes_by_itself_where_nothing_begins_or_ends() {
    assert_eq!(Scene::with_shifts([]).unseen(schedule("PS")).plan().next_wake, None);
}
