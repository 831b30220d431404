//! Kubernetes groups of rules: in strongDM's grants at every instant those of all rules that want the access then, and told
//! wherever grants are told.

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    strongdm::{SecondGrant, StoredGroups},
    world::{SCHEDULE, V3_SCHEDULE},
};
use serde_json::json;

use crate::support::{ANA, BO, CEM, Config, Person, Scene, filter_rule, rule, stdout, wait_until};

const CLUSTER: &str = "prod-cluster";
const CREATE: &str = "AccountGrants.Create";

/// Whoever is on call through the first schedule may look, through the second may administer.
fn config() -> Config {
    Config::with_rules([
        rule("viewers", &[SCHEDULE], &[CLUSTER]) + "kubernetes_groups = [\"viewer\"]\n",
        rule("admins", &[V3_SCHEDULE], &[CLUSTER]) + "kubernetes_groups = [\"system:masters\", \"admin\"]\n",
    ])
}

/// Ana looks for two hours, and nobody administers.
async fn scene(second: SecondGrant) -> Scene {
    let mut scene = Scene::prepared(config()).await;
    scene.strongdm.configure(|settings| settings.second_grant = second);
    scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
    // Somebody is always on call, or the answer would look cut.
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240)]);
    scene.start().await;
    scene
}

const WORLDS: [SecondGrant; 3] =
    [SecondGrant::TakesAll, SecondGrant::RefusesOverlapping, SecondGrant::RefusesAny];
const VIEWER: &[&str] = &["viewer"];
const ADMIN: &[&str] = &["admin", "system:masters"];
const BOTH: &[&str] = &["admin", "system:masters", "viewer"];

impl Scene {
    /// From minute to minute, and the groups; what has begun begins at 0.
    fn grants_with_groups(&self, person: Person) -> Vec<(i64, i64, Vec<String>)> {
        let minutes = |at: DateTime<Utc>| (at - self.zero).num_minutes();
        let grants = self.strongdm.grants_of(person.1, CLUSTER).into_iter();
        let told = grants.map(|grant| {
            let start = if grant.start <= self.now() { 0 } else { minutes(grant.start) };
            (start, minutes(grant.end.expect("an end")), grant.kubernetes_groups().into_iter().collect())
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        told
    }

    async fn groups_become(&self, person: Person, expected: &[(i64, i64, &[&str])]) {
        wait_until(&format!("{} has {expected:?}", person.1), async || {
            let told = self.grants_with_groups(person);
            told.len() == expected.len()
                && told.iter().zip(expected).all(|((start, end, groups), wanted)| {
                    (*start, *end) == (wanted.0, wanted.1) && groups.iter().eq(wanted.2)
                })
        })
        .await;
    }

    async fn looks_again(&self) {
        self.deliver(&self.about(V3_SCHEDULE)).await;
    }

    /// Asserts that two passes in a row write nothing.
    async fn is_at_rest(&self) {
        let before = self.writes();
        for _ in 0..2 {
            assert_eq!(self.sync().await.status, 200);
        }
        assert_eq!(self.writes(), before, "a pass that found nothing changed wrote");
    }
}

#[tokio::test]
async fn a_grant_carries_the_groups_of_its_rule_and_they_are_told_everywhere() {
    let scene = scene(SecondGrant::TakesAll).await;
    let [ana] = scene.strongdm.grants_of(ANA.1, CLUSTER).try_into().expect("one grant");
    assert_eq!(ana.access_rule, r#"{"privileges":{"k8s":{"groups":["viewer"]}}}"#);
    let [cem] = scene.strongdm.grants_of(CEM.1, CLUSTER).try_into().expect("one grant");
    assert_eq!(cem.access_rule, r#"{"privileges":{"k8s":{"groups":["admin","system:masters"]}}}"#, "sorted");

    let listed = scene.grants().await;
    let of = |id: &str| listed.iter().find(|grant| grant["id"] == id).expect("it is listed");
    assert_eq!(of(&cem.id)["kubernetes_groups"], json!(ADMIN));
    let audit = scene.audit().await;
    assert!(audit.iter().any(|entry| entry["grant"]["kubernetes_groups"] == json!(ADMIN)), "{audit:?}");
    let shown = stdout(&scene.run(&["audit"]).await);
    assert!(shown.contains("on prod-cluster in groups admin, system:masters from"), "{shown}");
    let why = stdout(&scene.run(&["explain", "--email", ANA.1, "--resource", CLUSTER]).await);
    assert!(why.contains("has access to prod-cluster in groups viewer by rule \"viewers\""), "{why}");
    assert!(why.contains("that gives access in groups viewer from"), "{why}");
    scene.page_says("prod-cluster in groups admin, system:masters").await;
    let dry = scene.sync_with(json!({"dry_run": true})).await;
    assert_eq!((dry.report().unchanged, dry.report().created.len()), (2, 0), "{}", dry.text);
}

#[tokio::test]
async fn without_groups_nothing_is_told_of_them() {
    let rules = [filter_rule("all", "tags:env=prod")];
    let scene = Scene::running(Config::with_rules(rules)).await;
    let [ana] = scene.strongdm.grants_of(ANA.1, CLUSTER).try_into().expect("one grant");
    assert_eq!(ana.access_rule, "{}");
    let listed = scene.get("/api/grants").await.text;
    assert!(listed.contains(CLUSTER) && !listed.contains("kubernetes_groups"), "{listed}");
}

#[tokio::test]
async fn windows_are_cut_where_the_union_changes_in_every_world() {
    join_all(WORLDS.map(async |second| {
        let scene = scene(second).await;
        scene.shifts(V3_SCHEDULE, &[(CEM, -60, 30), (ANA, 30, 60), (CEM, 60, 90), (ANA, 120, 180)]);
        scene.looks_again().await;
        let first: &[(i64, i64, &[&str])] = &[(0, 30, VIEWER)];
        let all = &[(0, 30, VIEWER), (30, 60, BOTH), (60, 120, VIEWER), (120, 180, ADMIN)];
        let taken: &[(i64, i64, &[&str])] = if second == SecondGrant::RefusesAny { first } else { all };
        scene.groups_become(ANA, taken).await;
        let report = scene.synced().await;
        let deferred = report.deferred.iter().filter(|grant| grant.email.as_str() == ANA.1);
        assert_eq!(deferred.count(), all.len() - taken.len(), "{second:?}: {report:?}");
        scene.is_at_rest().await;
    }))
    .await;
}

#[tokio::test]
async fn more_and_fewer_groups_replace_the_grant_in_every_world() {
    join_all(WORLDS.map(async |second| {
        let scene = scene(second).await;
        scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240), (ANA, -60, 120)]);
        scene.looks_again().await;
        scene.groups_become(ANA, &[(0, 120, BOTH)]).await;
        scene.is_at_rest().await;
        scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240)]);
        scene.looks_again().await;
        scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
        scene.is_at_rest().await;

        if second == SecondGrant::TakesAll {
            // When one goes, another is there already.
            let account = scene.strongdm.account_id(ANA.1);
            let mut all = scene.strongdm.all_grants();
            all.retain(|grant| Some(&grant.account_id) == account.as_ref());
            for gone in all.iter().filter_map(|grant| grant.deleted_at) {
                let is_there = all.iter().any(|other| {
                    other.created_at <= gone && other.deleted_at.is_none_or(|deleted| deleted > gone)
                });
                assert!(is_there, "a gap: {all:?}");
            }
        }
        let reasons: Vec<String> =
            scene.audit().await.iter().map(|entry| entry["reason"].to_string()).collect();
        for words in
            ["more Kubernetes groups are wanted", "carries Kubernetes groups that no rule wants any more"]
        {
            assert!(reasons.iter().any(|reason| reason.contains(words)), "{reasons:?}");
        }
    }))
    .await;
}

#[tokio::test]
async fn groups_stay_while_nobody_knows_who_should_have_them() {
    let scene = scene(SecondGrant::TakesAll).await;
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240), (ANA, -60, 120)]);
    scene.looks_again().await;
    scene.groups_become(ANA, &[(0, 120, BOTH)]).await;
    scene
        .pagerduty
        .faults()
        .add(Fault::on("GET /oncalls", Action::http(500, "{}")).containing(V3_SCHEDULE).until_cleared());
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240)]);
    for _ in 0..3 {
        assert_eq!(scene.sync().await.status, 502);
    }
    assert_eq!(
        scene.grants_with_groups(ANA),
        [(0, 120, BOTH.iter().map(|&group| group.to_owned()).collect())]
    );
    scene.pagerduty.faults().clear();
    scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
}

#[tokio::test]
async fn groups_that_strongdm_forgets_are_asked_for_again_while_access_goes_on() {
    join_all(WORLDS.map(async |second| {
        let mut scene = Scene::prepared(config()).await;
        scene.strongdm.configure(|settings| {
            (settings.second_grant, settings.stored_groups) = (second, StoredGroups::Dropped);
        });
        scene.shifts(SCHEDULE, &[(ANA, -60, 120)]);
        scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240)]);
        scene.start().await;
        scene.groups_become(ANA, &[(0, 120, &[])]).await;
        let told = scene.grants().await;
        assert!(told.iter().all(|grant| grant.get("kubernetes_groups").is_none()), "as stored: {told:?}");
        let report = scene.synced().await;
        assert_eq!(report.deferred.len(), 2, "{second:?}: {report:?}");
        wait_until("it is tried again", async || {
            assert!(
                scene.strongdm.has_access(ANA.1, CLUSTER, scene.now()) || second != SecondGrant::TakesAll
            );
            scene.writes().0 >= 4
        })
        .await;
        wait_until("one grant is enough", async || scene.strongdm.grants().len() == 2).await;
        scene.strongdm.configure(|settings| settings.stored_groups = StoredGroups::AsAsked);
        scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
        scene.groups_become(CEM, &[(0, 240, ADMIN)]).await;
        scene.is_at_rest().await;
    }))
    .await;
}

#[tokio::test]
async fn groups_that_nobody_asked_for_are_taken_back_at_once() {
    let mut scene = Scene::prepared(config()).await;
    scene.strongdm.configure(|settings| settings.stored_groups = StoredGroups::With("root".to_owned()));
    scene.shifts(V3_SCHEDULE, &[(CEM, -60, 240)]);
    scene.start().await;
    let answer = scene.sync().await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    let failed = answer.report().failed;
    let told = failed.iter().map(|it| it.error.to_string()).collect::<Vec<_>>();
    assert!(told.iter().any(|told| told.contains("in groups root, viewer instead of")), "{told:?}");
    assert_eq!(scene.strongdm.grants(), []);
    scene.strongdm.configure(|settings| settings.stored_groups = StoredGroups::AsAsked);
    scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
    scene.groups_become(BO, &[(120, 240, VIEWER)]).await;
}

#[tokio::test]
async fn groups_that_somebody_changed_are_put_right() {
    let scene = scene(SecondGrant::TakesAll).await;
    let id = scene.strongdm.grants_of(ANA.1, CLUSTER).remove(0).id;
    for groups in [r#"["root","viewer"]"#, "[]"] {
        let ids = scene.grant_ids();
        let rule = format!(r#"{{"privileges":{{"k8s":{{"groups":{groups}}}}}}}"#);
        let current = scene.strongdm.grants_of(ANA.1, CLUSTER).remove(0).id;
        assert!(scene.strongdm.edit_grant(&current, |grant| grant.access_rule = rule));
        wait_until("it is replaced", async || {
            scene.sync().await;
            scene.grant_ids() != ids
        })
        .await;
        scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
    }
    let audit = scene.audit().await;
    let altered =
        audit.iter().find(|entry| entry["action"] == "alter" && entry["grant"]["id"] == id.as_str());
    let reason = altered.expect("it is told")["reason"].to_string();
    assert!(
        reason.contains("in groups root, viewer instead of") && reason.contains("in groups viewer"),
        "{reason}"
    );
    scene.is_at_rest().await;
}

#[tokio::test]
async fn a_grant_with_groups_is_found_behind_a_lost_answer() {
    let mut scene = Scene::prepared(config()).await;
    let lost = Action::grpc(tonic::Code::Unavailable, "come again");
    scene.strongdm.faults().add(Fault::on(CREATE, lost).after_work());
    scene.start().await;
    scene.groups_become(ANA, &[(0, 120, VIEWER)]).await;
    let audit = scene.audit().await;
    assert!(
        audit
            .iter()
            .any(|entry| entry["action"] == "adopt" && entry["grant"]["kubernetes_groups"].is_array())
    );
    scene.is_at_rest().await;
}
