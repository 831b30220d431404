use super::*;
use crate::pagerduty::{COMMON_EVENTS, Filter, INCIDENT_EVENTS};

const OURS: &str = "https://grants.example.com/webhooks/pagerduty";

fn url() -> Url {
    OURS.parse().unwrap()
}

fn subscription(id: &str, to: &str) -> Subscription {
    Subscription {
        id: id.to_owned(),
        url: to.parse().ok(),
        description: None,
        events: COMMON_EVENTS.iter().map(|event| (*event).to_owned()).collect(),
        filter: Some(Filter::Account),
        has_hidden_settings: false,
        active: true,
        temporarily_disabled: false,
    }
}

fn kinds(listed: &Result<Vec<Subscription>, Error>, secret: SecretStatus) -> Vec<&'static str> {
    diagnose(listed, &url(), COMMON_EVENTS, secret).into_iter().map(|finding| finding.kind.as_str()).collect()
}

#[test]
fn each_fault_of_our_subscription_is_a_finding_of_its_own() {
    let ours = || subscription("P1", OURS);
    let with_events = |events: &[&str]| Subscription {
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        ..ours()
    };
    for (one, expected) in [
        (ours(), vec![]),
        (Subscription { active: false, temporarily_disabled: true, ..ours() }, vec!["subscription_inactive"]),
        (Subscription { temporarily_disabled: true, ..ours() }, vec!["subscription_disabled"]),
        (with_events(&["service.updated"]), vec!["subscription_events"]),
        (with_events(&["incident.triggered"]), vec!["subscription_events"]),
    ] {
        assert_eq!(kinds(&Ok(vec![one.clone()]), SecretStatus::Configured), expected, "{one:?}");
    }
    assert_eq!(kinds(&Ok(vec![ours()]), SecretStatus::Missing), ["subscription_without_secret"]);
    assert_eq!(
        kinds(&Ok(vec![ours(), subscription("P2", OURS)]), SecretStatus::Configured),
        ["subscription_doubled"]
    );
    assert_eq!(
        kinds(&Err(Error::Forbidden("no".into())), SecretStatus::Configured),
        ["subscription_not_readable"]
    );
    assert_eq!(
        kinds(&Err(Error::Unavailable("down".into())), SecretStatus::Configured),
        ["subscription_not_readable"]
    );
}

#[test]
fn one_that_delivers_almost_to_us_is_named() {
    for (other, near) in [
        ("https://grants.example.com/webhooks/pagerduty/", true),
        ("http://grants.example.com/webhooks/pagerduty", true),
        ("https://old.example.com/webhooks/pagerduty", true),
        ("https://elsewhere.example.com/hook", false),
    ] {
        let found =
            diagnose(&Ok(vec![subscription("P9", other)]), &url(), COMMON_EVENTS, SecretStatus::Configured);
        assert_eq!((found.len(), found[0].kind), (1, FindingKind::SubscriptionMissing));
        assert_eq!(found[0].message.contains("P9 delivers to"), near, "{other}: {}", found[0].message);
    }
}

#[test]
fn only_active_ones_that_were_never_heard_of_are_doubted() {
    let off = Subscription { active: false, ..subscription("P3", OURS) };
    let listed =
        [subscription("P1", OURS), subscription("P2", OURS), off, subscription("P4", "https://a.example")];
    let seen = BTreeSet::from(["P1".to_owned()]);
    let found = without_events(&listed, &url(), &seen);
    assert_eq!(found.len(), 1);
    assert!(found[0].subject.ends_with("P2"));
}

#[test]
fn what_only_rules_about_incidents_need_is_missed_only_by_them() {
    let one = subscription("P1", OURS);
    assert_eq!(missing_events(&one, COMMON_EVENTS), [""; 0]);
    let wanted: Vec<&str> = COMMON_EVENTS.iter().chain(INCIDENT_EVENTS).copied().collect();
    assert_eq!(missing_events(&one, &wanted), INCIDENT_EVENTS);
    let found = diagnose(&Ok(vec![one]), &url(), &wanted, SecretStatus::Configured);
    assert_eq!((found.len(), found[0].kind), (1, FindingKind::SubscriptionEvents));
    assert!(found[0].message.contains("incident.resolved"), "{}", found[0]);
    assert!(found[0].remedy.contains("webhook enable P1"), "{}", found[0]);
}
