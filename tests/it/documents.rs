//! The pages that people read: every link leads somewhere, and what the program can do stands where readers look for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Config, Scene, command};

/// Words of the README, code and tables included. Whoever wants to know more follows its index.
const README_WORDS: usize = 1200;
/// Bytes of a picture: a README that loads slowly is not read.
const LARGEST_PICTURE: u64 = 150_000;
/// Folders whose files, of any kind, may point readers to a page.
const SPEAKING: [&str; 7] = ["src", "deploy", "scripts", "examples", "sandbox/src", "docs", ".github"];

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "md")
}

/// Every file below a folder, by its path from the top.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The pages at the top, in `docs/` and in `deploy/`, with their texts.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut found = Vec::new();
    for folder in ["docs", "deploy"] {
        files_below(&top().join(folder), &mut found);
    }
    found.extend(fs::read_dir(top()).expect("a folder").map(|entry| entry.expect("an entry").path()));
    found.retain(|path| is_page(path));
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).expect("text"))).collect()
}

/// The lines outside of blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchors that GitHub gives the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for line in prose(page).filter(|line| line.starts_with('#')) {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let same = |other: &&String| **other == anchor || other.starts_with(&format!("{anchor}-"));
        let before = anchors.iter().filter(same).count();
        anchors.push(if before == 0 { anchor } else { format!("{anchor}-{before}") });
    }
    anchors
}

/// Where a page leads: its links, and the pictures that it shows.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(page) {
        for (before, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            let found = line.split(before).skip(1).filter_map(|rest| rest.split(end).next());
            targets.extend(found.map(str::to_owned));
        }
    }
    targets
}

/// Why this address leads nowhere, if so. `beside` is the folder of the page that has it.
fn fault(beside: &Path, page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { beside.join(file) };
    if !path.exists() {
        return Some("is not there".to_owned());
    }
    let known = || anchors(&fs::read_to_string(&path).expect("text")).iter().any(|known| known == anchor);
    (is_page(&path) && !anchor.is_empty() && !known()).then(|| "has no such heading".to_owned())
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut seen = 0;
    for (page, text) in pages() {
        for target in targets(&text) {
            let is_elsewhere = ["http:", "https:", "mailto:"].iter().any(|start| target.starts_with(start));
            if is_elsewhere {
                continue;
            }
            seen += 1;
            let beside = page.parent().expect("a folder");
            if let Some(fault) = fault(beside, &page, &target) {
                panic!("{}: {target} {fault}", page.display());
            }
        }
    }
    assert!(seen > 50, "{seen} links: the pages are read wrongly");
}

/// Texts such as `docs/webhook.md#the-sender`, as comments, messages and configurations have them.
fn mentions(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '#' | '-' | '_');
    text.split(move |c: char| !is_part(c))
        .map(|word| word.trim_end_matches(['.', '/']))
        .filter(|word| word.starts_with("docs/") || word.starts_with("deploy/"))
        .filter(|word| is_page(Path::new(word.split('#').next().unwrap_or_default())))
}

#[test]
fn every_page_that_a_file_speaks_of_is_there() {
    let mut files = vec![top().join("oncall-grants.example.toml"), top().join("Dockerfile")];
    for folder in SPEAKING {
        files_below(&top().join(folder), &mut files);
    }
    let mut seen = 0;
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for mention in mentions(&text) {
            seen += 1;
            let fault = fault(&top(), &file, mention);
            assert_eq!(fault, None, "{}: {mention}", file.display());
        }
        let speaks_of_sections = text.contains("README's") || text.contains("README says");
        assert!(!speaks_of_sections, "{}: the README says little; name the page in docs/", file.display());
    }
    assert!(seen > 3, "{seen} mentions: the files are read wrongly");
}

#[test]
fn each_alert_names_a_section_of_the_runbook() {
    let runbook = text_of("deploy/RUNBOOK.md");
    let sections: Vec<&str> = prose(&runbook).filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = text_of("deploy/prometheus/alerts.yml");
    let named = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook: "));
    for section in named {
        assert!(sections.contains(&section), "the runbook has no section {section:?}");
    }
}

#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = text_of("README.md");
    let words = readme.split_whitespace().count();
    assert!(words <= README_WORDS, "{words} words: move what only some readers need to docs/");
    for command in ["cargo run --example demo", "scripts/test"] {
        assert!(readme.lines().any(|line| line == command), "{command} is missing");
    }
    let targets = targets(&readme);
    for page in pages().into_keys() {
        let page = page.strip_prefix(top()).expect("below the top").to_str().expect("UTF-8").to_owned();
        let is_listed = targets.contains(&page) || !page.starts_with("docs/");
        assert!(is_listed, "the index of the README lacks {page}");
    }
    let index: String = readme.split_inclusive('\n').filter(|line| line.starts_with("| [")).collect();
    let mut listed = BTreeSet::new();
    for target in self::targets(&index) {
        assert!(listed.insert(target.clone()), "the index of the README has {target} twice");
    }
}

#[test]
fn pictures_are_small_and_shown() {
    let folder = top().join("docs/pictures");
    let shown: String = pages().into_values().collect();
    for picture in fs::read_dir(folder).expect("a folder") {
        let picture = picture.expect("an entry");
        let name = picture.file_name().into_string().expect("UTF-8");
        let size = picture.metadata().expect("a file").len();
        assert!(size < LARGEST_PICTURE, "{name} has {size} bytes");
        assert!(shown.contains(&format!("pictures/{name}")), "no page shows {name}");
    }
}

#[test]
fn every_command_is_on_the_page_of_commands() {
    let page = text_of("docs/commands.md");
    let directory = tempfile::tempdir().expect("a directory");
    let mut man = command(&top(), &["man", "--all"]);
    assert!(man.arg(directory.path()).status().expect("the binary can be run").success());
    for manual in fs::read_dir(directory.path()).expect("a directory") {
        let name = manual.expect("an entry").file_name().into_string().expect("UTF-8");
        let words = name.trim_end_matches(".1").replace('-', " ").replace("oncall grants", "oncall-grants");
        // Those of a command may have a table of their own.
        let part = words.rsplit(' ').next().unwrap_or_default();
        let is_told = page.contains(&format!("`{words}")) || page.contains(&format!("| `{part}` |"));
        assert!(is_told || part == "help", "docs/commands.md lacks {words}");
    }
}

#[tokio::test]
async fn every_route_is_on_the_page_of_routes() {
    let scene = Scene::running(Config::default()).await;
    let document = scene.get("/openapi.json").await.json();
    let page = text_of("docs/http.md");
    // What the status page alone uses.
    let own = |path: &str| ["/assets/", "/ui/"].iter().any(|start| path.starts_with(start));
    let paths = document["paths"].as_object().expect("paths");
    for (path, methods) in paths.iter().filter(|(path, _)| !own(path)) {
        for method in methods.as_object().expect("methods").keys() {
            let route = format!("`{} {path}`", method.to_uppercase());
            assert!(page.contains(&route), "docs/http.md lacks {route}");
        }
    }
}
