//! `oncall-grants check`: one thing is broken at a time, and it says which, and how to mend it.

mod guide;
mod on_calls;
mod rules;
mod service;
mod setup;
mod store;
mod subscription;
mod upstreams;

use sandbox::world::SCHEDULE;
use serde_json::Value;

use crate::support::{ANA, BO, Config, Scene, stderr};

/// What no line and no command mends: it is put right in PagerDuty, in strongDM or with its key.
const MENDED_ELSEWHERE: [&str; 4] = ["invalid_email", "no_email", "not_tried", "store_new"];

/// Asserts that a step is a line that the file takes, or a command.
fn assert_can_be_done(step: &Value) {
    match (step["write"].as_str(), step["run"].as_str()) {
        (Some(line), None) => {
            let read: Result<toml::Table, _> = line.parse();
            assert!(read.is_ok_and(|read| read.len() == 1), "{line}");
            assert!(step["under"].as_str().is_some_and(|table| table.starts_with('[')), "{step}");
        }
        (None, Some(command)) => assert!(!command.is_empty() && !command.contains('\n'), "{command}"),
        _ => panic!("{step}"),
    }
}

/// What `check --format json` printed, and its exit code.
struct Checked {
    code: Option<i32>,
    report: Value,
}

impl Checked {
    /// The findings of one kind.
    fn of(&self, kind: &str) -> Vec<&Value> {
        self.report["findings"].as_array().expect("a list").iter().filter(|one| one["kind"] == kind).collect()
    }

    /// The only finding of this kind, with its parts as text.
    fn one(&self, kind: &str) -> (String, String, String) {
        let found = self.of(kind);
        assert_eq!(found.len(), 1, "{kind} in {:#}", self.report);
        let text = |key: &str| found[0][key].as_str().expect("a text").to_owned();
        assert!(!text("remedy").is_empty(), "{kind} says how to mend it");
        let steps = found[0]["steps"].as_array().expect("a list");
        let is_ticked_there = kind == "right_missing" && text("subject").starts_with("strongDM");
        let is_mended_elsewhere = is_ticked_there || MENDED_ELSEWHERE.contains(&kind);
        assert_eq!(steps.is_empty(), is_mended_elsewhere, "{kind}: {steps:?}");
        for step in steps {
            assert_can_be_done(step);
        }
        (text("severity"), text("subject"), text("message"))
    }

    /// Asserts one problem of this kind, whose subject and message contain these words.
    fn assert_problem(&self, kind: &str, subject: &str, words: &str) {
        let (severity, of, message) = self.one(kind);
        assert_eq!((severity.as_str(), self.code), ("problem", Some(1)));
        assert!(of.contains(subject) && message.contains(words), "{of}: {message}");
    }

    fn kinds(&self, severity: &str) -> Vec<&str> {
        let found = self.report["findings"].as_array().expect("a list").iter();
        found.filter(|one| one["severity"] == severity).filter_map(|one| one["kind"].as_str()).collect()
    }
}

async fn check(scene: &Scene) -> Checked {
    run(scene, &["check", "--format", "json"]).await
}

/// What can be said without asking anybody.
async fn check_offline(scene: &Scene) -> Checked {
    run(scene, &["check", "--offline", "--format", "json"]).await
}

async fn run(scene: &Scene, arguments: &[&str]) -> Checked {
    let output = scene.run(arguments).await;
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    Checked { code: output.status.code(), report }
}

async fn checked(config: Config) -> Checked {
    check(&Scene::prepared(config).await).await
}

/// Fills the horizon, so that no gap is found.
fn fill(scene: &Scene) {
    scene.shifts(SCHEDULE, &[(ANA, -60, 120), (BO, 120, 20_000)]);
}
