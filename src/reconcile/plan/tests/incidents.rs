//! Access that follows incidents.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::builders::{Scene, at, named, schedule_rule};
use crate::{
    model::{
        Asked, Grant, GrantId, Group, Incident, IncidentRef, IncidentSelector, IncidentState,
        IncidentUrgency, KubernetesGroups, NewGrant, Observed, OwnGrant, Part, PeopleSelector,
        RememberedPart, Role, Rule, SkipReason, UserId,
    },
    reconcile::plan::{Action, Entitlement, Plan, seats, standings},
};

const SERVICE: &str = "PSV";

/// Assignees of urgent incidents, four hours each, three at once.
pub(in crate::reconcile) fn incident_selector(services: &[&str]) -> IncidentSelector {
    IncidentSelector {
        services: services.iter().map(|id| (*id).into()).collect(),
        urgencies: BTreeSet::from([IncidentUrgency::High]),
        priorities: Vec::new(),
        roles: BTreeSet::from([Role::Assignee]),
        eligible: Vec::new(),
        max_duration: TimeDelta::hours(4),
        max_people: 3,
    }
}

fn rule(selector: IncidentSelector) -> Rule {
    Rule {
        name: "db".to_owned(),
        people: PeopleSelector::Incidents(selector),
        resources: vec![named("db")],
        kubernetes_groups: KubernetesGroups::default(),
        start_early: TimeDelta::zero(),
        end_late: TimeDelta::minutes(15),
    }
}

fn scene(selector: IncidentSelector) -> Scene {
    Scene::new([rule(selector)])
}

fn incident(parts: &[(&str, Role, DateTime<Utc>)]) -> Incident {
    let parts = parts.iter().map(|(who, role, since)| Part {
        user: UserId::from(format!("P-{who}")),
        email: None,
        role: *role,
        since: *since,
    });
    Incident {
        about: IncidentRef { id: "Q1".into(), number: Some(7), html_url: None },
        title: "a customer's data".to_owned(),
        service: SERVICE.into(),
        state: IncidentState::Open,
        urgency: "high".to_owned(),
        priority: None,
        is_assigned_by_hand: false,
        parts: parts.collect(),
        asked: Vec::new(),
        tells_responders: true,
    }
}

fn resolved(at: DateTime<Utc>) -> Incident {
    Incident { state: IncidentState::Resolved { at: Some(at) }, parts: Vec::new(), ..incident(&[]) }
}

fn remembered(who: &str, since: DateTime<Utc>, ends: Option<DateTime<Utc>>) -> RememberedPart {
    RememberedPart {
        rule: "db".to_owned(),
        incident: IncidentRef { id: "Q1".into(), number: Some(7), html_url: None },
        service: SERVICE.into(),
        user: UserId::from(format!("P-{who}")),
        role: Role::Assignee,
        since,
        ends,
    }
}

trait Incidents {
    fn sees(self, incidents: impl IntoIterator<Item = Incident>) -> Self;
    fn remembers(self, parts: impl IntoIterator<Item = RememberedPart>) -> Self;
    fn members(self, group: Group, members: Observed<BTreeSet<UserId>>) -> Self;
    /// All grants of the plan are made.
    fn after(self, plan: &Plan) -> Self;
}

impl Incidents for Scene {
    fn sees(mut self, incidents: impl IntoIterator<Item = Incident>) -> Self {
        self.world.incidents.insert(SERVICE.into(), Observed::Known(incidents.into_iter().collect()));
        self
    }

    fn remembers(mut self, parts: impl IntoIterator<Item = RememberedPart>) -> Self {
        self.world.recorded.parts.extend(parts);
        self
    }

    fn members(mut self, group: Group, members: Observed<BTreeSet<UserId>>) -> Self {
        self.world.members.insert(group, members);
        self
    }

    fn after(self, plan: &Plan) -> Self {
        let made = plan.actions().zip(1..).filter_map(|(action, row)| match action {
            Action::Create(NewGrant { grant, causes }) => {
                let grant = Grant { id: Some(GrantId::from(format!("ag-{row}"))), ..grant.clone() };
                Some(OwnGrant { row: row.into(), grant, causes: causes.clone() })
            }
            Action::Revoke(_) => None,
        });
        let made: Vec<OwnGrant> = made.collect();
        self.ours(made)
    }
}

/// Who is given access, from when, until when.
fn created(plan: &Plan) -> Vec<(String, DateTime<Utc>, DateTime<Utc>)> {
    let creations = plan.actions().filter_map(|action| match action {
        Action::Create(NewGrant { grant, .. }) => Some(grant),
        Action::Revoke(_) => None,
    });
    let whom = |email: String| email.trim_end_matches("@corp.example").to_owned();
    creations.map(|grant| (whom(grant.email.to_string()), grant.window.start(), grant.window.end())).collect()
}

fn given(who: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> (String, DateTime<Utc>, DateTime<Utc>) {
    (who.to_owned(), start, end)
}

fn skipped(plan: &Plan) -> Vec<(String, SkipReason)> {
    plan.skipped.iter().map(|skipped| (skipped.subject.to_string(), skipped.reason)).collect()
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

#[test]
fn whoever_the_policy_assigns_has_access_from_now_for_as_long_as_the_rule_says() {
    let scene = scene(incident_selector(&[SERVICE]));
    let since = at(12) - minutes(10);
    let plan = scene.sees([incident(&[("day", Role::Assignee, since)])]).plan();
    assert_eq!(created(&plan), [given("day", at(12), since + TimeDelta::hours(4))]);
    let (part, over) = &plan.parts[0];
    assert_eq!((part, *over), (&remembered("day", since, None), since + TimeDelta::hours(4)));
    assert_eq!(plan.next_wake, Some(since + TimeDelta::hours(4)));
}

#[test]
fn whoever_is_in_again_counts_from_the_first_time() {
    let scene = scene(incident_selector(&[SERVICE]));
    let again = incident(&[("day", Role::Assignee, at(12) - minutes(1))]);
    let first = remembered("day", at(9), Some(at(10)));
    let plan = scene.clone().sees([again.clone()]).remembers([first]).plan();
    assert_eq!(created(&plan), [given("day", at(12), at(13))]);
    assert_eq!(plan.parts[0].0, remembered("day", at(9), None));
    let long_ago = remembered("day", at(7), Some(at(8)));
    let plan = scene.sees([again]).remembers([long_ago]).plan();
    assert_eq!(created(&plan), [], "the time is used up");
}

#[test]
fn who_is_done_keeps_access_for_a_while() {
    let scene = scene(incident_selector(&[SERVICE]));
    let before = remembered("day", at(11), None);
    let after = |scene: Scene| {
        let plan = scene.remembers([before.clone()]).plan();
        (created(&plan), plan.parts.first().map(|(part, _)| part.ends))
    };
    let left = after(scene.clone().sees([incident(&[("night", Role::Assignee, at(12))])]));
    assert_eq!(left.0[0], given("day", at(12), at(12) + minutes(15)), "from when it was noticed");
    assert_eq!(left.1, Some(None), "of the other one");
    let over = after(scene.clone().sees([resolved(at(12) - minutes(5))]));
    assert_eq!(over, (vec![given("day", at(12), at(12) + minutes(10))], Some(Some(at(12) + minutes(10)))));
    let over = after(scene.clone().sees([resolved(at(12) - minutes(16))]));
    assert_eq!(over, (vec![], Some(Some(at(12) - minutes(1)))));
    let moved = Incident { service: "PELSEWHERE".into(), ..incident(&[("day", Role::Assignee, at(11))]) };
    let moved = after(scene.clone().sees([moved]));
    assert_eq!(moved.0, [given("day", at(12), at(12) + minutes(15))]);
    let calmer = Incident { urgency: "low".to_owned(), ..incident(&[("day", Role::Assignee, at(11))]) };
    assert_eq!(after(scene.sees([calmer])).0, [given("day", at(12), at(12) + minutes(15))]);
}

#[test]
fn an_end_that_was_noticed_once_does_not_move_and_the_limit_holds() {
    let scene = scene(incident_selector(&[SERVICE])).sees([resolved(at(12))]);
    let noticed = remembered("day", at(11), Some(at(12) + minutes(3)));
    let plan = scene.clone().remembers([noticed]).plan();
    assert_eq!(created(&plan), [given("day", at(12), at(12) + minutes(3))]);
    assert_eq!(plan.parts, []);
    let nearly_over = remembered("day", at(8) + minutes(4), None);
    let plan = scene.remembers([nearly_over]).plan();
    assert_eq!(created(&plan), [given("day", at(12), at(12) + minutes(4))]);
}

#[test]
fn what_is_over_to_the_second_is_over() {
    let scene = scene(incident_selector(&[SERVICE]));
    let used_up = scene.clone().sees([resolved(at(12))]).remembers([remembered("day", at(8), None)]).plan();
    assert_eq!((created(&used_up), used_up.parts), (vec![], vec![]), "nobody needs to know more of it");
    let ended = [resolved(at(12) - minutes(15)), incident(&[("day", Role::Assignee, at(8))])];
    for (ended, since) in ended.into_iter().zip([at(11), at(8)]) {
        let scene = scene.clone().sees([ended]).remembers([remembered("day", since, None)]);
        let [standing] = &standings(scene.now, &scene.settings.rules[0], &scene.world)[..] else {
            panic!("there is one");
        };
        assert_eq!(standing.entitlement, Entitlement::Over, "since {since}");
    }
}

#[test]
fn who_sits_in_an_incident_is_told_with_what_keeps_a_grant_away() {
    let parts = ["day", "night", "backup"].map(|who| (who, Role::Assignee, at(11)));
    let scene = scene(incident_selector(&[SERVICE]))
        .sees([incident(&parts)])
        .suspended("night")
        .account("backup", Observed::Unknown("HTTP 500".into()));
    let told = seats(scene.now, &scene.settings, &scene.settings.rules[0], &scene.world);
    let told: Vec<_> = told
        .iter()
        .map(|seat| (seat.who.to_string(), seat.hindrance, seat.standing.entitlement.clone()))
        .collect();
    let mail = |who: &str| format!("{who}@corp.example");
    assert_eq!(
        told,
        [
            (mail("backup"), None, Entitlement::Unclear(at(15))),
            (mail("day"), None, Entitlement::Until(at(15))),
            (mail("night"), Some(SkipReason::AccountSuspended), Entitlement::Until(at(15))),
        ]
    );
    let other = schedule_rule("other", &["PS"]);
    assert_eq!(standings(scene.now, &other, &scene.world), [], "it is about no incidents");
}

#[test]
fn only_incidents_of_the_rules_service_urgency_and_priority_count() {
    let mine = incident(&[("day", Role::Assignee, at(12))]);
    let counts = |selector: IncidentSelector, incident: Incident| {
        !created(&scene(selector).sees([incident]).plan()).is_empty()
    };
    let selector = || incident_selector(&[SERVICE]);
    assert!(counts(selector(), mine.clone()));
    assert!(!counts(selector(), Incident { urgency: "low".to_owned(), ..mine.clone() }));
    assert!(!counts(selector(), Incident { service: "PX".into(), ..mine.clone() }));
    assert!(!counts(selector(), Incident { state: IncidentState::Resolved { at: None }, ..mine.clone() }));
    let severe = IncidentSelector { priorities: vec!["P1".into()], ..selector() };
    assert!(!counts(severe.clone(), mine.clone()));
    assert!(!counts(severe.clone(), Incident { priority: Some("P2".into()), ..mine.clone() }));
    assert!(counts(severe, Incident { priority: Some("P1".into()), ..mine }));
}

#[test]
fn who_was_chosen_by_hand_counts_only_as_a_member() {
    let team = Group::Team("PT".into());
    let all = BTreeSet::from([Role::Assignee, Role::Acknowledger, Role::Responder]);
    let selector =
        IncidentSelector { roles: all, eligible: vec![team.clone()], ..incident_selector(&[SERVICE]) };
    let seen = incident(&[
        ("day", Role::Assignee, at(12)),
        ("night", Role::Responder, at(12)),
        ("backup", Role::Acknowledger, at(12)),
    ]);
    let members = BTreeSet::from([UserId::from("P-night")]);
    let scene = scene(selector).sees([seen.clone()]);
    let known = scene.clone().members(team.clone(), Observed::Known(members.clone()));
    let plan = known.clone().plan();
    assert_eq!(created(&plan).into_iter().map(|(who, ..)| who).collect::<Vec<_>>(), ["day", "night"]);
    assert_eq!(skipped(&plan), [("backup@corp.example".to_owned(), SkipReason::NotEligible)]);
    let by_hand = Incident { is_assigned_by_hand: true, ..seen };
    let plan = known.sees([by_hand]).plan();
    assert_eq!(created(&plan).into_iter().map(|(who, ..)| who).collect::<Vec<_>>(), ["night"]);

    let unseen = scene.clone().members(team, Observed::Unknown("HTTP 500".into())).plan();
    assert_eq!(created(&unseen).len(), 1, "nothing new where it cannot be seen");
    assert_eq!(unseen.unknown[0].about, Asked::Service(SERVICE.into()));
    assert_eq!(unseen.parts.len(), 1, "who may never have had access is not remembered");
}

#[test]
fn a_membership_that_cannot_be_seen_takes_nothing_away_and_one_that_ended_does() {
    let team = Group::Team("PT".into());
    let selector = IncidentSelector {
        roles: BTreeSet::from([Role::Responder]),
        eligible: vec![team.clone()],
        ..incident_selector(&[SERVICE])
    };
    let joined = incident(&[("day", Role::Responder, at(11))]);
    let members = BTreeSet::from([UserId::from("P-day")]);
    let scene = scene(selector).sees([joined]);
    let plan = scene.clone().members(team.clone(), Observed::Known(members)).plan();
    let part = plan.parts[0].0.clone();
    let scene = scene.remembers([part]).after(&plan);
    let unseen = scene.clone().members(team.clone(), Observed::Unknown("HTTP 500".into())).plan();
    assert_eq!(unseen.actions().count(), 0);
    let left = scene.clone().members(team.clone(), Observed::Known(BTreeSet::new())).plan();
    assert_eq!((created(&left), left.actions().count()), (vec![], 1), "and not for a while either");
    assert_eq!(left.parts[0].0.ends, Some(at(12)));
    let mut unseen = scene.members(team, Observed::Unknown("HTTP 500".into())).now(13);
    unseen.world.recorded.parts = vec![left.parts[0].0.clone()];
    assert_eq!(unseen.plan().parts, [], "when it ended is not forgotten");
}

#[test]
fn no_more_people_than_the_rule_allows_and_the_next_moves_up() {
    let selector = IncidentSelector { max_people: 1, ..incident_selector(&[SERVICE]) };
    let scene = scene(selector);
    let both = incident(&[("day", Role::Assignee, at(11)), ("night", Role::Assignee, at(12))]);
    let plan = scene.clone().sees([both.clone()]).plan();
    assert_eq!(created(&plan).len(), 1);
    assert_eq!(skipped(&plan), [("night@corp.example".to_owned(), SkipReason::TooManyPeople)]);
    let day_left = incident(&[("night", Role::Assignee, at(12))]);
    let plan = scene.clone().sees([day_left]).remembers([remembered("day", at(11), None)]).plan();
    assert_eq!(created(&plan), [given("day", at(12), at(12) + minutes(15)), given("night", at(12), at(16))],);
    let used_up = remembered("day", at(7), None);
    let plan = scene.sees([both]).remembers([used_up]).plan();
    assert_eq!(created(&plan), [given("night", at(12), at(16))], "whose time is used up takes no place");
}

#[test]
fn what_became_of_an_incident_is_not_guessed() {
    let selector = incident_selector(&[SERVICE]);
    let scene = scene(selector).sees([incident(&[("day", Role::Assignee, at(11))])]);
    let plan = scene.plan();
    let part = plan.parts[0].0.clone();
    let scene = scene.remembers([part]).after(&plan).sees([]);
    let mut gone = scene.clone();
    gone.world.unseen_incidents.insert("Q1".into(), "404".into());
    let plan = gone.plan();
    assert_eq!((plan.actions().count(), plan.parts.len()), (0, 0));
    assert_eq!(plan.unknown[0].about, Asked::Incident("Q1".into()));
    let plan = scene.plan();
    assert_eq!(plan.actions().count(), 0, "it was not asked for");
    let mut unseen = scene;
    unseen.world.incidents.insert(SERVICE.into(), Observed::Unknown("502".into()));
    let plan = unseen.plan();
    assert_eq!(plan.actions().count(), 0);
    assert_eq!(plan.unknown[0].about, Asked::Service(SERVICE.into()));
}

#[test]
fn whoever_may_not_count_takes_the_place_of_nobody_who_has_it() {
    let team = Group::Team("PT".into());
    let selector = IncidentSelector {
        roles: BTreeSet::from([Role::Assignee, Role::Responder]),
        eligible: vec![team.clone()],
        max_people: 1,
        ..incident_selector(&[SERVICE])
    };
    let both = incident(&[("day", Role::Responder, at(10)), ("night", Role::Assignee, at(11))]);
    let nobody = Observed::Known(BTreeSet::new());
    let scene = scene(selector).sees([both]);
    let plan = scene.clone().members(team.clone(), nobody).plan();
    assert_eq!(created(&plan), [given("night", at(12), at(15))]);
    let parts: Vec<RememberedPart> = plan.parts.iter().map(|(part, _)| part.clone()).collect();
    let unseen = Observed::Unknown("HTTP 500".into());
    let later = scene.clone().remembers(parts).after(&plan).members(team.clone(), unseen.clone()).plan();
    assert_eq!((later.actions().count(), later.parts.len()), (0, 0));
    assert_eq!(created(&scene.members(team, unseen).plan()), [], "and nobody new gets it meanwhile");
}

#[test]
fn responders_who_are_not_told_keep_what_they_have() {
    let team = Group::Team("PT".into());
    let selector = IncidentSelector {
        roles: BTreeSet::from([Role::Responder]),
        eligible: vec![team],
        ..incident_selector(&[SERVICE])
    };
    let part = RememberedPart { role: Role::Responder, ..remembered("day", at(11), None) };
    let untold = Incident { tells_responders: false, ..incident(&[]) };
    let plan = scene(selector.clone()).sees([untold]).remembers([part.clone()]).plan();
    assert_eq!((created(&plan), plan.parts.len(), plan.unknown.len()), (vec![], 0, 1));
    let plan = scene(selector).sees([incident(&[])]).remembers([part]).plan();
    assert_eq!(created(&plan), [given("day", at(12), at(12) + minutes(15))], "nobody is left among them");
}
