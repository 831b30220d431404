//! `webhook ping` and what it hears from the running service, whether that speaks TLS, lacks the secret or its store.

use rustls::version::TLS13;
use sandbox::{
    pagerduty::{Event, sign},
    world,
};

use crate::support::{
    Authority, Config, Database, Proxy, SIGNATURE, Scene, answer, client_builder, free_port, stderr, stdout,
    wait_until,
};

#[tokio::test]
async fn the_running_service_is_asked_whether_the_signed_ping_arrived() {
    let mut scene = Scene::with_secrets_file().await;
    scene.start().await;
    scene.subscription_becomes("missing").await;
    let made = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(made.status.code(), Some(0), "{}{}", stdout(&made), stderr(&made));
    assert!(stdout(&made).contains("has received its signed ping"), "{}", stdout(&made));
    let twice = scene.webhook(&["create"]).await;
    assert_eq!(twice.status.code(), Some(1));
    assert!(stderr(&twice).contains("webhook rotate"), "{}", stderr(&twice));

    let pinged = scene.webhook(&["ping"]).await;
    assert_eq!(pinged.status.code(), Some(0), "{}", stdout(&pinged));
    // The old secret still counts.
    scene.deliver(&scene.about(world::SCHEDULE)).await;
}

#[tokio::test]
async fn a_ping_says_what_is_known_and_its_exit_code_too() {
    let mut scene = Scene::with_secrets_file().await;
    let subscribed = scene.webhook(&["create", "--secret-file", "secrets", "--append"]).await;
    assert_eq!(subscribed.status.code(), Some(0), "it is made: {}", stderr(&subscribed));
    assert!(stdout(&subscribed).contains("is not known"), "{}", stdout(&subscribed));
    let id = scene.subscription_ids().remove(0);
    let unknown = scene.webhook(&["ping"]).await;
    assert_eq!(unknown.status.code(), Some(1), "it is not known to work");
    assert!(stdout(&unknown).contains("no running service of this configuration"), "{}", stdout(&unknown));

    let on = scene.webhook(&["enable"]).await;
    assert_eq!(
        (on.status.code(), stdout(&on).trim()),
        (Some(0), format!("{id} is on, and was not off").as_str())
    );

    // The service does not know the secret of the subscription.
    scene.write_file("secrets", "another secret\n");
    scene.start().await;
    scene.subscription_becomes("active").await;
    scene.pagerduty_switches_off().await;
    let off = scene.webhook(&["ping"]).await;
    assert_eq!(off.status.code(), Some(1));
    assert!(stdout(&off).contains(&format!("{id} is switched off")), "{}", stdout(&off));
    assert!(stdout(&off).contains(&format!("webhook enable {id}")), "{}", stdout(&off));
    let enabled = scene.webhook(&["enable"]).await;
    assert_eq!(enabled.status.code(), Some(0));
    assert!(stdout(&enabled).contains("what happened while it was off"), "{}", stdout(&enabled));
    assert!(!scene.is_switched_off());
}

#[tokio::test]
async fn a_service_without_a_secret_is_told_as_such_when_a_ping_does_not_arrive() {
    let mut scene = Scene::reachable(Config { webhook_secrets: Vec::new(), ..Config::default() }).await;
    scene.webhook(&["create", "--secret-file", "lost"]).await;
    scene.start().await;
    scene.subscription_becomes("active").await;
    let pinged = scene.webhook(&["ping"]).await;
    assert_eq!(pinged.status.code(), Some(1));
    assert!(stdout(&pinged).contains("no webhook secret is configured"), "{}", stdout(&pinged));
    scene.logged(1, "answered a webhook 503, for no webhook secret").await;
}

/// The admin token goes only to the holder of the key that belongs to the configured certificate.
#[tokio::test]
async fn a_service_with_tls_is_asked_as_well_and_nobody_else_gets_the_token() {
    let mut scene = Scene::prepared(Config::default()).await;
    let authority = Authority::new("an authority");
    for name in ["own", "other"] {
        authority.signs("grants.example.com").write(scene.dir(), name);
    }
    let port = free_port();
    let with = |name: &str| {
        let tls = format!("127.0.0.1:{port}\"\ntls_cert = \"{name}.pem\"\ntls_key = \"{name}.key");
        scene.config_file().replace("127.0.0.1:0", &tls)
    };
    scene.write_file("other.toml", with("other"));
    scene.write_config(&with("own"));
    scene.webhook(&["create", "--url", "http://127.0.0.1:9", "--secret-file", "unused"]).await;
    let id = scene.subscription_ids().remove(0);
    scene.launch().await;

    let refused = scene.webhook(&["ping", &id, "--config", "other.toml"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains("no running service of this configuration"), "{}", stdout(&refused));

    let pagerduty = client_builder()
        .tls_backend_preconfigured(authority.trusted_by(&TLS13, None))
        .resolve("grants.example.com", ([127, 0, 0, 1], port).into())
        .build()
        .expect("a client");
    let asked = || scene.pagerduty.requests().iter().filter(|one| one.path.ends_with("/ping")).count();
    let before = asked();
    let arrives = async {
        wait_until("PagerDuty is asked for a ping", async || asked() > before).await;
        let body = Event::ping(scene.now()).body();
        let signature = sign(world::WEBHOOK_SECRET, &body);
        let request = pagerduty.post(format!("https://grants.example.com:{port}/webhooks/pagerduty"));
        let request = request.header(SIGNATURE, signature).header("X-Webhook-Subscription", &id).body(body);
        assert_eq!(answer(request).await.expect("an answer").status, 202);
    };
    let (pinged, ()) = futures_util::future::join(scene.webhook(&["ping", &id]), arrives).await;
    assert_eq!(pinged.status.code(), Some(0), "{}{}", stdout(&pinged), stderr(&pinged));
    assert!(stdout(&pinged).contains("has received its signed ping"), "{}", stdout(&pinged));
}

#[tokio::test]
async fn a_service_whose_store_is_down_is_not_taken_for_none() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::to_database(&database.url).await;
    let mut scene = Scene::reachable(Config { store: url.to_string(), ..Config::default() }).await;
    scene.subscribe_without_its_secret().await;
    scene.webhook(&["rotate", "--secret-file", "another"]).await;
    let both = scene.subscription_ids();
    scene.start().await;
    scene.subscription_becomes("active").await;
    for disturb in [Proxy::close, Proxy::mute] {
        disturb(&proxy);
        scene.ready_becomes(503).await;
        let down = "runs, but its store does not answer";
        let pinged = scene.webhook(&["ping", &both[1]]).await;
        assert_eq!(pinged.status.code(), Some(1));
        assert!(stdout(&pinged).contains(down), "{}", stdout(&pinged));
        let unknown = scene.webhook(&["rotate", "--finish", &both[0]]).await;
        assert_eq!(unknown.status.code(), Some(1));
        assert!(stderr(&unknown).contains(down), "{}", stderr(&unknown));
        assert_eq!(scene.subscription_ids(), both);
        proxy.open();
        scene.ready_becomes(200).await;
    }
}
