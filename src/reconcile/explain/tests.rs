//! One world, broken in one place at a time.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    answer::{Explanation, explain},
    link::LinkKind,
    question::{Known, Past, Question},
    verdict::Access,
};
use crate::{
    model::{
        Account, AuditAction, AuditOutcome, Email, Fault, ForeignGrant, Grant, GrantId, Group, Incident,
        IncidentRef, IncidentSelector, IncidentState, KubernetesGroups, Observed, OnCall, OwnGrant, Pair,
        Part, PeopleSelector, Recorded, RememberedPart, Resource, ResourceSelector, Role, Rule, SecondGrant,
        Source, Window, later,
    },
    reconcile::{
        plan::{Released, Settings, Standing, foresee, standings, tests::incident_selector},
        world::{AccountMatch, ResourceMatch, World},
    },
    store::{LedgerEntry, State},
};

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + hour * 3600, 0).unwrap()
}

/// Everything that an answer is made from. Ana is on call from hour -1 to 2, Bo from 2 to 4; Ana has her grant.
struct Story {
    settings: Settings,
    world: World,
    ledger: Vec<LedgerEntry>,
    made: Vec<Grant>,
    history: Vec<Past>,
}

fn name_of_db() -> ResourceSelector {
    ResourceSelector::Name("db".into())
}

fn shift(user: &str, start: i64, end: i64) -> OnCall {
    OnCall {
        user: user.into(),
        email: Some(format!("{user}@pd.example")),
        schedule: Some("PS".into()),
        policy: None,
        level: Some(1),
        start: Some(at(start)),
        end: Some(at(end)),
    }
}

fn grant(start: i64, end: i64) -> Grant {
    Grant {
        id: Some(GrantId::from("ag-1")),
        email: "ana@example.com".parse().unwrap(),
        name: None,
        account_id: "a-ana".into(),
        resource: "db".to_owned(),
        resource_id: "rs-db".into(),
        window: Window::new(at(start), at(end)).unwrap(),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec!["r".to_owned()],
    }
}

fn entry(grant: Grant, state: State) -> LedgerEntry {
    LedgerEntry { own: OwnGrant { row: 1.into(), grant, causes: Vec::new() }, state, intended_at: at(-1) }
}

impl Story {
    fn new() -> Self {
        let rule = Rule {
            name: "r".to_owned(),
            people: PeopleSelector::Schedules(vec!["PS".into()]),
            resources: vec![name_of_db()],
            kubernetes_groups: KubernetesGroups::default(),
            start_early: TimeDelta::zero(),
            end_late: TimeDelta::zero(),
        };
        let email = |text: &str| -> Email { text.parse().unwrap() };
        let aliases = ["ana", "bo"]
            .map(|name| (email(&format!("{name}@pd.example")), email(&format!("{name}@example.com"))));
        let settings = Settings {
            rules: vec![rule],
            aliases: aliases.into_iter().collect(),
            horizon: TimeDelta::hours(24),
            max_revocations: 20,
        };
        let mut story = Self {
            settings,
            world: World::default(),
            ledger: vec![entry(grant(-1, 2), State::Live)],
            made: Vec::new(),
            history: Vec::new(),
        };
        for name in ["ana", "bo"] {
            let address = Observed::Known(Some(format!("{name}@PD.example")));
            story.world.people.insert(name.into(), address);
            let account = Account { id: format!("a-{name}").into(), suspended: false };
            story.account(&format!("{name}@example.com"), AccountMatch::One(account));
        }
        story.shifts(vec![shift("ana", -1, 2), shift("bo", 2, 4)]);
        let db = Resource { id: "rs-db".into(), name: "db".to_owned() };
        story.world.resources.insert(name_of_db(), Observed::Known(ResourceMatch::Found(vec![db])));
        story
    }

    fn account(&mut self, email: &str, found: AccountMatch) {
        self.world.accounts.insert(email.parse().unwrap(), Observed::Known(found));
    }

    fn shifts(&mut self, shifts: Vec<OnCall>) {
        self.world.on_calls.insert(Source::Schedule("PS".into()), Observed::Known(shifts));
    }

    fn ask(&self, email: &str, resource: Option<&str>, hour: i64) -> Explanation {
        let mut world = self.world.clone();
        for entry in &self.ledger {
            let grant = &entry.own.grant;
            if matches!(entry.state, State::Creating | State::Revoking) {
                world.recorded.unsettled.push(grant.pair());
            }
            world.recorded.ledger.push(entry.own.clone());
        }
        let now = at(0);
        let plan = foresee(now, &self.settings, &world, Released::Nothing);
        let standings: Vec<Standing> =
            self.settings.rules.iter().flat_map(|rule| standings(now, rule, &world)).collect();
        let known = Known {
            now,
            asked: Window::new(now, later(now, self.settings.horizon)).unwrap(),
            settings: &self.settings,
            world: &world,
            plan: &plan,
            standings: &standings,
            ledger: &self.ledger,
            made: &self.made,
            history: &self.history,
        };
        let resource = resource.map(str::to_owned);
        explain(&Question { email: email.parse().unwrap(), resource, at: at(hour) }, &known)
    }

    /// Access and the missing link, and that the message has these words.
    fn tells(&self, email: &str, hour: i64, words: &str) -> (Access, Option<LinkKind>) {
        let explanation = self.ask(email, None, hour);
        let answer = &explanation.resources[0];
        assert!(answer.message.contains(words), "{}", answer.message);
        assert!(!explanation.to_string().is_empty());
        (answer.access, answer.missing)
    }
}

#[test]
fn a_whole_chain_has_every_link() {
    let story = Story::new();
    for email in ["ana@example.com", "ANA@pd.example"] {
        let explanation = story.ask(email, Some("db"), 0);
        assert_eq!(explanation.access, Access::Yes);
        assert_eq!(explanation.resources[0].chains[0].links.len(), 8);
    }
    assert_eq!(story.ask("ana@example.com", Some("rs-db"), 0).access, Access::Yes);
}

#[test]
fn the_first_missing_link_is_named() {
    let no = |kind| (Access::No, Some(kind));
    let story = Story::new();
    assert_eq!(story.tells("bo@example.com", 0, "the next shift is from"), no(LinkKind::OnCall));
    assert_eq!(story.tells("ana@example.com", 3, "no shift is known"), no(LinkKind::OnCall));
    assert_eq!(
        story.tells("bo@example.com", 3, "the next pass makes it"),
        (Access::Expected, Some(LinkKind::Grant))
    );
    assert_eq!(story.tells("cem@example.com", 0, "not on call"), no(LinkKind::OnCall));

    let mut story = Story::new();
    story.ledger.clear();
    assert_eq!(story.tells("ana@example.com", 0, "the grant is missing"), no(LinkKind::Grant));
    story.account("ana@example.com", AccountMatch::None);
    assert_eq!(story.tells("ana@example.com", 0, "no strongDM user account"), no(LinkKind::Account));
    story.account("ana@example.com", AccountMatch::Many);
    assert_eq!(story.tells("ana@example.com", 0, "several strongDM accounts"), no(LinkKind::Account));

    for (found, words) in [(ResourceMatch::None, "no resource"), (ResourceMatch::Many, "several resources")] {
        let mut story = Story::new();
        story.ledger.clear();
        story.world.resources.insert(name_of_db(), Observed::Known(found));
        assert_eq!(story.tells("ana@example.com", 0, words), no(LinkKind::Resource));
    }
    let answer = Story::new().ask("ana@example.com", Some("web"), 0).resources.remove(0);
    assert_eq!((answer.access, answer.missing), no(LinkKind::Rule));
    assert!(answer.remedy.contains("\"db\""));
}

#[test]
fn a_suspended_account_has_no_access_whatever_grants_it_has() {
    let mut story = Story::new();
    let account = Account { id: "a-ana".into(), suspended: true };
    story.account("ana@example.com", AccountMatch::One(account));
    let told = story.tells("ana@example.com", 0, "there is a grant for db, but");
    assert_eq!(told, (Access::No, Some(LinkKind::Account)));
}

#[test]
fn what_could_not_be_seen_is_unknown_unless_a_grant_is_there() {
    let mut story = Story::new();
    let source = Source::Schedule("PS".into());
    story.world.on_calls.insert(source, Observed::Unknown("down".into()));
    assert_eq!(story.tells("bo@example.com", 0, "down"), (Access::Unknown, Some(LinkKind::Source)));
    assert_eq!(story.tells("ana@example.com", 0, "stays until its end"), (Access::Yes, None));

    let mut story = Story::new();
    story.ledger[0].state = State::Creating;
    assert_eq!(story.tells("ana@example.com", 0, "earlier write"), (Access::Unknown, Some(LinkKind::Grant)));

    let mut story = Story::new();
    story.world.people.insert("ana".into(), Observed::Unknown("down".into()));
    let told = story.tells("cem@example.com", 0, "did not tell who that is");
    assert_eq!(told, (Access::Unknown, Some(LinkKind::OnCall)));
}

#[test]
fn a_grant_that_nobody_wants_is_told_with_what_becomes_of_it() {
    let mut story = Story::new();
    story.shifts(vec![shift("bo", -1, 4)]);
    assert_eq!(story.tells("ana@example.com", 0, "which the next pass takes back"), (Access::Yes, None));
    story.shifts(Vec::new());
    story.settings.max_revocations = 0;
    assert_eq!(story.tells("ana@example.com", 0, "revocation is held"), (Access::Yes, None));
}

#[test]
fn somebody_elses_grant_counts_as_access() {
    let mut story = Story::new();
    let window = Window::new(at(-1), at(9)).unwrap();
    let pair = Pair { account: "a-bo".into(), resource: "rs-db".into() };
    story.world.recorded.foreign.push(ForeignGrant {
        id: "ag-x".into(),
        pair,
        window,
        groups: KubernetesGroups::default(),
    });
    assert_eq!(story.tells("bo@example.com", 0, "ag-x, which somebody else made"), (Access::Yes, None));
}

#[test]
fn what_is_not_ours_or_carries_no_shift_is_told_with_what_to_do() {
    let mut story = Story::new();
    let window = Window::new(at(-1), at(9)).unwrap();
    let pair = Pair { account: "a-bo".into(), resource: "rs-db".into() };
    story.world.recorded.foreign.push(ForeignGrant {
        id: "ag-x".into(),
        pair,
        window,
        groups: KubernetesGroups::default(),
    });
    let remedy = story.ask("bo@example.com", Some("db"), 0).resources.remove(0).remedy;
    assert!(remedy.contains("remove it in strongDM by hand"), "{remedy}");

    let spelling = "carries the address anna@example.com, so check its spelling";
    let remedy = |story: &Story, who: &str| story.ask(who, Some("db"), 0).resources.remove(0).remedy;
    assert!(remedy(&Story::new(), "anna@example.com").contains(spelling));
    assert!(!remedy(&Story::new(), "bo@example.com").contains("spelling"), "he has a shift, if not now");
    let mut story = Story::new();
    story.world.people.insert("cem".into(), Observed::Unknown("down".into()));
    assert!(!remedy(&story, "anna@example.com").contains("spelling"), "it may be the one who was not told");
}

#[test]
fn a_resource_that_only_the_ledger_knows_now_is_told_once_and_as_unknown() {
    let mut story = Story::new();
    let fault = Fault { error: "refused".to_owned(), remedy: "turn the key".to_owned() };
    story.world.resources.insert(name_of_db(), Observed::Unknown(fault.clone()));
    story.world.accounts.insert("ana@example.com".parse().unwrap(), Observed::Unknown(fault));
    let answer = story.ask("ana@example.com", None, 0);
    let told: Vec<(&str, Access)> =
        answer.resources.iter().map(|one| (one.resource.as_str(), one.access)).collect();
    assert_eq!(told, [("db", Access::Unknown)], "{answer}");
    let one = &answer.resources[0];
    assert!(one.message.contains("could not be looked up: refused"), "{answer}");
    assert_eq!(one.remedy, "turn the key; what is there stays meanwhile");
}

#[test]
fn what_was_done_is_told_with_its_grant_and_window() {
    let mut story = Story::new();
    story.history.push(Past {
        at: at(-1),
        action: Recorded::Known(AuditAction::Create),
        outcome: Recorded::Known(AuditOutcome::Done),
        reason: "because".to_owned(),
        resource: "db".to_owned(),
        resource_id: "rs-db".into(),
        grant_id: Some("ag-1".to_owned()),
        window: Window::new(at(-1), at(2)),
    });
    let text = story.ask("ana@example.com", Some("db"), 0).to_string();
    let line = "create db ag-1 from 2027-01-15T07:00:00Z until 2027-01-15T10:00:00Z done: because";
    assert!(text.contains(line), "{text}");
}

#[test]
fn what_waits_for_another_grant_is_expected_after_its_end() {
    let mut story = Story::new();
    story.world.recorded.second_grant = SecondGrant::Refused;
    story.shifts(vec![shift("ana", -1, 2), shift("ana", 6, 8)]);
    assert_eq!(
        story.tells("ana@example.com", 7, "in the way until"),
        (Access::Expected, Some(LinkKind::Grant))
    );
}

#[test]
fn the_last_failure_is_the_reason_of_a_missing_grant() {
    let mut story = Story::new();
    story.ledger.clear();
    story.history.push(Past {
        at: at(-1),
        action: Recorded::Known(AuditAction::Create),
        outcome: Recorded::Known(AuditOutcome::Failed),
        reason: "lacks the permission".to_owned(),
        resource: "db".to_owned(),
        resource_id: "rs-db".into(),
        grant_id: None,
        window: None,
    });
    let told = story.tells("ana@example.com", 0, "the last attempt at 2027-01-15T07:00:00Z failed: lacks");
    assert_eq!(told, (Access::No, Some(LinkKind::Grant)));
}

#[test]
fn the_past_is_told_from_what_was_made_and_taken_back() {
    let mut story = Story::new();
    story.made = std::mem::take(&mut story.ledger).into_iter().map(|entry| entry.own.grant).collect();
    story.made[0].window = Window::new(at(-9), at(-1)).unwrap();
    let past = |hour, action: AuditAction| Past {
        at: at(hour),
        action: Recorded::Known(action),
        outcome: Recorded::Known(AuditOutcome::Done),
        reason: String::new(),
        resource: "db".to_owned(),
        resource_id: "rs-db".into(),
        grant_id: Some("ag-1".to_owned()),
        window: None,
    };
    story.history = vec![past(-4, AuditAction::Revoke), past(-8, AuditAction::Create)];
    for (hour, access) in [(-9, Access::No), (-6, Access::Yes), (-3, Access::No)] {
        let told = story.ask("ana@example.com", Some("db"), hour);
        // PagerDuty was not asked about that time, so only a grant can tell.
        let expected = if access == Access::Yes { Access::Yes } else { Access::Unknown };
        assert_eq!(told.access, expected, "{hour}: {told}");
    }
}

/// The rule is about incidents of the service `PSV`, in which nobody plays a part yet.
fn with_incidents(change: impl FnOnce(&mut IncidentSelector)) -> Story {
    let mut selector = incident_selector(&["PSV"]);
    change(&mut selector);
    let mut story = Story::new();
    story.settings.rules[0].people = PeopleSelector::Incidents(selector);
    story.settings.rules[0].end_late = TimeDelta::minutes(15);
    story.world.on_calls.clear();
    story.ledger.clear();
    story.sees([]);
    story
}

fn incident(parts: &[(&str, Role)]) -> Incident {
    let part =
        |(user, role): &(&str, Role)| Part { user: (*user).into(), email: None, role: *role, since: at(-1) };
    Incident {
        about: IncidentRef {
            id: "Q1".into(),
            number: Some(4211),
            html_url: Some("https://acme.pagerduty.com/incidents/Q1".to_owned()),
        },
        title: "cannot pay".to_owned(),
        service: "PSV".into(),
        state: IncidentState::Open,
        urgency: "high".to_owned(),
        priority: None,
        is_assigned_by_hand: false,
        parts: parts.iter().map(part).collect(),
        asked: Vec::new(),
        tells_responders: true,
    }
}

impl Story {
    fn sees(&mut self, incidents: impl IntoIterator<Item = Incident>) {
        let incidents = incidents.into_iter().collect();
        self.world.incidents.insert("PSV".into(), Observed::Known(incidents));
    }
}

const NO: (Access, Option<LinkKind>) = (Access::No, Some(LinkKind::Incident));
const UNKNOWN: (Access, Option<LinkKind>) = (Access::Unknown, Some(LinkKind::Incident));

#[test]
fn a_part_in_an_incident_is_told_with_its_link_title_and_end() {
    let mut story = with_incidents(|_| {});
    story.sees([incident(&[("ana", Role::Assignee)])]);
    story.ledger = vec![entry(grant(-1, 3), State::Live)];
    let told = story.ask("ana@example.com", None, 0);
    let words = "assigned to incident 4211, https://acme.pagerduty.com/incidents/Q1, \"cannot pay\", since \
                 2027-01-15T07:00:00Z, until 2027-01-15T11:00:00Z or 15m after it is resolved";
    assert!(told.to_string().contains(words), "{told}");
    assert_eq!(told.access, Access::Yes);
    let kinds: Vec<&str> = told.resources[0].chains[0].links.iter().map(|link| link.kind.as_str()).collect();
    assert_eq!(kinds, ["rule", "resource", "source", "incident", "account", "window", "grant", "check"]);
    assert_eq!(story.tells("ana@example.com", 4, "gives access until 2027-01-15T11:00:00Z only"), NO);
    assert_eq!(story.tells("ana@example.com", -3, "as they are now"), UNKNOWN);
    assert_eq!(story.tells("bo@example.com", 0, "the rule is about 1 open incident now"), NO);
}

#[test]
fn whoever_gets_nothing_from_an_incident_hears_why() {
    let mut story = with_incidents(|selector| selector.max_people = 1);
    story.sees([incident(&[("ana", Role::Assignee), ("bo", Role::Assignee)])]);
    assert_eq!(story.tells("bo@example.com", 0, "as max_people gives access to (1) [too_many_people]"), NO);

    let mut story = with_incidents(|_| {});
    story.sees([Incident { urgency: "low".to_owned(), ..incident(&[("bo", Role::Assignee)]) }]);
    assert_eq!(story.tells("bo@example.com", 0, "its urgency is low, and the rule counts high"), NO);

    let mut story = with_incidents(|selector| selector.priorities = vec!["P1".into()]);
    story.sees([incident(&[("bo", Role::Assignee)])]);
    assert_eq!(story.tells("bo@example.com", 0, "its priority is none, and the rule counts P1"), NO);

    let mut story = with_incidents(|_| {});
    story.sees([incident(&[("bo", Role::Acknowledger)])]);
    assert_eq!(story.tells("bo@example.com", 0, "acknowledged incident 4211"), NO);
    assert_eq!(story.tells("bo@example.com", 0, "the rule counts each assignee only"), NO);

    let mut story = with_incidents(|selector| _ = selector.roles.insert(Role::Responder));
    story.sees([Incident { asked: vec!["bo".into()], ..incident(&[]) }]);
    assert_eq!(story.tells("bo@example.com", 0, "has not joined it yet"), NO);

    let mut story = with_incidents(|selector| {
        selector.roles.insert(Role::Responder);
        selector.eligible = vec![Group::Team("PT".into())];
    });
    story.sees([incident(&[("bo", Role::Responder)])]);
    story.world.members.insert(Group::Team("PT".into()), Observed::Known(BTreeSet::new()));
    let words = "but is in none of the rule's eligible groups: team PT [not_eligible]";
    assert_eq!(story.tells("bo@example.com", 0, words), NO);
    story.world.members.insert(Group::Team("PT".into()), Observed::Unknown("403".into()));
    assert_eq!(story.tells("bo@example.com", 0, "who belongs to team PT cannot be seen: 403"), UNKNOWN);

    let mut story = with_incidents(|_| {});
    story.sees([]);
    let elsewhere = Incident { service: "POTHER".into(), ..incident(&[("bo", Role::Assignee)]) };
    story.world.incidents.insert("POTHER".into(), Observed::Known(vec![elsewhere]));
    assert_eq!(story.tells("bo@example.com", 0, "of service POTHER, which the rule is not about"), NO);
}

#[test]
fn a_part_that_is_over_is_told_with_its_end() {
    let mut story = with_incidents(|_| {});
    let part = |since: i64, ends: Option<i64>| RememberedPart {
        rule: "r".to_owned(),
        incident: incident(&[]).about,
        service: "PSV".into(),
        user: "bo".into(),
        role: Role::Assignee,
        since: at(since),
        ends: ends.map(at),
    };
    story.world.recorded.parts = vec![part(-3, Some(-1))];
    assert_eq!(story.tells("bo@example.com", 0, "gave access until 2027-01-15T07:00:00Z"), NO);
    story.sees([Incident { state: IncidentState::Resolved { at: Some(at(-1)) }, ..incident(&[]) }]);
    assert_eq!(story.tells("bo@example.com", 0, "is resolved since 2027-01-15T07:00:00Z"), NO);
    // The longest time counts from the first part.
    story.sees([incident(&[("bo", Role::Assignee)])]);
    story.world.recorded.parts = vec![part(-5, None)];
    assert_eq!(story.tells("bo@example.com", 0, "max_duration (4h) is used up since"), NO);
    // Nobody knows what became of the incident.
    story.sees([]);
    story.world.recorded.parts = vec![part(-1, None)];
    story.world.unseen_incidents.insert("Q1".into(), "404".into());
    assert_eq!(story.tells("bo@example.com", 0, "it is not known what became of it: 404"), UNKNOWN);
    // Just resolved: access stays for a while.
    story.sees([Incident { state: IncidentState::Resolved { at: Some(at(0)) }, ..incident(&[]) }]);
    let told = story.ask("bo@example.com", None, 0).to_string();
    assert!(told.contains("that is over, and access stays until 2027-01-15T08:15:00Z"), "{told}");
}

#[test]
fn what_is_not_seen_of_a_service_is_no_answer() {
    let mut story = with_incidents(|_| {});
    let service = Source::Service("PSV".into());
    story.world.doubts.insert(service, "incident Q2 cannot be read".into());
    assert_eq!(story.tells("bo@example.com", 0, "not every incident could be seen"), UNKNOWN);
    story.world.doubts.clear();
    story.sees([incident(&[("who", Role::Assignee)])]);
    story.world.people.insert("who".into(), Observed::Unknown("502".into()));
    assert_eq!(story.tells("bo@example.com", 0, "did not tell who that is: 502"), UNKNOWN);
    story.world.incidents.insert("PSV".into(), Observed::Unknown("down".into()));
    let told = story.tells("bo@example.com", 0, "service PSV could not be looked at: down");
    assert_eq!(told, (Access::Unknown, Some(LinkKind::Source)));
}
