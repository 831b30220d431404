//! `webhook ping` and what it hears from the running service, whether that speaks TLS, lacks the secret or its store.

use std::fs;

use sandbox::{
    pagerduty::{Event, sign},
    world,
};

use crate::support::{Config, Database, Proxy, Scene, err, free_port, out, wait_until};

#[tokio::test]
async fn the_running_service_is_asked_whether_the_signed_ping_arrived() {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let made = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", out(&made), err(&made));
    assert!(out(&made).contains("has received its signed ping"), "{}", out(&made));
    let twice = scene.webhook(&["create"]).await;
    assert_eq!(twice.status.code(), Some(1));
    assert!(err(&twice).contains("webhook rotate"), "{}", err(&twice));

    let pinged = scene.webhook(&["ping"]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", out(&pinged));
    // The old secret still counts.
    scene.deliver(&scene.about(world::SCHEDULE)).await;
}

#[tokio::test]
async fn a_ping_says_what_is_known_and_its_exit_code_too() {
    let mut scene = Scene::with_secrets_file().await;
    let subscribed = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(subscribed.status.code(), Some(0), "it is made: {}", err(&subscribed));
    assert!(out(&subscribed).contains("is not known"), "{}", out(&subscribed));
    let id = scene.subscription_ids().remove(0);
    let unknown = scene.webhook(&["ping"]).await;
    assert_eq!(unknown.status.code(), Some(1), "it is not known to work");
    assert!(out(&unknown).contains("no running service of this configuration"), "{}", out(&unknown));

    let on = scene.webhook(&["enable"]).await;
    assert_eq!(
        (on.status.code(), out(&on).trim()),
        (Some(0), format!("{id} is on, and was not off").as_str())
    );

    // The service does not know the secret of the subscription.
    fs::write(scene.dir().join("secrets"), "another secret\n").expect("a writable directory");
    scene.start().await;
    scene.subscription_becomes("active").await;
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
    let off = scene.webhook(&["ping"]).await;
    assert_eq!(off.status.code(), Some(1));
    assert!(out(&off).contains(&format!("{id} is switched off")), "{}", out(&off));
    assert!(out(&off).contains(&format!("webhook enable {id}")), "{}", out(&off));
    let enabled = scene.webhook(&["enable"]).await;
    assert_eq!(enabled.status.code(), Some(0));
    assert!(out(&enabled).contains("what happened while it was off"), "{}", out(&enabled));
    assert!(!scene.pagerduty.subscriptions()[0].disabled(scene.now()));
}

#[tokio::test]
async fn a_service_without_a_secret_is_told_as_such_when_a_ping_does_not_arrive() {
    let mut scene = Scene::reachable(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    scene.webhook(&["create", "--secret-file", "lost"]).await;
    scene.start().await;
    scene.subscription_becomes("active").await;
    let pinged = scene.webhook(&["ping"]).await;
    assert_eq!(pinged.status.code(), Some(1));
    assert!(out(&pinged).contains("no webhook secret is configured"), "{}", out(&pinged));
    scene.logged(1, "answered a webhook 503, for no webhook secret").await;
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
    let port = free_port();
    let text = scene.config.text(&scene.pagerduty.url(), &scene.strongdm.url());
    let with = |name: &str| {
        let tls = format!("127.0.0.1:{port}\"\ntls_cert = \"{name}.pem\"\ntls_key = \"{name}.key");
        text.replace("127.0.0.1:0", &tls)
    };
    fs::write(scene.dir().join("other.toml"), with("other")).expect("a writable directory");
    scene.write_config(&with("own"));
    scene.webhook(&["create", "--url", "http://127.0.0.1:9", "--secret-file", "unused"]).await;
    let id = scene.subscription_ids().remove(0);
    scene.launch().await;

    let refused = scene.webhook(&["ping", &id, "--config", "other.toml"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).contains("no running service of this configuration"), "{}", out(&refused));

    let own = fs::read(scene.dir().join("own.pem")).expect("a certificate");
    let own = reqwest::Certificate::from_pem(&own).expect("a certificate");
    let http = reqwest::Client::builder()
        .tls_certs_only([own])
        .resolve("grants.example.com", ([127, 0, 0, 1], port).into())
        .no_proxy()
        .build()
        .expect("a client");
    let asked = || scene.pagerduty.requests().iter().filter(|one| one.path.ends_with("/ping")).count();
    let before = asked();
    let arrives = async {
        wait_until("PagerDuty is asked for a ping", async || (asked() > before).then_some(())).await;
        let body = Event::ping(scene.now()).body();
        let signature = sign(world::WEBHOOK_SECRET, &body);
        let request = http.post(format!("https://grants.example.com:{port}/webhooks/pagerduty")).body(body);
        let request =
            request.header("X-PagerDuty-Signature", signature).header("X-Webhook-Subscription", &id);
        assert_eq!(request.send().await.expect("an answer").status(), 202);
    };
    let (pinged, ()) = futures_util::future::join(scene.webhook(&["ping", &id]), arrives).await;
    assert_eq!(pinged.status.code(), Some(0), "{}{}", out(&pinged), err(&pinged));
    assert!(out(&pinged).contains("has received its signed ping"), "{}", out(&pinged));
}

#[tokio::test]
async fn a_service_whose_store_is_down_is_not_taken_for_none() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::to_database(&database.url).await;
    let mut scene = Scene::reachable(Config { store: url.to_string(), ..Config::default() }).await;
    scene.webhook(&["create", "--secret-file", "unused"]).await;
    scene.webhook(&["rotate", "--secret-file", "another"]).await;
    let both = scene.subscription_ids();
    scene.start().await;
    scene.subscription_becomes("active").await;
    for disturb in [Proxy::close, Proxy::mute] {
        disturb(&proxy);
        wait_until("the store is missed", async || (scene.get("/readyz").await.status == 503).then_some(()))
            .await;
        let down = "runs, but its store does not answer";
        let pinged = scene.webhook(&["ping", &both[1]]).await;
        assert_eq!(pinged.status.code(), Some(1));
        assert!(out(&pinged).contains(down), "{}", out(&pinged));
        let unknown = scene.webhook(&["rotate", "--finish", &both[0]]).await;
        assert_eq!(unknown.status.code(), Some(1));
        assert!(err(&unknown).contains(down), "{}", err(&unknown));
        assert_eq!(scene.subscription_ids(), both);
        proxy.open();
    }
}
