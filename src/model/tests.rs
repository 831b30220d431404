//! What tests of readers share: real samples that somebody changed. `FUZZ_RUNS` says how many of them each is tried with.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use proptest::{collection::vec, prelude::*, sample::Index};

/// What readers stumble over.
const ODD: [&str; 18] = [
    "null",
    "true",
    "-1",
    "0",
    "18446744073709551616",
    "1e999",
    "\"\"",
    "{}",
    "[]",
    "[[[[[[[[",
    "\"\\ud800\"",
    "\"\u{0}\u{feff}\"",
    "\"0000-01-01T00:00:00+23:59\"",
    "\"9999-12-31T23:59:60-23:59\"",
    "\"+262143-01-01T00:00:00Z\"",
    "\"99999999999999999999d\"",
    "\"*\"",
    "'",
];

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    Byte(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// What stands behind a colon or an equals sign becomes this.
    Value(Index, &'static str),
    Insert(Index, &'static str),
    Cut(Index),
}

/// So many of them.
pub(crate) fn runs() -> ProptestConfig {
    let cases = env::var("FUZZ_RUNS").map_or(2_000, |text| text.parse().expect("a number"));
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One of the samples, changed in up to five places.
pub(crate) fn mutated(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(samples), vec(edit(), 0..6)).prop_map(|(mut sample, edits)| {
        for edit in edits {
            apply(&mut sample, &edit);
        }
        sample
    })
}

/// A path below the top of the repository, whichever of its crates this file is built into.
pub(crate) fn below_top(path: &str) -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.map(|folder| folder.join(path)).find(|found| found.exists()).expect("a path of the repository")
}

/// The files of a folder below the top of the repository.
pub(crate) fn samples(folder: &str) -> Vec<Vec<u8>> {
    let folder = below_top(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}

fn edit() -> impl Strategy<Value = Edit> {
    let odd = || prop::sample::select(ODD.to_vec());
    prop_oneof![
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        1 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (any::<Index>(), 1..200_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        4 => (any::<Index>(), odd()).prop_map(|(at, odd)| Edit::Value(at, odd)),
        1 => (any::<Index>(), odd()).prop_map(|(at, odd)| Edit::Insert(at, odd)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ]
}

fn apply(sample: &mut Vec<u8>, edit: &Edit) {
    if sample.is_empty() {
        return;
    }
    let length = sample.len();
    match edit {
        Edit::Byte(at, byte) => sample[at.index(length)] = *byte,
        Edit::Remove(at, count) => {
            let at = at.index(length);
            sample.drain(at..(at + count).min(length));
        }
        Edit::Repeat(at, count) => {
            let at = at.index(length);
            let part = sample[at..(at + count).min(length)].to_vec();
            sample.splice(at..at, part);
        }
        Edit::Value(at, odd) => {
            let after = |sample: &[u8], from: usize, which: &[u8]| {
                sample[from..].iter().position(|byte| which.contains(byte)).map(|found| from + found)
            };
            let Some(start) = after(sample, at.index(length), b":=").map(|found| found + 1) else { return };
            let end = after(sample, start, b",}\n]").unwrap_or(sample.len());
            sample.splice(start..end, odd.bytes());
        }
        Edit::Insert(at, odd) => {
            let at = at.index(length);
            sample.splice(at..at, odd.bytes());
        }
        Edit::Cut(at) => sample.truncate(at.index(length)),
    }
}
