//! Real handshakes with the real binary: versions, client certificates by name, and certificates that change while
//! it runs.

pub(crate) mod authority;
mod service;

use std::{path::Path, time::Duration};

use rustls::ProtocolVersion;

use self::{
    authority::{Authority, Identity},
    service::{Place, TlsService},
};
use crate::support::{Config, command, directory, err, in_time, output, wait_until};

const HOOKS: &str = "webhooks.example.com";

/// A service that requires client certificates of [`HOOKS`], signed by the authority.
async fn guarded(servers: &Authority, clients: &Authority) -> TlsService {
    TlsService::start(&servers.signs("localhost"), Some((&clients.pem(), HOOKS))).await
}

#[tokio::test]
async fn both_versions_are_spoken_and_1_2_with_the_ciphers_of_pagerduty() {
    let servers = Authority::new("servers");
    let service = TlsService::start(&servers.signs("localhost"), None).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = service.get("/healthz", servers.trusted_by(version, None)).unwrap();
        assert_eq!(answer.version, version.version);
        assert!(answer.text.starts_with("HTTP/1.1 200 "), "{}", answer.text);
    }
    let answer = service.get("/healthz", servers.trusted_by_pagerduty(None)).unwrap();
    assert_eq!(answer.version, ProtocolVersion::TLSv1_2);
}

#[tokio::test]
async fn a_client_certificate_of_the_right_name_is_let_in() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let service = guarded(&servers, &clients).await;
    for identity in
        [clients.signs(HOOKS), clients.signs_common_name(HOOKS), clients.signs("WEBHOOKS.example.com")]
    {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let answer = service.get("/healthz", servers.trusted_by(version, Some(&identity))).unwrap();
            assert!(answer.text.starts_with("HTTP/1.1 200 "), "{}", answer.text);
        }
    }
    let answer = service.get("/healthz", servers.trusted_by_pagerduty(Some(&clients.signs(HOOKS)))).unwrap();
    assert_eq!(answer.version, ProtocolVersion::TLSv1_2);
}

#[tokio::test]
async fn every_other_client_is_refused_before_it_can_ask_anything() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let service = guarded(&servers, &clients).await;
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
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let answer = service.get("/healthz", servers.trusted_by(version, identity.as_ref()));
            assert!(answer.is_err(), "{what}: {answer:?}");
        }
    }
    let said = service.process.logs("a TLS handshake failed").await;
    assert!(said.contains("the client shows no certificate"), "{said}");
    let known = servers.trusted_by(&rustls::version::TLS13, Some(&clients.signs(HOOKS)));
    let metrics = service.get("/metrics", known).unwrap().text;
    let count =
        format!("oncall_grants_tls_handshakes_total{{result=\"client_refused\"}} {}", refused.len() * 2);
    assert!(metrics.contains(&count), "{metrics}");
}

#[tokio::test]
async fn a_refusal_names_the_name_and_not_the_secrets() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let service = guarded(&servers, &clients).await;
    let other = clients.signs("other.example.com");
    service.get("/healthz", servers.trusted_by(&rustls::version::TLS12, Some(&other))).unwrap_err();
    let said = service.process.logs("a TLS handshake failed").await;
    assert!(said.contains("other.example.com"), "{said}");
    assert!(said.contains("server.client_names"), "{said}");
}

#[tokio::test]
async fn a_changed_certificate_is_taken_over_and_a_bad_one_is_not() {
    let servers = Authority::new("servers");
    let (first, second, third) =
        (servers.signs("localhost"), servers.signs("localhost"), servers.signs("localhost"));
    let service = TlsService::start(&first, None).await;
    let shown = || {
        let answer = service.get("/healthz", servers.trusted_by(&rustls::version::TLS13, None)).unwrap();
        assert!(answer.text.starts_with("HTTP/1.1 200 "), "{}", answer.text);
        answer.certificate
    };
    assert_eq!(shown(), first.certificate());

    service.write(&second);
    wait_until("the second certificate is shown", async || (shown() == second.certificate()).then_some(()))
        .await;

    service.write_pem(&third.certificate, "-----BEGIN nonsense");
    service.process.logs("the old certificate stays in use").await;
    assert_eq!(shown(), second.certificate());
    service.remove_key();
    service.process.logs("cannot read").await;
    assert_eq!(shown(), second.certificate());

    service.write(&third);
    wait_until("the third certificate is shown", async || (shown() == third.certificate()).then_some(()))
        .await;
    let metrics = service.get("/metrics", servers.trusted_by(&rustls::version::TLS13, None)).unwrap().text;
    assert!(metrics.contains("oncall_grants_tls_reloads_total{result=\"done\"} 2"), "{metrics}");
    assert!(metrics.contains("oncall_grants_tls_reloads_total{result=\"failed\"} "), "{metrics}");
    let expires = format!("oncall_grants_tls_certificate_expiry_timestamp_seconds {}", authority::EXPIRES);
    assert!(metrics.contains(&expires), "{metrics}");
}

#[tokio::test]
async fn a_changed_authority_for_clients_is_taken_over() {
    let servers = Authority::new("servers");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let service = guarded(&servers, &old).await;
    let gets_in = |authority: &Authority| {
        let identity = authority.signs(HOOKS);
        service.get("/healthz", servers.trusted_by(&rustls::version::TLS13, Some(&identity))).is_ok()
    };
    assert!(gets_in(&old) && !gets_in(&new));
    // As during a rotation: both for a while, then only the new one.
    service.write_client_ca(&format!("{}{}", old.pem(), new.pem()));
    wait_until("the new authority is trusted", async || gets_in(&new).then_some(())).await;
    assert!(gets_in(&old));
    service.write_client_ca(&new.pem());
    wait_until("the old authority is not trusted any more", async || (!gets_in(&old)).then_some(())).await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_hung_up_on() {
    let servers = Authority::new("servers");
    let service = TlsService::start(&servers.signs("localhost"), None).await;
    in_time(Duration::from_secs(10), "hanging up", async || service.connect_and_wait_for_the_end()).await;
}

#[tokio::test]
async fn it_does_not_start_without_the_protection_that_it_was_told_to_have() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let good = servers.signs("localhost");
    for (what, client_ca) in [("no certificate", ""), ("no sound PEM", "-----BEGIN CERTIFICATE-----\nAA\n")] {
        let said = err(&TlsService::start_in_vain(&good, Some((client_ca, HOOKS))));
        assert!(said.contains("server.client_ca: the file") && said.contains(what), "{what}: {said}");
    }
    let mixed = good.with_key_of(&clients.signs("localhost"));
    let said = err(&TlsService::start_in_vain(&mixed, None));
    assert!(said.contains("do not belong together"), "{said}");
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name);
        std::fs::read_to_string(path).expect("a fixture")
    };
    let (certificate, key) = (fixture("p521-cert.pem"), fixture("p521-key.pem"));
    let said = err(&TlsService::start_in_vain(&Identity { certificate, key }, None));
    assert!(said.contains("server.tls_key: the private key is of a kind that is not supported"), "{said}");
    assert!(said.contains("P-384") && !said.contains("belong together"), "{said}");
    let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let said = err(&TlsService::start_in_vain(&Identity { key, ..good.clone() }, None));
    assert!(said.contains("encrypted with a password"), "{said}");
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
        let service = guarded(&servers, &clients).await;
        let client = servers.trusted_by(&rustls::version::TLS12, Some(&identity));
        service.get("/healthz", client).unwrap_err();
        let said = service.process.logs("a TLS handshake failed").await;
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn certificates_that_are_named_and_not_there_keep_it_from_starting() {
    let dir = directory();
    let config = Config::default().text("http://127.0.0.1:9", "http://127.0.0.1:9");
    std::fs::write(dir.path().join("oncall-grants.toml"), config).expect("a writable directory");
    for (variable, path) in [("SSL_CERT_FILE", "/etc/ssl/ca-bundel.pem"), ("SSL_CERT_DIR", "/etc/ssl/crets")]
    {
        for arguments in [&["serve"][..], &["sync"], &["check"]] {
            let mut command = command(dir.path(), arguments);
            command.env(variable, path);
            let said = output(command).await;
            assert_ne!(said.status.code(), Some(0), "{arguments:?}");
            assert!(err(&said).contains(variable) && err(&said).contains(path), "{}", err(&said));
        }
    }
}

#[tokio::test]
async fn the_health_check_of_a_container_needs_no_certificate_and_leaves_no_failed_handshake() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let identity = servers.signs("localhost");
    for authorities in [None, Some((clients.pem(), HOOKS))] {
        let authorities = authorities.as_ref().map(|(pem, name)| (pem.as_str(), *name));
        let mut service = TlsService::start(&identity, authorities).await;
        for place in [Place::Url, Place::Configuration, Place::Guess] {
            // On a busy machine one look may take longer than the command waits.
            wait_until("the service is healthy", async || service.is_healthy(place).then_some(())).await;
        }
        let known = servers.trusted_by(&rustls::version::TLS13, Some(&clients.signs(HOOKS)));
        let metrics = service.get("/metrics", known).unwrap().text;
        let results = metrics.lines().filter(|line| line.contains("tls_handshakes_total{"));
        let failed = results.filter(|line| !line.contains("\"done\"") && !line.contains("\"broken_off\""));
        let failed: Vec<&str> = failed.filter(|line| !line.ends_with(" 0")).collect();
        assert!(failed.is_empty(), "{failed:?}");
        // Somebody who hangs up is worth a line for debugging only.
        let told = service.process.leveled();
        let failed =
            |(level, message): &(String, String)| level != "DEBUG" && message.contains("TLS handshake");
        assert!(!told.iter().any(failed), "{told:#?}");
        service.process.stop();
        for place in [Place::Url, Place::Configuration, Place::Guess] {
            assert!(!service.is_healthy(place), "{place:?}");
        }
    }
}
