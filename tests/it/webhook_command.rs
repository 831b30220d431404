//! `oncall-grants webhook`, and the service that watches its subscription.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Output};

use sandbox::{
    pagerduty::{Event, Scope, sign},
    world,
};
use serde_json::Value;

use crate::support::{Config, Database, Proxy, Scene, wait_until};

/// Says that PagerDuty reaches the service at a free port of this machine.
fn with_public_url(scene: &Scene, change: impl FnOnce(String) -> String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    let listen = format!("listen = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"");
    scene.write_config(&change(text.replace(r#"listen = "127.0.0.1:0""#, &listen)));
}

/// A scene whose configuration says where PagerDuty reaches the service.
pub(crate) async fn reachable(config: Config) -> Scene {
    let scene = Scene::set(config).await;
    with_public_url(&scene, |text| text);
    scene
}

/// The same with the webhook secrets in the file `secrets`.
async fn with_secrets_file() -> Scene {
    let scene = Scene::set(Config::default()).await;
    let secret = world::WEBHOOK_SECRET;
    let inline = format!("webhook_secrets = [{secret:?}]");
    with_public_url(&scene, |text| text.replace(&inline, r#"webhook_secrets_file = "secrets""#));
    fs::write(scene.dir().join("secrets"), format!("{secret}\n")).expect("a writable directory");
    scene
}

async fn webhook(scene: &Scene, arguments: &[&str]) -> Output {
    let all: Vec<&str> = ["webhook"].iter().chain(arguments).copied().collect();
    scene.run(&all).await
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ids(scene: &Scene) -> Vec<String> {
    scene.pagerduty.subscriptions().into_iter().map(|one| one.id).collect()
}

/// Changes a subscription as its owner does in PagerDuty.
pub(crate) async fn change(scene: &Scene, id: &str, change: Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/webhook_subscriptions/{id}", scene.pagerduty.url());
    let request = client.put(url).header("Authorization", format!("Token token={}", world::TOKEN));
    let answer = request.json(&serde_json::json!({"webhook_subscription": change})).send().await;
    assert!(answer.expect("an answer").status().is_success());
}

/// Lets a service that was started look at its subscription, so that no two processes ask at once.
pub(crate) async fn watched(scene: &Scene, state: &str) {
    let line = format!(r#"oncall_grants_subscription_state{{state="{state}"}} 1"#);
    let what = format!("the subscription is seen as {state}");
    wait_until(&what, async || scene.get("/metrics").await.text.contains(&line).then_some(())).await;
}

#[tokio::test]
async fn the_secret_goes_into_a_new_file_of_its_owner_alone() {
    let scene = reachable(Config::default()).await;
    let made = webhook(&scene, &["create", "--secret-file", "fresh"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let subscription = scene.pagerduty.subscriptions().remove(0);
    assert!(subscription.endpoint.url.ends_with("/webhooks/pagerduty"));
    let secret = &subscription.endpoint.secrets[0];
    let file = scene.dir().join("fresh");
    assert_eq!(fs::read_to_string(&file).expect("a file"), format!("{secret}\n"));
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(!out(&made).contains(secret) && !err(&made).contains(secret));
    assert!(out(&made).contains("webhook_secrets_file"), "{}", out(&made));
    assert!(scene.pagerduty.deliveries().is_empty(), "no ping that nobody could accept");

    webhook(&scene, &["delete"]).await;
    let again = webhook(&scene, &["create", "--secret-file", "fresh"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("not overwritten"), "{}", err(&again));
    assert!(ids(&scene).is_empty(), "nothing was made that nobody could use");
}

#[tokio::test]
async fn without_a_file_standard_output_carries_the_secret_and_nothing_else() {
    let scene = Scene::set(Config::default()).await;
    let url = "https://grants.example.com";
    let arguments = ["create", "--url", url, "--filter", "service:PSPAY01", "--event", "incident.triggered"];
    let made = webhook(&scene, &arguments).await;
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let subscription = scene.pagerduty.subscriptions().remove(0);
    assert_eq!(out(&made).trim_end(), subscription.endpoint.secrets[0]);
    assert_eq!(subscription.endpoint.url, format!("{url}/webhooks/pagerduty"));
    assert_eq!(subscription.scope, Scope::Service("PSPAY01".into()));
    assert_eq!(subscription.events, ["incident.triggered"]);

    let missing = webhook(&scene, &["create"]).await;
    assert_eq!(missing.status.code(), Some(2));
    assert!(err(&missing).contains("--url"), "{}", err(&missing));
}

#[tokio::test]
async fn the_running_service_is_asked_whether_the_signed_ping_arrived() {
    let mut scene = with_secrets_file().await;
    scene.start().await;
    watched(&scene, "missing").await;
    let made = webhook(&scene, &["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", out(&made), err(&made));
    assert!(out(&made).contains("has received its signed ping"), "{}", out(&made));
    let twice = webhook(&scene, &["create"]).await;
    assert_eq!(twice.status.code(), Some(1));
    assert!(err(&twice).contains("webhook rotate"), "{}", err(&twice));

    let pinged = webhook(&scene, &["ping"]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", out(&pinged));
    // The old secret still counts.
    scene.deliver(&scene.about(world::SCHEDULE)).await;
}

/// A fresh deployment names the file that `create` is going to make.
#[tokio::test]
async fn the_first_secret_needs_no_file_before_it_and_no_restart_after_it() {
    for empty in [false, true] {
        let mut scene = with_secrets_file().await;
        let file = scene.dir().join("secrets");
        fs::remove_file(&file).expect("it is there");
        if empty {
            fs::write(&file, "").expect("a writable directory");
        }
        scene.start().await;
        watched(&scene, "missing").await;
        let said = "the file that pagerduty.webhook_secrets_file names is not there or empty";
        assert!(scene.messages().iter().any(|line| line.starts_with(said)), "{:#?}", scene.messages());
        scene.post_webhook("{}", [("X-PagerDuty-Signature", "v1=00")]).await.assert_error(503, "unavailable");
        let logged = |line: &String| line.starts_with("answered a webhook 503, for no webhook secret");
        assert_eq!(scene.messages().iter().filter(|line| logged(line)).count(), 1);

        let made = webhook(&scene, &["create", "--secret-file", "secrets"]).await;
        assert_eq!(made.status.code(), Some(0), "{}{}", out(&made), err(&made));
        assert!(out(&made).contains("has received its signed ping"), "{}", out(&made));
        let event = Event::incident("incident.triggered", scene.now(), world::POLICY, world::SERVICE);
        assert_eq!(scene.pagerduty.emit(&event), 1);
        wait_until("the event arrives", async || {
            let events = scene.events().await;
            events.iter().any(|one| one["event_id"] == event.id.as_str()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn only_the_route_of_the_service_is_subscribed_and_plain_http_is_warned_of() {
    let scene = Scene::set(Config::default()).await;
    let refused = webhook(&scene, &["create", "--url", "https://grants.example.com/foo"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("/webhooks/pagerduty"), "{}", err(&refused));
    assert!(ids(&scene).is_empty());
    let made =
        webhook(&scene, &["create", "--url", "http://grants.example.com", "--secret-file", "one"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    assert!(err(&made).contains("plain http"), "{}", err(&made));
    let made = webhook(&scene, &["create", "--url", "http://127.0.0.1:1", "--secret-file", "two"]).await;
    assert!(!err(&made).contains("plain http"), "{}", err(&made));
}

#[tokio::test]
async fn a_ping_says_what_is_known_and_its_exit_code_too() {
    let mut scene = with_secrets_file().await;
    let subscribed = webhook(&scene, &["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(subscribed.status.code(), Some(0), "it is made: {}", err(&subscribed));
    assert!(out(&subscribed).contains("is not known"), "{}", out(&subscribed));
    let id = ids(&scene).remove(0);
    let unknown = webhook(&scene, &["ping"]).await;
    assert_eq!(unknown.status.code(), Some(1), "it is not known to work");
    assert!(out(&unknown).contains("no running service of this configuration"), "{}", out(&unknown));

    let on = webhook(&scene, &["enable"]).await;
    assert_eq!(
        (on.status.code(), out(&on).trim()),
        (Some(0), format!("{id} is on, and was not off").as_str())
    );

    // The service does not know the secret of the subscription.
    fs::write(scene.dir().join("secrets"), "another secret\n").expect("a writable directory");
    scene.start().await;
    watched(&scene, "active").await;
    for _ in 0..3 {
        scene.pagerduty.emit(&Event::incident(
            "incident.triggered",
            scene.now(),
            world::POLICY,
            world::SERVICE,
        ));
    }
    wait_until("PagerDuty switches it off", async || {
        scene.pagerduty.subscriptions()[0].disabled(scene.now()).then_some(())
    })
    .await;
    let off = webhook(&scene, &["ping"]).await;
    assert_eq!(off.status.code(), Some(1));
    assert!(out(&off).contains(&format!("{id} is switched off")), "{}", out(&off));
    assert!(out(&off).contains(&format!("webhook enable {id}")), "{}", out(&off));
    let enabled = webhook(&scene, &["enable"]).await;
    assert_eq!(enabled.status.code(), Some(0));
    assert!(out(&enabled).contains("what happened while it was off"), "{}", out(&enabled));
    assert!(!scene.pagerduty.subscriptions()[0].disabled(scene.now()));
}

#[tokio::test]
async fn a_service_without_a_secret_is_told_as_such_when_a_ping_does_not_arrive() {
    let mut scene = reachable(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    webhook(&scene, &["create", "--secret-file", "lost"]).await;
    scene.start().await;
    watched(&scene, "active").await;
    let pinged = webhook(&scene, &["ping"]).await;
    assert_eq!(pinged.status.code(), Some(1));
    assert!(out(&pinged).contains("no webhook secret is configured"), "{}", out(&pinged));
    let logged = |line: &String| line.starts_with("answered a webhook 503, for no webhook secret");
    assert!(scene.messages().iter().any(logged), "{:#?}", scene.messages());
}

/// The admin token goes only to the holder of the key that belongs to the configured certificate.
#[tokio::test]
async fn a_service_with_tls_is_asked_as_well_and_nobody_else_gets_the_token() {
    let mut scene = Scene::set(Config::default()).await;
    let identity = |name: &str| {
        let made =
            rcgen::generate_simple_self_signed(["grants.example.com".to_owned()]).expect("a certificate");
        fs::write(scene.dir().join(format!("{name}.pem")), made.cert.pem()).expect("a writable directory");
        let key = made.signing_key.serialize_pem();
        fs::write(scene.dir().join(format!("{name}.key")), key).expect("a writable directory");
    };
    identity("own");
    identity("other");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    let with = |name: &str| {
        let tls = format!("127.0.0.1:{port}\"\ntls_cert = \"{name}.pem\"\ntls_key = \"{name}.key");
        text.replace("127.0.0.1:0", &tls)
    };
    fs::write(scene.dir().join("other.toml"), with("other")).expect("a writable directory");
    scene.write_config(&with("own"));
    webhook(&scene, &["create", "--url", "http://127.0.0.1:9", "--secret-file", "unused"]).await;
    let id = ids(&scene).remove(0);
    scene.launch().await;

    let refused = webhook(&scene, &["ping", &id, "--config", "other.toml"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).contains("no running service of this configuration"), "{}", out(&refused));

    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(oncall_grants::tls::any_server_config())
        .http1_only()
        .no_proxy()
        .build()
        .expect("a client");
    let asked = || scene.pagerduty.requests().iter().filter(|one| one.path.ends_with("/ping")).count();
    let before = asked();
    let arrives = async {
        wait_until("PagerDuty is asked for a ping", async || (asked() > before).then_some(())).await;
        let body = Event::ping(scene.now()).body();
        let signature = sign(world::WEBHOOK_SECRET, &body);
        let request = http.post(format!("{}/webhooks/pagerduty", scene.url())).body(body);
        let request =
            request.header("X-PagerDuty-Signature", signature).header("X-Webhook-Subscription", &id);
        assert_eq!(request.send().await.expect("an answer").status(), 202);
    };
    let (pinged, ()) = futures_util::future::join(webhook(&scene, &["ping", &id]), arrives).await;
    assert_eq!(pinged.status.code(), Some(0), "{}{}", out(&pinged), err(&pinged));
    assert!(out(&pinged).contains("has received its signed ping"), "{}", out(&pinged));
}

#[tokio::test]
async fn a_rotation_leaves_no_gap_and_one_subscription() {
    let mut scene = with_secrets_file().await;
    scene.start().await;
    watched(&scene, "missing").await;
    let arguments = ["create", "--secret-file", "secrets", "--append", "--filter", "service:PSPAY01"];
    webhook(&scene, &arguments).await;
    let old = ids(&scene);
    let rotated = webhook(&scene, &["rotate"]).await;
    assert_eq!(rotated.status.code(), Some(0), "{}{}", out(&rotated), err(&rotated));
    let new = scene.pagerduty.subscriptions();
    assert_eq!(new.len(), 1);
    assert_ne!(new[0].id, old[0]);
    assert_eq!(new[0].scope, Scope::Service("PSPAY01".into()), "it is like the old one");
    let secrets = fs::read_to_string(scene.dir().join("secrets")).expect("a file");
    assert_eq!(secrets.lines().count(), 3);
    assert!(out(&rotated).contains("line 2 of secrets, the one before the new one"), "{}", out(&rotated));
    let event = Event::incident("incident.triggered", scene.now(), world::POLICY, world::SERVICE);
    assert_eq!(scene.pagerduty.emit(&event), 1);
    wait_until("the event arrives", async || {
        let events = scene.events().await;
        events.iter().any(|one| one["event_id"] == event.id.as_str()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_running_service_a_rotation_is_finished_by_hand() {
    let scene = reachable(Config::default()).await;
    webhook(&scene, &["create", "--secret-file", "one"]).await;
    let old = ids(&scene).remove(0);
    let early = webhook(&scene, &["rotate", "--finish", &old]).await;
    assert_eq!(early.status.code(), Some(1));
    assert!(err(&early).contains("no other subscription"), "{}", err(&early));

    let rotated = webhook(&scene, &["rotate", "--secret-file", "two"]).await;
    assert_eq!(rotated.status.code(), Some(1), "it is not finished");
    assert!(out(&rotated).contains(&format!("rotate --finish {old}")), "{}", out(&rotated));
    assert_eq!(ids(&scene).len(), 2);
    for command in ["delete", "ping", "enable", "rotate"] {
        let refused = webhook(&scene, &[command]).await;
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(err(&refused).contains("name the ID"), "{}", err(&refused));
    }
    let unknown = webhook(&scene, &["rotate", "--finish", &old]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("--force"), "{}", err(&unknown));
    assert_eq!(ids(&scene).len(), 2);
    let finished = webhook(&scene, &["rotate", "--finish", &old, "--force"]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert!(!ids(&scene).contains(&old) && ids(&scene).len() == 1);
}

/// A rotation whose new secret went to a file that nobody reads: the running service, the old ID and the new one.
async fn half_rotated() -> (Scene, String, String) {
    let mut scene = with_secrets_file().await;
    scene.start().await;
    watched(&scene, "missing").await;
    let made = webhook(&scene, &["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", out(&made), err(&made));
    let old = ids(&scene).remove(0);
    let rotated = webhook(&scene, &["rotate", "--secret-file", "other"]).await;
    assert_eq!(rotated.status.code(), Some(1), "{}", err(&rotated));
    let new = ids(&scene).into_iter().find(|id| *id != old).expect("a second one");
    (scene, old, new)
}

#[tokio::test]
async fn a_subscription_stays_until_the_service_has_heard_of_the_one_that_replaces_it() {
    let (mut scene, old, new) = half_rotated().await;
    let refused = async |why: &str| {
        let early = webhook(&scene, &["rotate", "--finish", &old]).await;
        assert_eq!(early.status.code(), Some(1), "{}", out(&early));
        assert!(err(&early).contains(why) && err(&early).contains(&new), "{}", err(&early));
        assert_eq!(ids(&scene).len(), 2);
    };
    refused("webhook ping").await;
    change(&scene, &new, serde_json::json!({"active": false})).await;
    refused("switched off").await;
    change(&scene, &new, serde_json::json!({"active": true})).await;

    let mut secrets = fs::read_to_string(scene.dir().join("secrets")).expect("a file");
    secrets += &fs::read_to_string(scene.dir().join("other")).expect("a file");
    fs::write(scene.dir().join("secrets"), secrets).expect("a writable directory");
    let pinged = webhook(&scene, &["ping", &new]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", out(&pinged));
    change(&scene, &new, serde_json::json!({"active": false})).await;
    refused("switched off").await;
    change(&scene, &new, serde_json::json!({"active": true})).await;
    // What it has heard of is in its store.
    scene.kill();
    let finished = webhook(&scene, &["rotate", "--finish", &old]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert_eq!(ids(&scene), [new]);
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_says_how_it_ends_and_may_end_with_the_old_one() {
    let (scene, old, new) = half_rotated().await;
    let again = webhook(&scene, &["rotate"]).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("rotate --finish ID"), "{}", err(&again));
    let finished = webhook(&scene, &["rotate", "--finish", &new]).await;
    assert_eq!(finished.status.code(), Some(0), "{}", err(&finished));
    assert!(out(&finished).contains(&format!("{old} delivers in its place")), "{}", out(&finished));
    assert_eq!(ids(&scene), [old]);
}

#[tokio::test]
async fn a_secret_that_went_elsewhere_belongs_into_the_file_that_the_service_reads() {
    let scene = with_secrets_file().await;
    let made = webhook(&scene, &["create"]).await;
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    for told in [err(&made), out(&webhook(&scene, &["rotate", "--secret-file", "other"]).await)] {
        assert!(told.contains("another line to secrets") && told.contains("without a restart"), "{told}");
        assert!(!told.contains("set webhook_secrets_file"), "{told}");
    }
}

#[tokio::test]
async fn a_service_whose_store_is_down_is_not_taken_for_none() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::to_database(&database.url).await;
    let mut scene = reachable(Config { store: url.to_string(), ..Config::default() }).await;
    webhook(&scene, &["create", "--secret-file", "unused"]).await;
    webhook(&scene, &["rotate", "--secret-file", "another"]).await;
    let both = ids(&scene);
    scene.start().await;
    watched(&scene, "active").await;
    for disturb in [Proxy::close, Proxy::mute] {
        disturb(&proxy);
        wait_until("the store is missed", async || (scene.get("/readyz").await.status == 503).then_some(()))
            .await;
        let down = "runs, but its store does not answer";
        let pinged = webhook(&scene, &["ping", &both[1]]).await;
        assert_eq!(pinged.status.code(), Some(1));
        assert!(out(&pinged).contains(down), "{}", out(&pinged));
        let unknown = webhook(&scene, &["rotate", "--finish", &both[0]]).await;
        assert_eq!(unknown.status.code(), Some(1));
        assert!(err(&unknown).contains(down), "{}", err(&unknown));
        assert_eq!(ids(&scene), both);
        proxy.open();
    }
}

#[tokio::test]
async fn the_list_marks_ours_and_never_shows_a_secret() {
    let scene = reachable(Config::default()).await;
    assert_eq!(out(&webhook(&scene, &["list"]).await).trim(), "there is no webhook subscription");
    webhook(&scene, &["create", "--secret-file", "one"]).await;
    webhook(&scene, &["create", "--secret-file", "two", "--url", "https://other.example.com"]).await;
    let text = out(&webhook(&scene, &["list"]).await);
    let ours: Vec<&str> = text.lines().filter(|line| line.starts_with('*')).collect();
    assert_eq!(ours.len(), 1, "{text}");
    assert!(ours[0].contains("active") && ours[0].contains("account"), "{text}");
    let list: Value =
        serde_json::from_str(&out(&webhook(&scene, &["list", "--format", "json"]).await)).expect("JSON");
    assert_eq!(list.as_array().expect("a list").len(), 2);
    assert_eq!(list[0]["ours"], true);
    for subscription in scene.pagerduty.subscriptions() {
        assert!(!list.to_string().contains(&subscription.endpoint.secrets[0]));
    }
    assert_eq!(webhook(&scene, &["delete"]).await.status.code(), Some(0));
    assert_eq!(ids(&scene).len(), 1);
    let other = ids(&scene).remove(0);
    let refused = webhook(&scene, &["delete", &other]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("https://other.example.com/webhooks/pagerduty"), "{}", err(&refused));
    assert_eq!(ids(&scene).len(), 1, "it may be somebody else's");
    assert_eq!(webhook(&scene, &["delete", &other, "--force"]).await.status.code(), Some(0));
    assert!(ids(&scene).is_empty());
    assert_eq!(webhook(&scene, &["delete", "PNOSUCH"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn what_pagerduty_refuses_is_told_with_what_to_do() {
    let scene = reachable(Config::default()).await;
    for number in 0..10 {
        let url = format!("https://other{number}.example.com");
        assert!(webhook(&scene, &["create", "--url", &url]).await.status.success());
    }
    let eleventh = webhook(&scene, &["create", "--secret-file", "fresh"]).await;
    assert_eq!(eleventh.status.code(), Some(1));
    assert!(err(&eleventh).contains("ten subscriptions"), "{}", err(&eleventh));
    assert!(!scene.dir().join("fresh").exists(), "no empty file stays");

    scene.pagerduty.configure(|settings| settings.tokens[0].read_only = true);
    let forbidden = webhook(&scene, &["delete", &ids(&scene)[0], "--force"]).await;
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(err(&forbidden).contains("not read-only"), "{}", err(&forbidden));
    assert!(webhook(&scene, &["list"]).await.status.success(), "a read-only key may look");

    let denied = "/webhook_subscriptions".to_owned();
    scene.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(denied));
    let forbidden = webhook(&scene, &["list"]).await;
    assert_eq!(forbidden.status.code(), Some(1));
    assert!(err(&forbidden).contains("read-only is enough"), "{}", err(&forbidden));
    let checked = scene.run(&["check"]).await;
    assert!(out(&checked).contains("read-only is enough"), "{}", out(&checked));
}

#[tokio::test]
async fn a_wrong_secret_is_named_as_such() {
    let mut scene = reachable(Config::default()).await;
    webhook(&scene, &["create", "--secret-file", "unused"]).await;
    let id = ids(&scene).remove(0);
    scene.start().await;
    watched(&scene, "active").await;
    let forged =
        scene.post_webhook("{}", [("X-PagerDuty-Signature", "v1=00"), ("X-Webhook-Subscription", &id)]).await;
    forged.assert_error(401, "bad_signature");
    let named = format!("our webhook subscription {id} signs with a secret that is not configured");
    wait_until("it is logged", async || {
        scene.messages().iter().any(|line| line.starts_with(&named)).then_some(())
    })
    .await;
    let counted = async || {
        let metrics = scene.get("/metrics").await.text;
        let count =
            metrics.lines().find_map(|line| line.strip_prefix("oncall_grants_webhooks_wrong_secret_total "));
        count.and_then(|count| count.parse::<u32>().ok()).expect("a count")
    };
    let count = counted().await;
    assert_eq!(count, 1);
    let stranger = scene.post_webhook("{}", [("X-PagerDuty-Signature", "v1=00")]).await;
    stranger.assert_error(401, "bad_signature");
    assert_eq!(counted().await, count);
}

#[tokio::test]
async fn a_subscription_that_was_switched_off_is_switched_on_and_everything_is_looked_at() {
    let mut scene = reachable(Config::default()).await;
    webhook(&scene, &["create", "--secret-file", "unused"]).await;
    scene.start().await;
    watched(&scene, "active").await;
    // The service does not know its secret.
    for _ in 0..3 {
        scene.pagerduty.emit(&Event::incident(
            "incident.triggered",
            scene.now(),
            world::POLICY,
            world::SERVICE,
        ));
    }
    let off = || scene.pagerduty.subscriptions()[0].disabled(scene.now());
    wait_until("PagerDuty switches it off", async || off().then_some(())).await;
    scene.kill();
    scene.start().await;
    watched(&scene, "active").await;
    assert!(!scene.pagerduty.subscriptions()[0].disabled(scene.now()));
    let metrics = scene.get("/metrics").await.text;
    assert!(metrics.contains("oncall_grants_subscription_enabled_total 1"), "{metrics}");
    assert!(metrics.contains(r#"oncall_grants_passes_total{trigger="subscription",result="complete"} 1"#));
    let said = |line: &String| line.contains("had switched the webhook subscription");
    assert_eq!(scene.messages().iter().filter(|line| said(line)).count(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_look_is_told_once_and_nothing_else_suffers() {
    let mut scene = reachable(Config::default()).await;
    let denied = "/webhook_subscriptions".to_owned();
    scene.pagerduty.configure(|settings| _ = settings.tokens[0].denied.insert(denied));
    scene.start().await;
    watched(&scene, "forbidden").await;
    let told = |line: &String| line.contains("may not read webhook subscriptions");
    assert_eq!(scene.messages().iter().filter(|line| told(line)).count(), 1);
    scene.synced().await;
}
