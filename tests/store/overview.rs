//! What people see of the ledger, a part at a time.

use chrono::TimeDelta;
use oncall_grants::{
    model::{GrantId, Window},
    store::{Access, AccessCounts, Boundary, Lease, SharedStore, View},
};

use crate::{at, audit, lease, new_grant, on_both};

on_both! {
    accesses_are_paged_through_once_each_while_others_come_and_go,
    a_search_takes_every_letter_as_it_is_and_no_notice_of_case,
    the_grants_of_an_access_are_counted_and_only_some_are_read,
    access_that_goes_on_is_no_change,
}

/// A grant that was made, between these seconds.
async fn granted(store: &SharedStore, lease: &Lease, email: &str, resource: &str, window: (i64, i64)) {
    let mut new = new_grant();
    new.grant.email = email.parse().unwrap();
    resource.clone_into(&mut new.grant.resource);
    new.grant.window = Window::new(at(window.0), at(window.1)).unwrap();
    let row = store.intend_create(lease, &new, at(0)).await.unwrap().unwrap();
    let id = GrantId::from(format!("ag-{}", row.number()));
    assert!(store.settle_created(row, &id, &new.grant.window.into(), &audit(&new.grant)).await.unwrap());
}

fn view(from: i64, until: i64, search: &str) -> View {
    View { search: search.to_owned(), ..View::between(at(from), at(until)) }
}

fn access(resource: &str, email: &str) -> Access {
    Access { resource: resource.to_owned(), email: email.to_owned() }
}

async fn accesses_are_paged_through_once_each_while_others_come_and_go(store: SharedStore) {
    let lease = lease(&store).await;
    for resource in ["db", "web"] {
        for person in ["ana", "bo", "cem", "deniz"] {
            granted(&store, &lease, &format!("{person}@example.com"), resource, (0, 100)).await;
            granted(&store, &lease, &format!("{person}@example.com"), resource, (200, 300)).await;
        }
    }
    granted(&store, &lease, "eva@example.com", "db", (200, 300)).await;
    let counts = async |view: View| store.count_accesses(&view).await.unwrap();
    assert_eq!(counts(view(50, 50, "")).await, AccessCounts { accesses: 8, people: 4, grants: 8 });
    assert_eq!(counts(view(50, 250, "")).await, AccessCounts { accesses: 9, people: 5, grants: 17 });
    assert_eq!(counts(view(100, 150, "")).await, AccessCounts::default(), "between the two");

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.accesses(&view(50, 50, ""), 3, after.as_ref()).await.unwrap();
        after = page.last().cloned();
        seen.extend(page);
        match seen.len() {
            // One that comes before the place is not seen any more, one after it is.
            3 => {
                granted(&store, &lease, "aaron@example.com", "db", (0, 100)).await;
                granted(&store, &lease, "zoe@example.com", "web", (0, 100)).await;
                let first =
                    store.grants_of(&view(50, 50, ""), &[access("db", "ana@example.com")], 1).await.unwrap();
                let own = &first[0].entry.own;
                assert!(store.settle_ended(own.row, at(50), &audit(&own.grant)).await.unwrap());
            }
            9 => break,
            number => assert!(number < 9, "{seen:?}"),
        }
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&access("web", "zoe@example.com")));
    assert_eq!(store.accesses(&view(50, 50, ""), 3, seen.last()).await.unwrap(), []);
}

async fn a_search_takes_every_letter_as_it_is_and_no_notice_of_case(store: SharedStore) {
    let lease = lease(&store).await;
    for (email, resource) in [
        ("ana_b@example.com", "Prod-Postgres"),
        ("anaxb@example.com", "50% off"),
        ("ümit@example.com", r"C:\db"),
        ("bo@example.com", "Ärger"),
    ] {
        granted(&store, &lease, email, resource, (0, 100)).await;
    }
    for (search, expected) in [
        ("", 4),
        ("EXAMPLE.com", 4),
        ("ana_b", 1),
        ("0%", 1),
        ("%", 1),
        ("_", 1),
        ("\\", 1),
        ("prod-POST", 1),
        ("Ümit", 1),
        ("Ärger", 1),
        ("'; DROP TABLE grants; --", 0),
        ("nobody\0", 0),
    ] {
        let view = view(50, 50, search);
        assert_eq!(store.accesses(&view, 10, None).await.unwrap().len(), expected, "{search:?}");
        assert_eq!(store.count_accesses(&view).await.unwrap().accesses, expected, "{search:?}");
        assert_eq!(store.next_changes(&view, Boundary::End, 10).await.unwrap().len(), expected, "{search:?}");
    }
    // Or by who they are, besides what the text finds.
    for (search, people, expected) in [
        ("", &["ana_b@example.com"][..], 1),
        ("nobody", &["ana_b@example.com", "ümit@example.com"], 2),
        ("prod-POST", &["ümit@example.com", "'@example.com"], 2),
    ] {
        let people = people.iter().map(|email| (*email).to_owned()).collect();
        let view = View { people, ..view(50, 50, search) };
        assert_eq!(store.accesses(&view, 10, None).await.unwrap().len(), expected, "{view:?}");
        assert_eq!(store.count_accesses(&view).await.unwrap().accesses, expected, "{view:?}");
        assert_eq!(store.next_changes(&view, Boundary::End, 10).await.unwrap().len(), expected, "{view:?}");
    }
}

async fn the_grants_of_an_access_are_counted_and_only_some_are_read(store: SharedStore) {
    let lease = lease(&store).await;
    for turn in 0..5 {
        granted(&store, &lease, "ana@example.com", "db", (turn * 10, turn * 10 + 5)).await;
    }
    granted(&store, &lease, "ana@example.com", "web", (0, 100)).await;
    granted(&store, &lease, "bo@example.com", "db", (0, 100)).await;
    let wanted =
        [access("db", "ana@example.com"), access("db", "bo@example.com"), access("web", "bo@example.com")];
    let seen = store.grants_of(&view(7, 100, ""), &wanted, 2).await.unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| {
            let grant = &seen.entry.own.grant;
            (grant.email.as_str(), (grant.window.start() - at(0)).num_seconds(), seen.of)
        })
        .collect();
    assert_eq!(seen, [("ana@example.com", 10, 4), ("ana@example.com", 20, 4), ("bo@example.com", 0, 1)]);
    assert_eq!(store.grants_of(&view(7, 100, ""), &[], 2).await.unwrap(), []);
}

async fn access_that_goes_on_is_no_change(store: SharedStore) {
    let lease = lease(&store).await;
    // Ana's two grants touch, Bo's overlap, and Cem takes over from Ana.
    for (email, window) in [
        ("ana@example.com", (0, 100)),
        ("ana@example.com", (100, 200)),
        ("bo@example.com", (0, 150)),
        ("bo@example.com", (120, 300)),
        ("cem@example.com", (200, 250)),
    ] {
        granted(&store, &lease, email, "db", window).await;
    }
    let forever = at(0) + TimeDelta::days(1000);
    let changes = async |from: i64, boundary, limit| -> Vec<(String, i64)> {
        let view = View { until: forever, ..view(from, 0, "") };
        let grants = store.next_changes(&view, boundary, limit).await.unwrap();
        let at_boundary = |window: &Window| match boundary {
            Boundary::Start => window.start(),
            Boundary::End => window.end(),
        };
        let told = |grant: &oncall_grants::model::Grant| {
            (
                grant.email.as_str().split_once('@').unwrap().0.to_owned(),
                (at_boundary(&grant.window) - at(0)).num_seconds(),
            )
        };
        grants.iter().map(told).collect()
    };
    let told = |name: &str, second| (name.to_owned(), second);
    assert_eq!(changes(50, Boundary::End, 9).await, [told("ana", 200), told("cem", 250), told("bo", 300)]);
    assert_eq!(changes(50, Boundary::End, 1).await, [told("ana", 200)]);
    assert_eq!(changes(50, Boundary::Start, 9).await, [told("cem", 200)]);
    assert_eq!(changes(200, Boundary::Start, 9).await, []);
}
