//! The pages that tell the way through the code name only what is there.

use std::{fs, path::Path};

use super::sources::Sources;

/// The pages, and the folders in which their file names start.
const PAGES: [&str; 3] = ["docs/ARCHITECTURE.md", "src/lib.rs", "src/reconcile/mod.rs"];

/// What stands between two backticks, on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

fn is_file(name: &str) -> bool {
    let path = name.strip_suffix(".rs").or_else(|| name.strip_suffix('/')).unwrap_or_default();
    !path.is_empty() && path.chars().all(|c| c.is_ascii_lowercase() || "/_".contains(c))
}

/// Whether this is written as the name of a type, or of a function of one.
fn is_name(name: &str) -> bool {
    let is_type = |part: &str| part.starts_with(char::is_uppercase) && part.contains(char::is_lowercase);
    let plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut parts = name.split("::");
    parts.next().is_some_and(|head| is_type(head) && plain(head)) && parts.all(plain)
}

#[test]
fn every_file_and_name_on_the_map_exists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read();
    let is_defined = |name: &str| {
        let defines = |word: &str| format!("{word} {name}");
        let all = ["struct", "enum", "trait", "fn", "type"].map(defines);
        let is_whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let occurs = |code: &str, text: &str| {
            code.match_indices(text).any(|(at, _)| is_whole(&code[at + text.len()..]))
        };
        let is_variant = |code: &str| occurs(code, &format!("    {name}"));
        sources
            .0
            .iter()
            .any(|source| all.iter().any(|text| occurs(&source.code, text)) || is_variant(&source.code))
    };
    let (mut files, mut names) = (0, 0);
    for page in PAGES {
        let text = fs::read_to_string(top.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        let text = if Path::new(page).extension().is_some_and(|kind| kind == "rs") {
            text.split("\nmod ").next().unwrap_or_default()
        } else {
            &text
        };
        let beside = top.join(page).parent().expect("a folder").to_owned();
        for name in quoted(text) {
            if is_file(name) {
                let places = [top.join("src").join(name), top.join(name), beside.join(name)];
                assert!(places.iter().any(|place| place.exists()), "{page} names {name}, which is not there");
                files += 1;
            } else if is_name(name) {
                for part in name.split("::") {
                    assert!(is_defined(part), "{page} names {name}, which is not there");
                }
                names += 1;
            }
        }
    }
    assert!(
        files > 40 && names > 5,
        "{files} files and {names} names were found: the pages are read wrongly"
    );
}
