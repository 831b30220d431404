//! What was learned from answers.

use std::collections::BTreeSet;

use oncall_grants::{
    model::{ForeignGrant, Links, Pair, SecondGrant, Window},
    store::SharedStore,
};

use crate::{at, lease, on_both};

on_both! {
    lessons_expire_and_refusals_grow,
    foreign_grants_keep_the_moment_they_were_first_seen,
    links_are_replaced,
}

async fn lessons_expire_and_refusals_grow(store: SharedStore) {
    assert_eq!(store.second_grant(at(0)).await.unwrap(), SecondGrant::Taken);
    store.learn_second_grant(SecondGrant::Refused, at(100)).await.unwrap();
    assert_eq!(store.second_grant(at(99)).await.unwrap(), SecondGrant::Refused);
    assert_eq!(store.second_grant(at(100)).await.unwrap(), SecondGrant::Taken);

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
    let links =
        |pairs: &[(&str, &str)]| Links(pairs.iter().map(|(s, p)| ((*s).into(), (*p).into())).collect());
    for wanted in [links(&[("S1", "P1"), ("S2", "P1")]), links(&[("S2", "P2")]), Links(BTreeSet::new())] {
        store.set_links(&wanted).await.unwrap();
        assert_eq!(store.links().await.unwrap(), wanted);
    }
}
