//! What was learned from answers.

use oncall_grants::{
    model::{
        Altered, Fault, ForeignGrant, IncidentId, IncidentRef, KubernetesGroups, Links, Name, Pair,
        RememberedPart, Role, SecondGrant, SeenName, Thing, Window,
    },
    store::{AskAgain, Fact, SharedStore},
};

use crate::{at, lease, on_both};

on_both! {
    facts_hold_until_their_end,
    a_fact_in_the_words_of_another_version_is_as_good_as_none,
    refusals_grow,
    a_pause_that_a_fast_clock_wrote_ends_when_the_clock_is_right,
    altered_windows_are_asked_for_again_ever_more_rarely,
    what_is_altered_in_place_of_another_is_remembered_alone,
    parts_in_incidents_are_remembered_while_they_matter,
    foreign_grants_keep_the_moment_they_were_first_seen,
    links_are_replaced,
    names_are_those_last_seen_and_go_when_nobody_sees_them,
}

const LESSON: Fact<SecondGrant> = Fact::named("second_grant");

async fn facts_hold_until_their_end(store: SharedStore) {
    let known = async |second| LESSON.read(&store, at(second)).await.unwrap();
    assert_eq!(known(0).await, None);
    LESSON.write(&store, &SecondGrant::Refused, Some(at(100))).await.unwrap();
    assert_eq!(known(99).await, Some(SecondGrant::Refused));
    assert_eq!(known(100).await, None);
    LESSON.write(&store, &SecondGrant::Taken, None).await.unwrap();
    assert_eq!(known(1_000_000_000).await, Some(SecondGrant::Taken));
}

async fn a_fact_in_the_words_of_another_version_is_as_good_as_none(store: SharedStore) {
    store.set_fact("second_grant", r#""taken_on_tuesdays""#, None).await.unwrap();
    assert_eq!(LESSON.read(&store, at(0)).await.unwrap(), None);
}

async fn refusals_grow(store: SharedStore) {
    let pair = Pair { account: "a-1".into(), resource: "rs-1".into() };
    let mut pauses = Vec::new();
    for _ in 0..12 {
        store.remember_refusal(&pair, at(0)).await.unwrap();
        pauses.push((store.refusals(at(0)).await.unwrap()[0].until - at(0)).num_seconds());
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    // What did not happen again for an hour is over.
    for (now, pause) in [(900 + 3599, 900), (2 * 900 + 2 * 3600, 2)] {
        store.remember_refusal(&pair, at(now)).await.unwrap();
        let until = store.refusals(at(now)).await.unwrap()[0].until;
        assert_eq!((until - at(now)).num_seconds(), pause, "at {now}");
    }
    store.forget_refusal(&pair).await.unwrap();
    assert!(store.refusals(at(0)).await.unwrap().is_empty());
}

async fn a_pause_that_a_fast_clock_wrote_ends_when_the_clock_is_right(store: SharedStore) {
    for _ in 0..9 {
        store.remember_refusal(&pair(), at(562)).await.unwrap();
    }
    assert_eq!(store.refusals(at(562)).await.unwrap()[0].until, at(562 + 512));
    assert_eq!(store.refusals(at(561)).await.unwrap(), []);
    store.remember_refusal(&pair(), at(0)).await.unwrap();
    assert_eq!(store.refusals(at(0)).await.unwrap()[0].until, at(2), "as after the first");
}

fn pair() -> Pair {
    Pair { account: "a-1".into(), resource: "rs-1".into() }
}

fn window(start: i64, end: i64) -> Window {
    Window::new(at(start), at(end)).unwrap()
}

async fn parts_in_incidents_are_remembered_while_they_matter(store: SharedStore) {
    let part = |incident: &str, user: &str| RememberedPart {
        rule: "r".to_owned(),
        incident: IncidentRef { id: incident.into(), number: Some(7), html_url: None },
        service: "PS".into(),
        user: user.into(),
        role: Role::Assignee,
        since: at(0),
        ends: None,
    };
    let (one, other, over) = (part("Q1", "U1"), part("Q1", "U2"), part("Q2", "U1"));
    let all = [(one.clone(), at(100)), (other.clone(), at(200)), (over.clone(), at(50))];
    let held = lease(&store).await;
    store.remember_parts(&held, &all).await.unwrap();
    let known = async |now, incidents: &[&str]| {
        let incidents = incidents.iter().map(|id| IncidentId::from(*id)).collect();
        let mut known = store.incident_parts(at(now), &incidents).await.unwrap();
        known.sort_by(|one, other| one.key().cmp(&other.key()));
        known
    };
    assert_eq!(known(50, &[]).await, [one.clone(), other.clone()]);
    assert_eq!(known(150, &[]).await, std::slice::from_ref(&other));
    assert_eq!(known(150, &["Q2"]).await, [other.clone(), over.clone()], "its incident is open again");
    let ended = RememberedPart { ends: Some(at(120)), ..other.clone() };
    store.remember_parts(&held, &[(ended.clone(), at(120))]).await.unwrap();
    assert_eq!(known(110, &[]).await, std::slice::from_ref(&ended));
    assert_eq!(known(120, &["Q1"]).await, [one, ended]);
}

async fn altered_windows_are_asked_for_again_ever_more_rarely(store: SharedStore) {
    let pauses = async |again, begins| {
        let mut pauses = Vec::new();
        for _ in 0..11 {
            store.remember_altered(&pair(), window(begins, 9000), again, None, at(0)).await.unwrap();
            let known = store.altered(at(-1)).await.unwrap();
            assert_eq!(known.len(), 1, "{known:?}");
            pauses.push((known[0].until - at(0)).num_seconds());
        }
        pauses
    };
    assert_eq!(pauses(AskAgain::AfterPause, 0).await, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    assert_eq!(pauses(AskAgain::AfterPause, 100).await[10], 100, "once more when it begins");
    assert_eq!(pauses(AskAgain::At(at(7)), 0).await[10], 7);

    // More than an hour after the last time it counts anew.
    store
        .remember_altered(&pair(), window(0, 9000), AskAgain::OnceMoreOrAt(at(50)), None, at(4000))
        .await
        .unwrap();
    assert_eq!(store.altered(at(3999)).await.unwrap()[0].until, at(4000));
    assert_eq!(store.altered(at(4000)).await.unwrap(), []);
    store
        .remember_altered(&pair(), window(0, 9000), AskAgain::OnceMoreOrAt(at(5000)), None, at(4000))
        .await
        .unwrap();
    assert_eq!(store.altered(at(4000)).await.unwrap()[0].until, at(5000));
}

async fn what_is_altered_in_place_of_another_is_remembered_alone(store: SharedStore) {
    let fault = Fault { error: "stored without an end".to_owned(), remedy: "see to it".to_owned() };
    let remember = async |window, fault: Option<&Fault>| {
        store.remember_altered(&pair(), window, AskAgain::At(at(50)), fault, at(0)).await.unwrap();
    };
    remember(window(0, 100), None).await;
    remember(window(200, 300), Some(&fault)).await;
    remember(window(60, 120), None).await;
    let altered = |window, fault: Option<&Fault>| Altered {
        pair: pair(),
        window,
        until: at(50),
        fault: fault.cloned(),
    };
    let mut known = store.altered(at(0)).await.unwrap();
    known.sort_by_key(|altered| altered.window);
    assert_eq!(known, [altered(window(60, 120), None), altered(window(200, 300), Some(&fault))]);
    assert_eq!(store.altered(at(50)).await.unwrap(), []);
    assert!(!store.prune(at(51), at(51)).await.unwrap());
    assert_eq!(store.altered(at(0)).await.unwrap(), []);
}

async fn foreign_grants_keep_the_moment_they_were_first_seen(store: SharedStore) {
    let lease = lease(&store).await;
    let foreign = |id: &str, account: &str| ForeignGrant {
        id: id.into(),
        pair: Pair { account: account.into(), resource: "rs-1".into() },
        window: Window::new(at(0), at(100)).unwrap(),
        groups: KubernetesGroups::default(),
    };
    store.set_foreign_grants(&lease, None, &[foreign("x", "a-1"), foreign("y", "a-2")], at(1)).await.unwrap();
    let pair = foreign("x", "a-1").pair;
    let longer = ForeignGrant { window: window(0, 200), ..foreign("x", "a-1") };
    store
        .set_foreign_grants(&lease, Some(&pair), &[longer.clone(), foreign("z", "a-1")], at(5))
        .await
        .unwrap();
    let seen: Vec<_> = store.foreign_grants().await.unwrap();
    assert!(seen.iter().any(|(foreign, _)| *foreign == longer), "somebody made it longer: {seen:?}");
    let wider = ForeignGrant { groups: ["admin"].into_iter().collect(), ..longer };
    let others = [wider.clone(), foreign("z", "a-1")];
    store.set_foreign_grants(&lease, Some(&pair), &others, at(6)).await.unwrap();
    let seen: Vec<_> = store.foreign_grants().await.unwrap();
    assert!(seen.iter().any(|(foreign, _)| *foreign == wider), "somebody gave it a group: {seen:?}");
    let mut seen: Vec<_> =
        seen.iter().map(|(foreign, first)| (foreign.id.as_str(), (*first - at(0)).num_seconds())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("x", 1), ("y", 1), ("z", 5)]);
}

async fn links_are_replaced(store: SharedStore) {
    let links = |pairs: &[(&str, &str)]| -> Links {
        pairs.iter().map(|(schedule, policy)| ((*schedule).into(), (*policy).into())).collect()
    };
    for wanted in [links(&[("S1", "P1"), ("S2", "P1")]), links(&[("S2", "P2")]), Links::default()] {
        store.set_links(&wanted).await.unwrap();
        assert_eq!(store.links().await.unwrap(), wanted);
    }
}

async fn names_are_those_last_seen_and_go_when_nobody_sees_them(store: SharedStore) {
    let seen = |thing: Thing, name: &str, address: Option<&str>| SeenName {
        thing,
        name: Name::new(name).unwrap(),
        address: address.map(str::to_owned),
    };
    let day = || Thing::Schedule("S1".into());
    let all = async |change| store.names_since(change).await.unwrap();
    store
        .set_names(
            &[
                seen(day(), "Day", None),
                seen(Thing::Policy("S1".into()), "Payments", None),
                seen(Thing::User("U1".into()), "Ana", Some("Ana@Example.com")),
            ],
            at(0),
        )
        .await
        .unwrap();
    let first = all(0).await;
    assert_eq!(first.len(), 3, "one ID may be that of two kinds of things: {first:?}");
    assert!(first.iter().any(|stored| stored.seen.address.as_deref() == Some("Ana@Example.com")));
    let change = first[0].change;
    assert_eq!(all(change).await, []);
    store.set_names(&[seen(day(), "Night", None)], at(100)).await.unwrap();
    let news = all(change).await;
    assert_eq!((news.len(), &news[0].seen, news[0].seen_at), (1, &seen(day(), "Night", None), at(100)));
    assert!(!store.prune(at(1_000), at(50)).await.unwrap());
    assert_eq!(all(0).await, news);
}
