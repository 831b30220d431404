//! Real handshakes with the real binary: versions, client certificates by name, and certificates that change while
//! it runs.

use std::{fmt::Write, path::Path, time::Duration};

use reqwest::tls::TlsInfo;
use rustls::{
    ClientConfig,
    version::{TLS12, TLS13},
};

use crate::support::{
    Answer, Authority, Config, EXPIRES, Identity, Scene, answer, client_builder, some_attempt_within, stderr,
    until_hung_up, wait_until,
};

/// What the service's certificates say that it is.
const HERE: &str = "127.0.0.1";
/// What the certificates of its clients must say that they are.
const HOOKS: &str = "webhooks.example.com";

/// A scene whose service is to speak TLS with this certificate, and requires one of [`HOOKS`] from its clients if there
/// are authorities for them.
async fn prepared(identity: &Identity, client_ca: Option<&str>) -> Scene {
    let scene = Scene::prepared(Config::default()).await;
    let mut server = "[server]\ntls_cert = \"tls.pem\"\ntls_key = \"tls.key\"\n".to_owned();
    if let Some(client_ca) = client_ca {
        scene.write_file("client_ca.pem", client_ca);
        writeln!(server, "client_ca = \"client_ca.pem\"\nclient_names = [{HOOKS:?}]")
            .expect("a text takes all");
    }
    identity.write(scene.dir(), "tls");
    scene.write_config(&scene.config_file().replace("[server]\n", &server));
    scene
}

/// The same with the service running. The scene itself talks to it as a client that is let in.
async fn running(servers: &Authority, identity: &Identity, clients: Option<&Authority>) -> Scene {
    let mut scene = prepared(identity, clients.map(Authority::pem).as_deref()).await;
    let own = clients.map(|clients| clients.signs(HOOKS));
    scene.use_client(client(servers.trusted_by(&TLS13, own.as_ref())));
    scene.launch().await;
    scene
}

async fn guarded(servers: &Authority, clients: &Authority) -> Scene {
    running(servers, &servers.signs(HERE), Some(clients)).await
}

fn client(config: ClientConfig) -> reqwest::Client {
    client_builder().tls_backend_preconfigured(config).tls_info(true).build().expect("a client")
}

/// What a client is answered over a connection of its own. It offers one version only, so what it hears is in that one.
async fn ask(scene: &Scene, config: ClientConfig) -> reqwest::Result<Answer> {
    answer(client(config).get(format!("{}/healthz", scene.url()))).await
}

/// The certificate that a new connection is shown.
async fn shown(scene: &Scene, servers: &Authority) -> Vec<u8> {
    let client = client(servers.trusted_by(&TLS13, None));
    let response = client.get(format!("{}/healthz", scene.url())).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let shown = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    shown.expect("the server's certificate").to_vec()
}

#[tokio::test]
async fn both_versions_are_spoken_and_1_2_with_the_ciphers_of_pagerduty() {
    let servers = Authority::new("servers");
    let scene = running(&servers, &servers.signs(HERE), None).await;
    for version in [&TLS12, &TLS13] {
        assert_eq!(ask(&scene, servers.trusted_by(version, None)).await.unwrap().status, 200);
    }
    assert_eq!(ask(&scene, servers.trusted_by_pagerduty(None)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_certificate_of_the_right_name_is_let_in() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let scene = guarded(&servers, &clients).await;
    for identity in
        [clients.signs(HOOKS), clients.signs_common_name(HOOKS), clients.signs("WEBHOOKS.example.com")]
    {
        for version in [&TLS12, &TLS13] {
            let answer = ask(&scene, servers.trusted_by(version, Some(&identity))).await.unwrap();
            assert_eq!(answer.status, 200);
        }
    }
    let pagerduty = servers.trusted_by_pagerduty(Some(&clients.signs(HOOKS)));
    assert_eq!(ask(&scene, pagerduty).await.unwrap().status, 200);
}

#[tokio::test]
async fn every_other_client_is_refused_before_it_can_ask_anything() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let scene = guarded(&servers, &clients).await;
    let refused: [(&str, Option<Identity>); 8] = [
        ("none", None),
        ("another name", Some(clients.signs("evil.example.com"))),
        ("another common name", Some(clients.signs_common_name("evil.example.com"))),
        ("a longer name", Some(clients.signs("webhooks.example.com.evil.net"))),
        ("a wildcard", Some(clients.signs("*.example.com"))),
        ("another authority of the same name", Some(Authority::new("clients").signs(HOOKS))),
        ("expired", Some(clients.signs_expired(HOOKS))),
        ("for servers only", Some(clients.signs_for_servers(HOOKS))),
    ];
    for (what, identity) in &refused {
        for version in [&TLS12, &TLS13] {
            let answer = ask(&scene, servers.trusted_by(version, identity.as_ref())).await;
            assert!(answer.is_err(), "{what}: {answer:?}");
        }
    }
    // A client hears of a refusal before it is counted.
    wait_until("all are counted", async || {
        let counted = scene.metric(r#"tls_handshakes_total{result="client_refused"}"#).await;
        counted == Some(refused.len() * 2)
    })
    .await;
    let told = scene.logged(1, "a TLS handshake failed").await;
    assert!(told[0].contains("the client shows no certificate"), "{told:#?}");
}

#[tokio::test]
async fn a_refusal_names_the_name_and_not_the_secrets() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let scene = guarded(&servers, &clients).await;
    let other = clients.signs("other.example.com");
    ask(&scene, servers.trusted_by(&TLS12, Some(&other))).await.unwrap_err();
    let told = &scene.logged(1, "a TLS handshake failed").await[0];
    assert!(told.contains("other.example.com") && told.contains("server.client_names"), "{told}");
}

#[tokio::test]
async fn a_changed_certificate_is_taken_over_and_a_bad_one_is_not() {
    let servers = Authority::new("servers");
    let [first, second, third] = [(); 3].map(|()| servers.signs(HERE));
    let scene = running(&servers, &first, None).await;
    assert_eq!(shown(&scene, &servers).await, *first.certificate());
    let replaced_by = async |identity: &Identity| {
        identity.write(scene.dir(), "tls");
        wait_until("the new certificate is shown", async || {
            shown(&scene, &servers).await == *identity.certificate()
        })
        .await;
    };
    replaced_by(&second).await;
    Identity { key: "-----BEGIN nonsense".to_owned(), ..third.clone() }.write(scene.dir(), "tls");
    scene.logged(1, "the old certificate stays in use").await;
    assert_eq!(shown(&scene, &servers).await, *second.certificate());
    std::fs::remove_file(scene.dir().join("tls.key")).expect("it is there");
    scene.logged(1, "cannot read").await;
    assert_eq!(shown(&scene, &servers).await, *second.certificate());
    replaced_by(&third).await;
    // A certificate is shown before it is counted.
    wait_until("both are counted", async || {
        scene.metric(r#"tls_reloads_total{result="done"}"#).await == Some(2)
    })
    .await;
    assert!(scene.metric::<u32>(r#"tls_reloads_total{result="failed"}"#).await > Some(0));
    assert_eq!(scene.metric("tls_certificate_expiry_timestamp_seconds").await, Some(EXPIRES));
}

#[tokio::test]
async fn a_changed_authority_for_clients_is_taken_over() {
    let servers = Authority::new("servers");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let scene = guarded(&servers, &old).await;
    let gets_in = async |authority: &Authority| {
        let identity = authority.signs(HOOKS);
        ask(&scene, servers.trusted_by(&TLS13, Some(&identity))).await.is_ok()
    };
    assert!(gets_in(&old).await && !gets_in(&new).await);
    // As during a rotation: both for a while, then only the new one.
    scene.write_file("client_ca.pem", format!("{}{}", old.pem(), new.pem()));
    wait_until("the new authority is trusted", async || gets_in(&new).await).await;
    assert!(gets_in(&old).await);
    scene.write_file("client_ca.pem", new.pem());
    wait_until("the old authority is not trusted any more", async || !gets_in(&old).await).await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_hung_up_on() {
    let servers = Authority::new("servers");
    let scene = running(&servers, &servers.signs(HERE), None).await;
    some_attempt_within(Duration::from_secs(10), "hanging up", async || {
        until_hung_up(scene.connect_and_say("").await).await;
    })
    .await;
}

#[tokio::test]
async fn it_does_not_start_without_the_protection_that_it_was_told_to_have() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let good = servers.signs(HERE);
    let mixed = good.with_key_of(&clients.signs(HERE));
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name);
        std::fs::read_to_string(path).expect("a fixture")
    };
    let p521 = Identity { certificate: fixture("p521-cert.pem"), key: fixture("p521-key.pem") };
    let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let encrypted = Identity { key, ..good.clone() };
    let bad_file = "server.client_ca: the file";
    for (identity, client_ca, words) in [
        (&good, Some(""), [bad_file, "no certificate"]),
        (&good, Some("-----BEGIN CERTIFICATE-----\nAA\n"), [bad_file, "no sound PEM"]),
        (&mixed, None, ["server.tls_key", "do not belong together"]),
        (&p521, None, ["server.tls_key: the private key is of a kind that is not supported", "P-384"]),
        (&encrypted, None, ["server.tls_key", "encrypted with a password"]),
    ] {
        let output = prepared(identity, client_ca).await.run(&["serve"]).await;
        assert!(!output.status.success(), "{output:?}");
        let said = stderr(&output);
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
    }
}

/// How the `healthcheck` command learns where the service is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// It is told.
    Url,
    /// From the configuration, whose `listen` the environment replaces.
    Configuration,
    /// There is no configuration to read.
    Guess,
}

impl Place {
    const ALL: [Self; 3] = [Self::Url, Self::Configuration, Self::Guess];

    /// Whether `healthcheck` finds that the service lives.
    async fn finds(self, scene: &Scene) -> bool {
        let listen = [("ONCALL_GRANTS_LISTEN", scene.address())];
        let output = match self {
            Self::Url => scene.run(&["healthcheck", "--url", scene.url()]).await,
            Self::Configuration => scene.run_with(&["healthcheck"], &listen).await,
            Self::Guess => scene.run_with(&["healthcheck", "--config", "not-there.toml"], &listen).await,
        };
        output.status.success()
    }
}

#[tokio::test]
async fn the_health_check_of_a_container_needs_no_certificate_and_leaves_no_failed_handshake() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    for clients in [None, Some(&clients)] {
        let mut scene = running(&servers, &servers.signs(HERE), clients).await;
        let mut looks = 0;
        for place in Place::ALL {
            // On a busy machine one look may take longer than the command waits.
            wait_until("the service is healthy", async || {
                looks += 1;
                place.finds(&scene).await
            })
            .await;
        }
        let handshakes = async |results: &[&str]| {
            let mut sum = 0;
            for result in results {
                let sample = format!(r#"tls_handshakes_total{{result="{result}"}}"#);
                sum += scene.metric::<u32>(&sample).await.unwrap_or_default();
            }
            sum
        };
        let (fine, failed) = (["done", "broken_off"], ["client_refused", "refused_by_client", "failed"]);
        // Whoever hangs up does not wait until that is counted. The scene's own handshake is one more.
        wait_until("each look is counted", async || {
            handshakes(&fine).await + handshakes(&failed).await > looks
        })
        .await;
        assert_eq!(handshakes(&failed).await, 0);
        // Somebody who hangs up is worth a line for debugging only.
        let log = scene.log_by_now().await;
        let told = log.iter().find(|line| line.level != "DEBUG" && line.message.contains("TLS handshake"));
        assert!(told.is_none(), "{told:?}");
        scene.kill();
        for place in Place::ALL {
            assert!(!place.finds(&scene).await, "{place:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_client_certificate_is_told_in_words_that_say_what_to_do() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    for (identity, words) in [
        (clients.signs_for_servers(HOOKS), "lacks clientAuth"),
        (clients.signs_expired(HOOKS), "the client certificate has expired"),
        (Authority::new("clients").signs(HOOKS), "server.client_ca"),
        (Authority::new("others").signs(HOOKS), "server.client_ca"),
    ] {
        let scene = guarded(&servers, &clients).await;
        ask(&scene, servers.trusted_by(&TLS12, Some(&identity))).await.unwrap_err();
        let said = scene.logged(1, "a TLS handshake failed").await.remove(0);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn certificates_that_are_named_and_not_there_keep_it_from_starting() {
    let scene = Scene::prepared(Config::default()).await;
    for (variable, path) in [("SSL_CERT_FILE", "/etc/ssl/ca-bundel.pem"), ("SSL_CERT_DIR", "/etc/ssl/crets")]
    {
        for arguments in [&["serve"][..], &["sync"], &["check"]] {
            let said = scene.run_with(arguments, &[(variable, path)]).await;
            assert!(!said.status.success(), "{arguments:?}");
            assert!(stderr(&said).contains(variable) && stderr(&said).contains(path), "{}", stderr(&said));
        }
    }
}
