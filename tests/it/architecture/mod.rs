//! The direction of the house: what each part may know. Read from the sources, so that a new arrow that points upward,
//! or a circle, fails here.

mod assurance;
mod map;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use self::sources::{Import, Sources};

/// Every room of the crate from the roof to the ground, and what each may take. A room takes from those below it alone,
/// and only from those that are named here.
const ROOMS: [(&str, &[&str]); 20] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "serve",
            // What a simulation shows is drawn like the status page.
            "web",
            "subscription",
            "wiring",
            "notices",
            "reconcile",
            "config",
            "evidence",
            "pagerduty",
            "strongdm",
            "store",
            "telemetry",
            "tls",
            "metrics",
            "clock",
            "model",
        ],
    ),
    (
        "serve",
        &[
            "web",
            "subscription",
            "wiring",
            "notices",
            "config",
            "evidence",
            "pagerduty",
            "store",
            "telemetry",
            "tls",
            "metrics",
            "clock",
        ],
    ),
    (
        "web",
        &[
            "subscription",
            // How endpoints fare is on the status page.
            "notices",
            "reconcile",
            "config",
            "evidence",
            "pagerduty",
            "store",
            "telemetry",
            "reload",
            "metrics",
            "clock",
            "model",
        ],
    ),
    ("subscription", &["reconcile", "config", "pagerduty", "metrics", "clock", "model"]),
    (
        "wiring",
        &["notices", "reconcile", "config", "pagerduty", "strongdm", "store", "tls", "metrics", "model"],
    ),
    ("notices", &["config", "store", "metrics", "clock", "model"]),
    ("reconcile", &["pagerduty", "strongdm", "store", "metrics", "clock", "model"]),
    ("config", &["evidence", "store", "tls", "model"]),
    ("evidence", &["store"]),
    ("pagerduty", &["clock", "model"]),
    ("strongdm", &["clock", "model"]),
    ("store", &["model"]),
    ("tls", &["reload"]),
    ("reload", &["telemetry"]),
    ("telemetry", &[]),
    ("metrics", &["clock", "model"]),
    ("clock", &[]),
    ("model", &[]),
    ("lib", &[]),
];

/// Parts that know less than their room does: what they may take from the crate.
const CORNERS: [(&str, &[&str]); 4] = [
    ("pagerduty/signature.rs", &[]),
    ("pagerduty/event.rs", &["model"]),
    ("reconcile/plan", &["model", "reconcile/plan", "reconcile/world.rs"]),
    ("reconcile/explain", &["model", "store", "reconcile", "clock"]),
];

/// Where decisions are made: from values alone.
const PURE: [&str; 8] = [
    "reconcile/plan",
    "reconcile/report/preflight.rs",
    "reconcile/explain/chain.rs",
    "reconcile/explain/grant.rs",
    "reconcile/scope.rs",
    "reconcile/world.rs",
    "subscription/diagnose.rs",
    "model",
];

/// What makes a decision depend on more than its arguments.
const IMPURE: [&str; 10] =
    ["async", ".await", "clock", "tokio", "std::time", "std::fs", "std::io", "Utc::now", "sqlx", "rand"];

/// The room of a file: the first part of its path.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

fn lies_in(part: &str, file: &str) -> bool {
    file == part || file.strip_prefix(part).is_some_and(|rest| rest.starts_with('/')) || room(file) == part
}

#[test]
fn every_room_takes_from_those_below_it_alone() {
    for (place, (name, allowed)) in ROOMS.iter().enumerate() {
        for below in *allowed {
            let at = ROOMS.iter().position(|(room, _)| room == below);
            assert!(at.is_some_and(|at| at > place), "{name} may not take from {below}: it is not below it");
        }
    }
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let sources = Sources::read();
    for source in &sources.0 {
        assert!(allowed.contains_key(room(&source.file)), "{} has no place in ROOMS", source.file);
    }
    for name in allowed.keys() {
        assert!(sources.0.iter().any(|source| room(&source.file) == *name), "{name} is gone");
    }
    let imports = sources.imports();
    let upward: Vec<String> = imports
        .iter()
        .filter(|import| room(&import.from) != room(&import.to))
        .filter(|import| !allowed[room(&import.from)].contains(&room(&import.to)))
        .map(Import::to_string)
        .collect();
    assert!(upward.is_empty(), "{upward:#?}");
    // A permission that nobody uses is one that nobody thought about.
    let used: BTreeSet<(&str, &str)> =
        imports.iter().map(|import| (room(&import.from), room(&import.to))).collect();
    let unused: Vec<(&str, &str)> = ROOMS
        .iter()
        .flat_map(|(name, allowed)| allowed.iter().map(move |below| (*name, *below)))
        .filter(|pair| pair.0 != "main" && !used.contains(pair))
        .collect();
    assert!(unused.is_empty(), "allowed in ROOMS, but nobody needs it: {unused:?}");
}

#[test]
fn corners_know_less_than_their_room() {
    let sources = Sources::read();
    for (corner, allowed) in CORNERS {
        assert!(sources.0.iter().any(|source| lies_in(corner, &source.file)), "{corner} is gone");
        let strays: Vec<String> = sources
            .imports()
            .iter()
            .filter(|import| lies_in(corner, &import.from) && !lies_in(corner, &import.to))
            .filter(|import| !allowed.iter().any(|allowed| lies_in(allowed, &import.to)))
            .map(Import::to_string)
            .collect();
        assert!(strays.is_empty(), "{strays:#?}");
    }
}

/// Whether one of the two is the `mod.rs` of a folder in which the other lies.
fn are_parent_and_child(one: &str, other: &str) -> bool {
    let holds = |parent: &str, child: &str| {
        parent.strip_suffix("mod.rs").is_some_and(|folder| child.starts_with(folder))
    };
    holds(one, other) || holds(other, one)
}

#[test]
fn no_files_need_each_other_but_parent_and_child() {
    let mut imports = Sources::read().imports();
    imports.retain(|Import { from, to, .. }| !are_parent_and_child(from, to));
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Import { from, to, .. } in &imports {
        needs.entry(from).or_default().insert(to);
    }
    let reached_from = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut ahead: Vec<&str> = needs.get(start).into_iter().flatten().copied().collect();
        while let Some(file) = ahead.pop() {
            if reached.insert(file) {
                ahead.extend(needs.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let in_circle = imports.iter().filter(|import| reached_from(&import.to).contains(import.from.as_str()));
    let circles: Vec<String> = in_circle.map(Import::to_string).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn decisions_need_no_clock_and_no_network() {
    let sources = Sources::read();
    for part in PURE {
        let mut found = sources.0.iter().filter(|source| lies_in(part, &source.file)).peekable();
        assert!(found.peek().is_some(), "{part} is gone");
        for source in found {
            let words = |c: char| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.';
            for word in IMPURE {
                let mut texts = source.code.split(words);
                let found = texts.find(|text| *text == word || text.contains(&format!("{word}::")));
                assert_eq!(found, None, "{} knows {word}", source.file);
            }
        }
    }
}

#[test]
fn decisions_know_no_names() {
    let sources = Sources::read();
    let decisions = sources.0.iter().filter(|source| lies_in("reconcile/plan", &source.file));
    for source in decisions {
        let mut words = source.code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let found =
            words.find(|word| matches!(*word, "Names" | "NamesBeside" | "SeenName" | "NameDirectory"));
        assert_eq!(found, None, "{}: names are other people's data", source.file);
    }
}
