//! What `docs/ASSURANCE.md` rests on is there: the tests and files that it names.

use std::{fs, path::Path};

use super::sources::root;

/// What stands between two backticks, on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// All code below the folder.
fn read(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            read(&entry, code);
        } else if entry.extension().is_some_and(|kind| kind == "rs") {
            code.push_str(&fs::read_to_string(&entry).expect("readable sources"));
        }
    }
}

#[test]
fn every_test_and_file_that_the_assurance_case_names_exists() {
    let top = root().parent().expect("the top of the repository").to_owned();
    let page = fs::read_to_string(top.join("docs/ASSURANCE.md")).expect("the page");
    let mut code = String::new();
    for folder in ["src", "tests"] {
        read(&top.join(folder), &mut code);
    }
    let (mut tests, mut files) = (0, 0);
    for name in quoted(&page).flat_map(str::split_whitespace) {
        let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_plain && name.matches('_').count() > 2 {
            let is_test =
                [format!("fn {name}("), format!("    {name}: ")].iter().any(|text| code.contains(text));
            assert!(is_test, "the page names the test {name}, which is not there");
            tests += 1;
        } else if let Some(module) = name.strip_suffix("::") {
            let module = top.join("tests/it").join(module);
            assert!(
                module.is_dir() || module.with_extension("rs").is_file(),
                "{name} is no module of tests/it"
            );
            files += 1;
        } else if name.contains('/') {
            assert!(top.join(name).exists(), "the page names {name}, which is not there");
            files += 1;
        }
    }
    assert!(tests > 20 && files > 8, "{tests} tests and {files} files were found: the page is read wrongly");
}
