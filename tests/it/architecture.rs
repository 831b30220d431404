//! The one-way dependencies that `src/lib.rs` promises, read from the sources.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A folder or file of `src/`, and what it may take from the rest of the crate.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("model", &[]),
    ("clock.rs", &[]),
    ("pagerduty", &["model"]),
    ("strongdm", &["clock", "model"]),
    ("store", &["model"]),
    ("reconcile/plan", &["model", "reconcile::world"]),
    (
        "web",
        &[
            "clock",
            "config::secrets_in",
            "config::is_placeholder",
            "metrics",
            "model",
            "pagerduty::Event",
            "pagerduty::Hint",
            "pagerduty::signature",
            "reconcile",
            "store",
            "subscription::State",
            "subscription::Watch",
        ],
    ),
];

/// What makes a decision depend on more than its arguments.
const IMPURE: [&str; 10] =
    ["async", ".await", "clock", "tokio", "std::time", "std::fs", "std::io", "Utc::now", "sqlx", "rand"];

fn sources(of: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(of);
    // Tests may look anywhere.
    if of.ends_with("/tests") || of.ends_with("/tests.rs") {
        return Vec::new();
    }
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    for entry in entries.map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("plain names");
        if entry.path().is_dir() || entry.path().extension().is_some_and(|kind| kind == "rs") {
            found.extend(sources(&format!("{of}/{name}")));
        }
    }
    found
}

/// The code of a file without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("readable sources");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that follows `crate::`, groups in braces spelt out.
fn used(code: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        spell_out("", &code[at + "crate::".len()..], &mut paths);
    }
    paths
}

/// Reads one path at the start of `text` and answers what is left of it.
fn spell_out<'t>(prefix: &str, text: &'t str, paths: &mut BTreeSet<String>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            rest = spell_out(prefix, rest, paths);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    assert!(end > 0, "cannot read {:?}", text.chars().take(40).collect::<String>());
    let path = if prefix.is_empty() { text[..end].to_owned() } else { format!("{prefix}::{}", &text[..end]) };
    let rest = &text[end..];
    if let Some(rest) = rest.strip_prefix("::") {
        return spell_out(&path, rest, paths);
    }
    paths.insert(path);
    rest.trim_start().trim_start_matches("as ").trim_start_matches(char::is_alphanumeric)
}

#[test]
fn paths_are_read_from_groups() {
    let text = "use crate::{\n a::{self, B as C},\n d,\n};\n fn f(x: crate::e::F) {}";
    let paths: Vec<String> = used(text).into_iter().collect();
    assert_eq!(paths, ["a::B", "a::self", "d", "e::F"]);
}

#[test]
fn dependencies_go_one_way() {
    let mut strays = Vec::new();
    for (part, allowed) in MAY_USE {
        let itself = part.trim_end_matches(".rs").replace('/', "::");
        let files = sources(part);
        assert!(!files.is_empty(), "{part} is gone");
        for file in files {
            for path in used(&code(&file)) {
                let lies_in = |parent: &&str| path == **parent || path.starts_with(&format!("{parent}::"));
                if !lies_in(&itself.as_str()) && !allowed.iter().any(lies_in) {
                    strays.push(format!("{} uses {path}", file.display()));
                }
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn decisions_need_no_clock_and_no_network() {
    for part in [
        "reconcile/plan",
        "reconcile/report/preflight.rs",
        "reconcile/explain",
        "reconcile/scope.rs",
        "reconcile/world.rs",
        "subscription/diagnose.rs",
        "model",
    ] {
        for file in sources(part) {
            let code = code(&file);
            let words = |c: char| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.';
            for word in IMPURE {
                let found =
                    code.split(words).find(|text| *text == word || text.contains(&format!("{word}::")));
                assert_eq!(found, None, "{} knows {word}", file.display());
            }
        }
    }
}
