//! What was learned from answers.

use oncall_grants::{
    model::{ForeignGrant, Links, Pair, SecondGrant, Window},
    store::{Fact, SharedStore},
};

use crate::{at, lease, on_both};

on_both! {
    facts_hold_until_their_end,
    a_fact_in_the_words_of_another_version_is_as_good_as_none,
    refusals_grow,
    foreign_grants_keep_the_moment_they_were_first_seen,
    links_are_replaced,
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
    store.forget_refusal(&pair).await.unwrap();
    assert!(store.refusals(at(0)).await.unwrap().is_empty());
}

async fn foreign_grants_keep_the_moment_they_were_first_seen(store: SharedStore) {
    let lease = lease(&store).await;
    let foreign = |id: &str, account: &str| ForeignGrant {
        id: id.into(),
        pair: Pair { account: account.into(), resource: "rs-1".into() },
        window: Window::new(at(0), at(100)).unwrap(),
    };
    store.set_foreign_grants(&lease, None, &[foreign("x", "a-1"), foreign("y", "a-2")], at(1)).await.unwrap();
    let pair = foreign("x", "a-1").pair;
    store
        .set_foreign_grants(&lease, Some(&pair), &[foreign("x", "a-1"), foreign("z", "a-1")], at(5))
        .await
        .unwrap();
    let seen: Vec<_> = store.foreign_grants().await.unwrap();
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
