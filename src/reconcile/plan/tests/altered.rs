//! strongDM stored another window than the one that was asked for.

use chrono::TimeDelta;

use super::builders::{Scene, at, on_db, own, shift, span};
use crate::model::{Altered, SecondGrant, Window};

impl Scene {
    fn altered(mut self, who: &str, window: Window, until: i64) -> Self {
        self.world.recorded.altered.push(Altered { pair: on_db(who), window, until: at(until), fault: None });
        self
    }
}

/// What is made and what waits, in hours of the day.
fn made_and_waiting(scene: &Scene) -> (Vec<Window>, Vec<(Window, Option<i64>)>) {
    let plan = scene.plan();
    let hours = |until: chrono::DateTime<chrono::Utc>| (until - at(0)).num_hours();
    let waiting = plan.deferred.iter().map(|it| (it.grant.window, it.until.map(hours))).collect();
    assert!(!plan.actions().any(|action| matches!(action, super::super::Action::Revoke(_))), "{plan}");
    (plan.actions().map(|action| action.grant().window).collect(), waiting)
}

#[test]
fn the_rest_of_a_shortened_grant_is_made_when_its_time_has_come_and_not_before() {
    let shortened = Scene::with_shifts([shift("day", 12, 20)]).ours([own(1, "day", 12, 14)]);
    for second_grant in [SecondGrant::Taken, SecondGrant::RefusedIfOverlapping] {
        let scene = shortened.clone().second_grant(second_grant);
        let waits = scene.clone().altered("day", span(14, 20), 13);
        assert_eq!(made_and_waiting(&waits), (vec![], vec![(span(14, 20), Some(13))]));
        assert_eq!(waits.plan().next_wake, Some(at(13)));
        assert_eq!(made_and_waiting(&waits.now(13)), (vec![span(14, 20)], vec![]));
        assert_eq!(made_and_waiting(&scene), (vec![span(14, 20)], vec![]), "nothing was altered");
    }
    let only_one = shortened.second_grant(SecondGrant::Refused).altered("day", span(14, 20), 13);
    assert_eq!(made_and_waiting(&only_one.clone().now(13)), (vec![], vec![(span(14, 20), Some(14))]));
    assert_eq!(made_and_waiting(&only_one.now(14)), (vec![span(14, 20)], vec![]));
}

#[test]
fn what_was_altered_holds_up_no_other_window_of_the_pair_and_no_other_pair() {
    let shifts = [shift("day", 12, 14), shift("day", 16, 20), shift("night", 16, 20)];
    let scene = Scene::with_shifts(shifts).altered("day", span(16, 20), 13);
    let (made, waiting) = made_and_waiting(&scene);
    assert_eq!((made, waiting), (vec![span(12, 14), span(16, 20)], vec![(span(16, 20), Some(13))]));
}

#[test]
fn what_comes_before_is_made_and_a_longer_shift_makes_no_slivers() {
    let scene = Scene::with_shifts([shift("day", 12, 22)]).altered("day", span(16, 20), 13);
    assert_eq!(made_and_waiting(&scene), (vec![span(12, 16)], vec![(span(16, 22), Some(13))]));
}

#[test]
fn a_grant_without_an_end_is_replaced_or_kept_until_nobody_wants_it() {
    let endless = Window::new(at(12), crate::model::FOREVER).unwrap();
    let mut ours = own(1, "day", 12, 20);
    ours.grant.window = endless;
    let scene = Scene::with_shifts([shift("day", 12, 20)]).ours([ours]);
    let words = scene.words();
    let (create, revoke) =
        (words.find("grant  ").expect("a new one"), words.find("revoke").expect("the old one"));
    assert!(create < revoke, "{words}");
    let waits = scene.altered("day", span(12, 20), 20);
    assert_eq!(waits.plan().actions().count(), 0, "the next one would be no better: {}", waits.words());
    let over = waits.now(20).settings(|settings| settings.horizon = TimeDelta::days(7));
    let over = over.words();
    assert!(over.contains("revoke") && !over.contains("grant  "), "{over}");
}
