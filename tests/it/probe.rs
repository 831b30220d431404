//! `oncall-grants probe` in every world that the stand-in knows: what it finds, what the service makes of that, and that
//! nothing is left whatever happens.

use std::{
    process::{Child, Stdio},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::future::join_all;
use sandbox::{
    faults::{Action, Fault},
    strongdm::{PrivilegesNeed, SecondGrant, Settings, StoredEnd, StoredGroups, StoredStart},
    world::SCHEDULE,
};
use serde_json::{Value, json};

use crate::support::{
    ANA, BO, Config, DB, Database, Scene, command, exit_code, rule, stderr, stdout, wait_until,
};

const CREATE: &str = "AccountGrants.Create";
/// Nobody is on call for this.
const OTHER: &str = "staging-mysql";
const PROBE: [&str; 6] = ["probe", "--email", ANA.1, "--resource", OTHER, "--yes"];

impl Scene {
    /// What a probe finds, as JSON.
    async fn probed(&self, more: &[&str]) -> Value {
        let output = self.run(&[&PROBE[..], &["--format", "json"], more].concat()).await;
        assert_eq!(exit_code(&output), 0, "{}", stderr(&output));
        assert_eq!(self.strongdm.grants_of(ANA.1, OTHER), [], "everything is removed");
        serde_json::from_str(&stdout(&output)).expect("JSON")
    }

    /// The codes of the answers to creations so far.
    fn creations(&self) -> Vec<i32> {
        let calls = self.strongdm.calls().into_iter().filter(|call| call.method == CREATE);
        calls.filter_map(|call| call.code).collect()
    }

    /// A probe that is under way.
    fn begin_probe(&self) -> Child {
        let mut command = command(self.dir(), &PROBE);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the binary can be run")
    }
}

async fn scene_in(world: impl FnOnce(&mut Settings)) -> Scene {
    let scene = Scene::prepared(Config::default()).await;
    scene.strongdm.configure(world);
    scene
}

#[tokio::test]
async fn without_yes_it_only_says_what_it_would_do() {
    let scene = scene_in(|_| {}).await;
    let output = scene.run(&PROBE[..5]).await;
    assert_eq!(exit_code(&output), 2);
    assert!(stderr(&output).contains("none of which gives access within 300 days"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("for 60 seconds"));
    let output = scene.run(&[&PROBE[..5], &["--in-force"]].concat()).await;
    assert!(stderr(&output).contains("access to staging-mysql for 60 seconds"), "{}", stderr(&output));
    assert_eq!(scene.strongdm.calls().len(), 0, "strongDM is not asked");
    let output = scene.run(&["probe", "--email", "nobody", "--resource", OTHER, "--yes"]).await;
    assert_eq!(exit_code(&output), 2, "{}", stderr(&output));
}

#[tokio::test]
async fn each_way_with_second_grants_is_found_kept_and_used() {
    let (taken, refused) = (json!("taken"), json!("already_exists"));
    join_all(
        [
            (SecondGrant::TakesAll, [&taken, &taken, &taken, &taken], "any second grant is taken"),
            (SecondGrant::RefusesOverlapping, [&refused, &taken, &taken, &refused], "refused if it overlaps"),
            (
                SecondGrant::RefusesTouching,
                [&refused, &refused, &taken, &refused],
                "any second grant is refused",
            ),
            (
                SecondGrant::RefusesAny,
                [&refused, &refused, &refused, &refused],
                "any second grant is refused",
            ),
        ]
        .map(async |(second, expected, words)| {
            let mut scene = scene_in(|settings| settings.second_grant = second).await;
            let found = scene.probed(&[]).await;
            let told = ["overlapping", "touching", "apart", "same_again"].map(|question| &found[question]);
            assert_eq!(told, expected, "{second:?}: {found:#}");
            let checked = stdout(&scene.run(&["check"]).await);
            assert!(checked.contains(words) && checked.contains("probe"), "{second:?}: {checked}");

            // The service needs no refusal to know that.
            let before = scene.creations().len();
            scene.take_turns(4);
            scene.start().await;
            scene.synced().await;
            let since = &scene.creations()[before..];
            assert!(!since.is_empty() && since.iter().all(|code| *code == 0), "{second:?}: {since:?}");
        }),
    )
    .await;
}

#[tokio::test]
async fn what_real_writes_teach_wins() {
    let mut scene = scene_in(|_| {}).await;
    scene.probed(&[]).await;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesAny);
    scene.take_turns(4);
    scene.start().await;
    let report = scene.synced().await;
    assert_eq!(report.deferred.len(), 2, "{report:?}");
    let refused = || scene.creations().iter().filter(|code| **code != 0).count();
    let before = refused();
    scene.sync().await;
    assert_eq!(refused(), before, "it is not tried again");
}

#[tokio::test]
async fn privileges_windows_and_pages_are_told_as_they_are() {
    let found = async |world: fn(&mut Settings)| scene_in(world).await.probed(&[]).await;
    let as_it_is = found(|_| {}).await;
    assert_eq!(
        (&as_it_is["privileges"], &as_it_is["privileges_kept"]),
        (&json!("taken"), &json!("as_asked"))
    );
    assert_eq!(as_it_is["privileges_with_ids"], "not_asked");
    assert_eq!((&as_it_is["window"], &as_it_is["past_start"]), (&json!("as_asked"), &json!("not_asked")));
    assert_eq!(as_it_is["pages"][0], json!({"asked": 1000, "came": 0, "more": false, "answer": "taken"}));
    let clock = as_it_is["clock_ahead_seconds"].as_i64().expect("it is told");
    assert!((-5..=5).contains(&clock), "{clock}");
    let wrong_clock = found(|settings| settings.clock_ahead_secs = 600).await;
    let clock = wrong_clock["clock_ahead_seconds"].as_i64().expect("it is told");
    assert!((595..=605).contains(&clock), "{clock}");
    let ids = found(|settings| settings.privileges_need = PrivilegesNeed::Ids).await;
    assert_eq!(
        (&ids["privileges"], &ids["privileges_with_ids"]),
        (&json!("invalid_argument"), &json!("taken"))
    );
    let dropped = found(|settings| settings.stored_groups = StoredGroups::Dropped).await;
    assert_eq!(dropped["privileges_kept"], "changed");
    let shorter = found(|settings| settings.stored_end = StoredEnd::SecondsFromStart(60)).await;
    assert_eq!((&shorter["window"], &shorter["overlapping"]), (&json!("changed"), &json!("not_asked")));
    let at_once = found(|settings| settings.stored_start = StoredStart::Dropped).await;
    assert_eq!(at_once["window"], "changed");
    let pages = found(|settings| {
        (settings.max_page, settings.refuse_large_pages) = (100, true);
    })
    .await;
    let answers = pages["pages"].as_array().expect("a list").iter().map(|page| page["answer"].clone());
    assert_eq!(answers.collect::<Vec<_>>(), ["invalid_argument", "invalid_argument", "taken"]);
}

#[tokio::test]
async fn more_grants_than_a_page_holds_show_its_size() {
    let scene = scene_in(|settings| settings.max_page = 40).await;
    for minute in 0..50 {
        let start = scene.minute(minute);
        scene.strongdm.add_foreign_grant(BO.1, OTHER, start, Some(start + TimeDelta::days(1)));
    }
    let found = scene.probed(&[]).await;
    assert_eq!(found["pages"][0], json!({"asked": 1000, "came": 40, "more": true, "answer": "taken"}));
    assert_eq!(scene.strongdm.grants_of(BO.1, OTHER).len(), 50, "nobody else's is touched");
}

#[tokio::test]
async fn a_start_in_the_past_is_asked_for_only_where_that_is_said() {
    let found = async |world: fn(&mut Settings)| scene_in(world).await.probed(&["--in-force"]).await;
    let refused = async || found(|settings| settings.refuse_past_start = true).await;
    let longer = async || found(|settings| settings.stored_end = StoredEnd::Later(60)).await;
    let kept = async || found(|settings| settings.list_ended = true).await;
    let moved = async || found(|settings| settings.stored_start = StoredStart::NotInThePast).await;
    let (refused, longer, kept, moved) = tokio::join!(refused(), longer(), kept(), moved());
    assert_eq!((&refused["past_start"], &refused["lists_ended"]), (&json!("invalid_argument"), &Value::Null));
    assert_eq!((&longer["past_start_kept"], &longer["lists_ended"]), (&json!("changed"), &Value::Null));
    assert_eq!((&kept["past_start_kept"], &kept["lists_ended"]), (&json!("as_asked"), &json!(true)));
    assert_eq!((&moved["past_start_kept"], &moved["lists_ended"]), (&json!("moved_to_now"), &json!(false)));
}

#[tokio::test]
async fn no_pair_is_touched_for_which_there_is_a_grant() {
    let mut scene = Scene::running(Config::default()).await;
    scene.kill();
    let refused = async |email: &str, resource: &str, words: &str| {
        let output = scene.run(&["probe", "--email", email, "--resource", resource, "--yes"]).await;
        assert_eq!(exit_code(&output), 1, "{}", stdout(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    let (ids, made) = (scene.grant_ids(), scene.creations().len());
    refused(ANA.1, DB, "there is a grant for ana@example.com on prod-postgres").await;
    let foreign = scene.strongdm.add_foreign_grant(BO.1, OTHER, scene.minute(10), Some(scene.minute(20)));
    refused(BO.1, OTHER, "there is a grant").await;
    refused("nobody@example.com", OTHER, "no user account").await;
    refused(ANA.1, "no-such", "0 resources of the name").await;
    assert!(scene.strongdm.remove_grant(&foreign));
    assert_eq!((scene.grant_ids(), scene.creations().len()), (ids, made));
}

#[tokio::test]
async fn a_report_names_nobody_and_nothing() {
    let scene = scene_in(|settings| settings.privileges_need = PrivilegesNeed::Ids).await;
    let found = scene.probed(&[]).await.to_string();
    let mut secrets: Vec<String> = scene.config.secrets().into_iter().map(str::to_owned).collect();
    secrets.extend(scene.strongdm.all_grants().into_iter().map(|grant| grant.id));
    secrets
        .extend([scene.strongdm.account_id(ANA.1), scene.strongdm.resource_id(OTHER)].into_iter().flatten());
    secrets.extend([ANA.1, OTHER, "ana@"].map(str::to_owned));
    for secret in secrets {
        assert!(!found.contains(&secret), "{secret} in {found}");
    }
}

#[tokio::test]
async fn what_a_stopped_probe_made_is_removed_at_once() {
    let scene = scene_in(|_| {}).await;
    let slow = Action::delay(Duration::from_mins(1));
    scene.strongdm.faults().add(Fault::on(CREATE, slow).after_work());
    let mut probe = scene.begin_probe();
    wait_until("it has made a grant", async || !scene.strongdm.grants_of(ANA.1, OTHER).is_empty()).await;
    signal(&probe, "INT");
    wait_until("it ends", async || probe.try_wait().expect("a child can be asked").is_some()).await;
    assert_eq!(scene.strongdm.grants(), []);
    assert_eq!(probe.wait().expect("it ended").code(), Some(1));
}

#[tokio::test]
async fn what_a_killed_probe_made_is_removed_by_the_next_start_and_nothing_else() {
    let mut scene = scene_in(|_| {}).await;
    let slow = Action::delay(Duration::from_mins(1));
    scene.strongdm.faults().add(Fault::on(CREATE, slow).after_work());
    let mut probe = scene.begin_probe();
    wait_until("it has made a grant", async || !scene.strongdm.grants_of(ANA.1, OTHER).is_empty()).await;
    probe.kill().expect("it runs");
    probe.wait().expect("it ended");
    let left = scene.strongdm.grants_of(ANA.1, OTHER).remove(0);
    let theirs = scene.strongdm.add_foreign_grant(ANA.1, OTHER, left.start + TimeDelta::seconds(1), left.end);
    scene.start().await;
    wait_until("it is gone", async || {
        scene.strongdm.grants_of(ANA.1, OTHER).iter().map(|grant| &grant.id).eq([&theirs])
    })
    .await;
    assert_eq!(scene.grants().await.len(), 2, "it never was anybody's access");
}

#[tokio::test]
async fn what_a_killed_probe_made_is_in_nobodys_way_for_long_and_not_taken_for_somebody_elses() {
    let mut scene = Scene::prepared(Config::with_rules([rule("all", &[SCHEDULE], &[OTHER])])).await;
    scene.strongdm.configure(|settings| settings.second_grant = SecondGrant::RefusesAny);
    let slow = Action::delay(Duration::from_mins(1));
    scene.strongdm.faults().add(Fault::on(CREATE, slow).after_work());
    let mut probe = scene.begin_probe();
    wait_until("it has made a grant", async || !scene.strongdm.grants_of(ANA.1, OTHER).is_empty()).await;
    probe.kill().expect("it runs");
    probe.wait().expect("it ended");
    let down = Action::grpc(tonic::Code::PermissionDenied, "not now");
    scene.strongdm.faults().add(Fault::on("AccountGrants.Delete", down).until_cleared());
    scene.start().await;
    wait_until("Ana's grant is refused", async || scene.creations().contains(&6)).await;
    scene.sync().await;
    let foreign: i64 = sqlx::query_scalar("SELECT count(*) FROM foreign_grants")
        .fetch_one(&mut scene.open_store().await)
        .await
        .expect("a number");
    assert_eq!(foreign, 0, "it is no grant of somebody else");
    let left = scene.strongdm.grants_of(ANA.1, OTHER).remove(0).id;
    scene.strongdm.faults().clear();
    wait_until("what the probe left is gone", async || !scene.grant_ids().contains(&left)).await;
    scene.access_becomes(ANA, OTHER, &[(0, 120)]).await;
}

#[tokio::test]
async fn beside_a_service_with_a_file_it_says_why_not() {
    let scene = Scene::running(Config::default()).await;
    let output = scene.run(&PROBE).await;
    assert_eq!(exit_code(&output), 1);
    assert!(stderr(&output).contains("stop the service for the minute"), "{}", stderr(&output));
    assert!(scene.strongdm.grants_of(ANA.1, OTHER).is_empty());
}

fn signal(child: &Child, name: &str) {
    let kill = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(kill.expect("kill can be run").success());
}

#[tokio::test]
async fn beside_a_service_on_a_database_it_works_and_no_two_run_at_once() {
    let database = Database::create().await;
    let config = Config { store: database.url.to_string(), ..Config::default() };
    let mut scene = Scene::prepared(config).await;
    scene.start().await;
    let ids = scene.grant_ids();
    let (one, other) = tokio::join!(scene.run(&PROBE), scene.run(&PROBE));
    let mut codes = [exit_code(&one), exit_code(&other)];
    codes.sort_unstable();
    assert!(codes == [0, 1] || codes == [0, 0], "{}{}", stderr(&one), stderr(&other));
    assert_eq!(scene.grant_ids(), ids);
    let report = scene.synced().await;
    assert_eq!((report.created.len(), report.revoked.len(), report.unchanged), (0, 0, 2), "{report:?}");
}
