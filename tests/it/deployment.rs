//! The configurations that are handed out for deployments, and what the command line prints for shells and `man`.

use std::{fs, path::Path, process::Command};

use crate::support::{command, stderr, stdout};

const PLACES: [&str; 4] = [
    "oncall-grants.example.toml",
    "deploy/compose/oncall-grants.toml",
    "deploy/deb/oncall-grants.toml",
    "deploy/kubernetes/oncall-grants.toml",
];

fn binary() -> Command {
    command(Path::new(env!("CARGO_MANIFEST_DIR")), &[])
}

#[test]
fn every_configuration_that_is_handed_out_is_accepted() {
    for place in PLACES {
        let mut check = binary();
        check.args(["check", "--offline", "--config", place]);
        // The environment wins over the files, which are not there.
        let secrets = [
            ("ONCALL_GRANTS_ADMIN_TOKEN", "a-long-random-text"),
            ("ONCALL_GRANTS_STORE_URL", "postgres://u:p@db.example.com/oncall_grants"),
            ("PAGERDUTY_TOKEN", "a-pagerduty-token"),
            ("PAGERDUTY_WEBHOOK_SECRETS", "a-webhook-secret"),
            ("SDM_API_ACCESS_KEY", "auth-0000000000000000"),
            ("SDM_API_SECRET_KEY", "c2VjcmV0LWtleS1vZi10aGUtdGVzdHM="),
        ];
        let output = check.envs(secrets).output().expect("the binary can be run");
        let said = stderr(&output);
        assert!(output.status.success(), "{place}: {said}");
    }
}

#[test]
fn completions_and_man_pages_are_printed_without_a_configuration() {
    for shell in ["bash", "zsh", "fish"] {
        let output = binary().args(["completions", shell]).output().expect("the binary can be run");
        assert!(output.status.success());
        let text = stdout(&output);
        assert!(text.contains("oncall-grants") && text.contains("dry-run"), "{shell}: {text}");
    }
    let output = binary().arg("man").output().expect("the binary can be run");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let page = stdout(&output);
    assert!(page.contains(".TH oncall-grants 1") && page.contains("EXIT STATUS"), "{page}");

    let directory = tempfile::tempdir().expect("a directory");
    let all = binary().args(["man", "--all"]).arg(directory.path()).status().expect("the binary can be run");
    assert!(all.success());
    for page in ["oncall-grants.1", "oncall-grants-sync.1", "oncall-grants-webhook-create.1"] {
        assert!(directory.path().join(page).is_file(), "{page}");
    }
    for page in fs::read_dir(directory.path()).expect("a directory") {
        let text = fs::read_to_string(page.expect("an entry").path()).expect("text");
        let referred = text.lines().filter_map(|line| line.strip_suffix("(1)"));
        for name in referred {
            let name = name.replace('\\', "");
            assert!(directory.path().join(format!("{name}.1")).is_file(), "there is no page {name}(1)");
        }
    }
    let nowhere = binary().args(["man", "--all", "/nowhere/at/all"]).output().expect("the binary can be run");
    assert_eq!(nowhere.status.code(), Some(1));
}

#[test]
fn a_deployment_outlives_a_long_outage_and_knows_ipv6() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let has = |name: &str, line: &str| {
        assert!(file(name).lines().any(|found| found.trim() == line), "{name} lacks {line}");
    };
    has("deploy/systemd/oncall-grants.service", "StartLimitIntervalSec=0");
    has("Dockerfile", "ENV ONCALL_GRANTS_LISTEN=[::]:8080");
    has("deploy/kubernetes/network-policy.yaml", "cidr: ::/0");
    has("deploy/kubernetes/service.yaml", "ipFamilyPolicy: PreferDualStack");
}

#[test]
fn every_script_says_what_it_is_for() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = fs::read_to_string(top.join("docs/development.md")).expect("a page");
    for script in fs::read_dir(top.join("scripts")).expect("a folder") {
        let path = script.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let text = fs::read_to_string(&path).expect("text");
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("#!")), "{name} says what runs it");
        let told = lines.next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        assert!(told.split(' ').count() > 4, "{name} says in its second line what it is for: {told:?}");
        assert!(listed.contains(&format!("scripts/{name}")), "docs/development.md lists {name}");
    }
}
