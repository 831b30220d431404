//! Reads the sources of the crate: its files, the modules that they are, and which names each takes from which other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

/// A file of `src/`, without its comments and tests.
pub(super) struct Source {
    /// Below `src/`, such as `store/mod.rs`.
    pub(super) file: String,
    /// The module that it is, such as `store` or `store::sqlite`; empty for the crate itself.
    pub(super) module: String,
    pub(super) code: String,
    /// What it re-exports: the name, and where that is defined.
    exports: BTreeMap<String, String>,
}

/// All files of the crate, tests left out.
pub(super) struct Sources(pub(super) Vec<Source>);

/// One file takes this name from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Import {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) name: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, name } = self;
        write!(f, "{from} takes {name:?} from {to}")
    }
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

impl Sources {
    pub(super) fn read() -> Self {
        let mut files = Vec::new();
        collect(&root(), &mut files);
        files.sort();
        let sources = files.into_iter().map(|path| {
            let file =
                path.strip_prefix(root()).expect("below src").to_str().expect("plain names").to_owned();
            let module = module_of(&file);
            let code = without_tests(&fs::read_to_string(&path).expect("readable sources"));
            let exports = exports(&module, &code);
            Source { file, module, code, exports }
        });
        Self(sources.collect())
    }

    /// The file that is this module.
    fn of_module(&self, module: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.module == module && source.file != "main.rs")
    }

    /// The file in which the path ends, and the rest of the path. Follows re-exports to where a thing is defined.
    fn definition<'s>(&'s self, path: &str) -> Option<(&'s Source, String)> {
        let mut path = path.to_owned();
        // A chain of re-exports is short; a circle of them does not compile.
        for _ in 0..10 {
            let mut at = path.as_str();
            let source = loop {
                if let Some(source) = self.of_module(at) {
                    break source;
                }
                at = at.rsplit_once("::").map_or("", |(parent, _)| parent);
            };
            let rest = path[at.len()..].trim_start_matches("::").to_owned();
            let name = rest.split("::").next().unwrap_or_default();
            match source.exports.get(name) {
                Some(target) if !rest.is_empty() => {
                    path = format!("{target}{}", &rest[name.len()..]);
                }
                _ => return Some((source, rest)),
            }
        }
        None
    }

    /// Who takes what from whom, within the crate.
    pub(super) fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for source in &self.0 {
            for path in paths(&source.module, &source.code) {
                let Some((target, rest)) = self.definition(&path) else { continue };
                if target.file != source.file && !target.module.is_empty() {
                    let (from, to) = (source.file.clone(), target.file.clone());
                    imports.insert(Import { from, to, name: rest });
                }
            }
        }
        imports
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        let name = entry.file_name().into_string().expect("plain names");
        // Tests may look anywhere, and generated code imports nothing of ours.
        let is_apart = ["tests", "gen", "properties", "simulation", "specification", "exhaustive"]
            .contains(&name.as_str());
        if path.is_dir() && !is_apart {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
}

/// Whether the file is a module of tests that its parent declares so.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("plain names");
    let parent = path.parent().expect("a folder").join("mod.rs");
    let declared = fs::read_to_string(parent).unwrap_or_default();
    let conditions = ["test", "all(test, feature = \"assurance\")"];
    let is_declared = |condition: &str| declared.contains(&format!("#[cfg({condition})]\nmod {name};"));
    name == "tests" || conditions.into_iter().any(is_declared)
}

fn module_of(file: &str) -> String {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" || path == "main" { String::new() } else { path.replace('/', "::") }
}

fn without_tests(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path into the crate that the code names, from the crate's root, groups in braces spelt out.
fn paths(module: &str, code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let before = &code[..at];
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |before| before + 1);
        let head = &before[start..];
        // `super::super::x` is read from its first word on.
        if !["crate", "super", "self"].contains(&head) || before[..start].ends_with("::") {
            continue;
        }
        spell_out("", &code[start..], &mut found);
    }
    found.iter().map(|path| absolute(module, path)).collect()
}

/// What a `pub use` in this code offers: by name, where it comes from.
fn exports(module: &str, code: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default();
        if line != "pub " && !(line.starts_with("pub(") && line.ends_with(") ")) {
            continue;
        }
        let mut paths = BTreeSet::new();
        spell_out("", &code[at + "use ".len()..], &mut paths);
        for path in paths.iter().filter(|path| path.split("::").next().is_some_and(is_inside)) {
            let target = absolute(module, path);
            let name = target.rsplit("::").next().unwrap_or_default().to_owned();
            found.insert(name, target);
        }
    }
    found
}

fn is_inside(head: &str) -> bool {
    ["crate", "super", "self"].contains(&head)
}

fn absolute(module: &str, path: &str) -> String {
    let mut parts: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    for part in path.split("::") {
        match part {
            "crate" => parts.clear(),
            "super" => drop(parts.pop()),
            "self" => {}
            name => parts.push(name),
        }
    }
    parts.join("::")
}

/// Reads one path at the start of `text`, with the groups in it, and answers what is left of the text.
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
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(text.len());
    assert!(end > 0, "cannot read {:?}", text.chars().take(40).collect::<String>());
    let path = if prefix.is_empty() { text[..end].to_owned() } else { format!("{prefix}::{}", &text[..end]) };
    let rest = &text[end..];
    match rest.strip_prefix("::") {
        // `a::<T>()` names nothing more.
        Some(more) if !more.starts_with('<') => return spell_out(&path, more, paths),
        _ => paths.insert(path),
    };
    rest.trim_start()
        .strip_prefix("as ")
        .map_or(rest, |renamed| renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn paths_are_read_from_groups_and_from_where_they_stand() {
    let code = "use crate::{\n a::{self, B as C},\n d,\n};\nuse super::e::F;\nuse self::g::{H, i::*};\n\
                fn f(x: crate::j::K, y: super::super::l::M) { super::n::<u8>(); other::crates::z() }";
    let found: Vec<String> = paths("p::q::r", code).into_iter().collect();
    assert_eq!(
        found,
        ["a", "a::B", "d", "j::K", "p::l::M", "p::q::e::F", "p::q::n", "p::q::r::g::H", "p::q::r::g::i::*"]
    );
}
