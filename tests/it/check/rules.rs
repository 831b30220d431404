//! Rules that name what does not exist, or find nothing or too much.

use sandbox::{
    strongdm::ResourceKind,
    world::{POLICY, SCHEDULE},
};

use super::{check, checked};
use crate::support::{Config, DB, Scene, filter_rule, policy_rule, rule};

pub(super) fn by_policy(lines: &str) -> Config {
    Config::with_rules([policy_rule("by policy", &[DB]) + lines])
}

fn by_filter(filter: &str) -> Config {
    Config::with_rules([filter_rule("by filter", filter)])
}

#[tokio::test]
async fn schedules_policies_and_levels_that_do_not_exist_are_found() {
    let found = checked(Config::with_rules([rule("typo", &["PTYPO99"], &[DB])])).await;
    found.assert_problem("source_not_found", "schedule PTYPO99", "does not exist");
    assert_eq!(found.kinds("problem"), ["source_not_found"]);

    let mut config = by_policy("");
    config.rules = config.rules.replace(POLICY, "PGONE99");
    let found = checked(config).await;
    found.assert_problem("source_not_found", "escalation policy PGONE99", "does not exist");
    assert_eq!(found.kinds("problem"), ["source_not_found"]);

    let found = checked(by_policy("escalation_levels = [1, 7]\n")).await;
    found.assert_problem("level_beyond_policy", "by policy", "has 3 levels, so level 7 never applies");
}

#[tokio::test]
async fn people_who_are_always_on_call_and_get_nothing_are_noted() {
    let third = "escalation_levels = [3]\n".to_owned();
    let found = checked(by_policy(&third)).await;
    let (severity, _, message) = found.one("always_on_call");
    assert_eq!(severity, "note");
    assert!(message.contains("cem@example.com"), "{message}");
    let found = checked(by_policy(&(third + "include_always_on_call = true\n"))).await;
    assert!(found.of("always_on_call").is_empty() && found.of("gap").is_empty());
}

#[tokio::test]
async fn resources_and_filters_that_find_nothing_or_too_much_are_found() {
    let found = checked(Config::with_rules([rule("r", &[SCHEDULE], &["prod-postgras"])])).await;
    found.assert_problem("resource_not_found", "prod-postgras", "no resource of this name");

    let found = checked(by_filter("tags:env=nowhere")).await;
    let (severity, subject, _) = found.one("filter_without_match");
    assert_eq!((severity.as_str(), found.code), ("warning", Some(0)));
    assert!(subject.contains("env=nowhere"));

    let scene = Scene::prepared(by_filter("tags:env=crowd")).await;
    for number in 0..51 {
        scene.strongdm.add_resource(ResourceKind::Ssh, &format!("crowd-{number}"), &[("env", "crowd")]);
    }
    let (_, _, message) = check(&scene).await.one("filter_with_many_matches");
    assert!(message.contains("51 resources"), "{message}");

    let scene = Scene::prepared(Config::default()).await;
    scene.strongdm.add_resource(ResourceKind::Ssh, DB, &[]);
    check(&scene).await.assert_problem("ambiguous_resource", DB, "several resources");
}
