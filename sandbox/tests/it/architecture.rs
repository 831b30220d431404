//! The direction that `src/lib.rs` promises, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the ground up. Each may import from floors below its own.
const FLOORS: [&[&str]; 5] = [
    &["budget", "calls", "clock", "credentials", "crypto", "server"],
    &["faults"],
    &["control"],
    &["notices", "pagerduty", "strongdm"],
    &["world"],
];

/// Every module with those that it declares or imports from. So a child that imports from its parent is a circle.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Reads a module and what it declares; tests may look anywhere.
fn read(module: &str, path: &Path, arrows: &mut Arrows) {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    let code = lines.collect::<Vec<_>>().join("\n");
    // The path of a module starts with `::`, and that of the crate is empty.
    let declared = code.match_indices("mod ").map(|(at, word)| &code[at + word.len()..]);
    let declared = declared.filter_map(|rest| Some(rest[..rest.find([';', ' '])?].to_owned()));
    let children = declared.map(|name| format!("{module}::{name}")).collect::<BTreeSet<_>>();
    for child in &children {
        match file(child) {
            Some(path) => read(child, &path, arrows),
            // Generated code imports nothing of ours.
            None => drop(arrows.insert(child.clone(), BTreeSet::new())),
        }
    }
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut targets = children;
    for (root, base) in [("crate", ""), ("super", parent)] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            if !code[..at].ends_with("::") {
                imports(base, &code[at + root.len() + 2..], &mut targets);
            }
        }
    }
    arrows.insert(module.into(), targets);
}

/// Reads one path or group after `base::`; returns the rest of the text.
fn imports<'t>(base: &str, text: &'t str, targets: &mut BTreeSet<String>) -> &'t str {
    if let Some(mut rest) = text.trim_start().strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([',', ' ', '\n']);
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            rest = imports(base, rest, targets);
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
    assert!(end > 0, "no name at {:?}", text.chars().take(40).collect::<String>());
    let next = match &text[..end] {
        "super" => base.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned(),
        name => format!("{base}::{name}"),
    };
    if let Some(rest) = text[end..].strip_prefix("::") {
        return imports(&next, rest, targets);
    }
    targets.insert(next);
    &text[end..]
}

fn file(module: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = module.trim_start_matches("::").replace("::", "/");
    let candidates = if path.is_empty() {
        vec![root.join("lib.rs")]
    } else {
        vec![root.join(format!("{path}.rs")), root.join(path).join("mod.rs")]
    };
    candidates.into_iter().find(|path| path.is_file())
}

/// All arrows between modules; an imported item stands for the module that it is named in.
fn arrows() -> Arrows {
    let mut read_arrows = Arrows::new();
    read("", &file("").unwrap(), &mut read_arrows);
    let modules = read_arrows.keys().cloned().collect::<BTreeSet<_>>();
    for targets in read_arrows.values_mut() {
        let mut known = BTreeSet::new();
        for target in &*targets {
            let mut module = target.as_str();
            while !modules.contains(module) {
                module = module.rsplit_once("::").unwrap().0;
            }
            known.insert(module.to_owned());
        }
        *targets = known;
    }
    read_arrows
}

#[test]
fn no_module_imports_in_a_circle() {
    let mut left = arrows();
    assert!(left.len() > 50 && left["::world"].contains("::strongdm"), "the sources are read");
    loop {
        let before = left.len();
        // What imports nothing of the rest, and what nothing of the rest imports, is in no circle.
        let modules = left.keys().cloned().collect::<BTreeSet<_>>();
        let imported = left.values().flatten().cloned().collect::<BTreeSet<_>>();
        left.retain(|module, targets| !targets.is_disjoint(&modules) && imported.contains(module));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn modules_import_from_the_floors_below() {
    let top = |module: &str| module.split("::").nth(1).unwrap_or_default().to_owned();
    let floor = |module: &str| {
        let floor = FLOORS.iter().position(|modules| modules.contains(&module));
        floor.unwrap_or_else(|| panic!("{module} has no floor"))
    };
    for (module, targets) in arrows().iter().filter(|(module, _)| !module.is_empty()) {
        for target in targets {
            let (from, to) = (top(module), top(target));
            assert!(from == to || floor(&from) > floor(&to), "{module} imports from {target}");
        }
    }
}
