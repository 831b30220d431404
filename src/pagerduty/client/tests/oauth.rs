//! As an OAuth app: where tokens come from, how long they are used, and that nothing tells them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{
    sample,
    server::{Asked, Reply, Server},
};
use crate::pagerduty::{Client, Error, Scope, client::directory::User};

const TOKEN_ROUTE: &str = "/oauth/token";

/// A token that the stand-in for the identity service made, and how long it lives.
fn token(text: &str, life: u64) -> Reply {
    let scope = "as_account-us.acme users.read";
    let answer = json!({"access_token": text, "token_type": "bearer", "scope": scope, "expires_in": life});
    Reply::ok(answer.to_string())
}

fn user() -> Reply {
    Reply::ok(sample("users-id.json"))
}

fn bearer(asked: &Asked) -> String {
    asked.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}

/// A server for tokens and for the API, which asks the function for each token by its number, from 0, and takes whatever
/// token is shown to it.
async fn issuing(issue: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Server {
    let issued = AtomicUsize::new(0);
    Server::answering(move |asked| match asked.path.as_str() {
        TOKEN_ROUTE => issue(issued.fetch_add(1, Ordering::SeqCst)),
        _ => user(),
    })
    .await
}

async fn ask(client: &Client) -> Result<Option<User>, Error> {
    client.user(&"PB2BOC8".into()).await
}

/// How many tokens were asked for.
fn fetches(server: &Server) -> usize {
    server.paths().iter().filter(|path| *path == TOKEN_ROUTE).count()
}

/// Which tokens the API was asked with, in order.
fn shown(server: &Server) -> Vec<String> {
    server.asked().iter().filter(|asked| asked.path != TOKEN_ROUTE).map(bearer).collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn many_requests_share_one_token_that_is_asked_for_as_documented() {
    let server = issuing(|_| token("pdus_one", 86_400).after(Duration::from_millis(50))).await;
    let client = server.app_client();
    let all = join_all((0..20).map(|_| ask(&client))).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().is_some()));
    assert_eq!(fetches(&server), 1);
    assert_eq!(shown(&server), vec!["pdus_one"; 20]);
    let asked = server.asked().into_iter().find(|asked| asked.path == TOKEN_ROUTE).unwrap();
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!asked.headers.contains_key("authorization"));
    let form: Vec<(String, String)> =
        url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "app-id"),
        ("client_secret", "app-secret&="),
        ("scope", "as_account-us.acme oncalls.read users.read"),
    ];
    assert_eq!(form, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let granted = client.granted_scopes().await.unwrap().unwrap();
    assert!(granted.contains(Scope::ReadUsers.name()) && !granted.contains(Scope::ReadOnCalls.name()));
    assert_eq!(server.client().granted_scopes().await, Ok(None), "a key has none");
}

#[tokio::test]
async fn a_token_is_renewed_beside_the_requests_long_before_it_ends() {
    // A second lasts a millisecond here.
    let server =
        issuing(|number| token(&format!("pdus_{number}"), 600).after(Duration::from_millis(40))).await;
    let client = server.app_client();
    let began = Instant::now();
    ask(&client).await.unwrap();
    while fetches(&server) < 2 {
        assert!(began.elapsed() < Duration::from_secs(20));
        ask(&client).await.unwrap();
    }
    let renewed_after = began.elapsed();
    assert!(renewed_after >= Duration::from_millis(420), "renewed after {renewed_after:?}");
    while shown(&server).last().is_some_and(|last| last == "pdus_0") {
        assert!(began.elapsed() < Duration::from_secs(20));
        ask(&client).await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_identity_service_costs_nothing_while_the_token_holds() {
    let server =
        issuing(|number| if number == 0 { token("pdus_one", 4_000) } else { Reply::new(503, "") }).await;
    let client = server.app_client();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(3_200) {
        assert!(ask(&client).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(fetches(&server) > 1, "it was to be renewed");
    until("the token ends", || began.elapsed() > Duration::from_millis(4_010)).await;
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(&error, Error::Server(text) if text.contains("identity service")), "{error}");
    assert!(shown(&server).iter().all(|text| text == "pdus_one"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_who_were_refused() {
    let valid = Arc::new(Mutex::new("pdus_0".to_owned()));
    let (issued, known) = (AtomicUsize::new(0), Arc::clone(&valid));
    let server = Server::answering(move |asked| match asked.path.as_str() {
        TOKEN_ROUTE => {
            let text = format!("pdus_{}", issued.fetch_add(1, Ordering::SeqCst));
            known.lock().unwrap().clone_from(&text);
            token(&text, 86_400)
        }
        _ if bearer(asked) == *known.lock().unwrap() => user(),
        _ => Reply::new(401, sample("error-401.json")),
    })
    .await;
    let client = server.app_client();
    for round in 1..4 {
        ask(&client).await.unwrap();
        assert_eq!(fetches(&server), round);
        "revoked".clone_into(&mut valid.lock().unwrap());
        let all = join_all((0..8).map(|_| ask(&client))).await;
        assert!(all.into_iter().all(|answer| answer.is_ok()), "round {round}");
        assert_eq!(fetches(&server), round + 1, "one for all of them");
    }
}

#[tokio::test]
async fn tokens_that_are_always_refused_are_not_fetched_again_and_again() {
    let issued = AtomicUsize::new(0);
    let server = Server::answering(move |asked| match asked.path.as_str() {
        TOKEN_ROUTE => token(&format!("pdus_{}", issued.fetch_add(1, Ordering::SeqCst)), 86_400),
        _ => Reply::new(401, sample("error-401.json")),
    })
    .await;
    let client = server.app_client();
    for _ in 0..5 {
        assert!(matches!(ask(&client).await, Err(Error::Unauthorized(_))));
    }
    assert_eq!(fetches(&server), 2);
}

#[tokio::test]
async fn a_refused_app_is_told_and_no_secret_is() {
    let words = "bad\u{1b} app-secret&= of app-id";
    let body = json!({"error": "invalid_client", "error_description": words}).to_string();
    let server = issuing(move |_| Reply::new(401, body.clone())).await;
    let client = server.app_client_with(Duration::from_secs(1));
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(&error, Error::AppRefused(_)), "{error}");
    let told = format!("{error} {error:?} {} {client:?}", error.remedy("users.read"));
    assert!(told.contains("401 Unauthorized: invalid_client: bad … of …"), "{told}");
    assert!(!told.contains("app-secret") && !told.contains("app-id"), "{told}");
    assert!(told.contains("pagerduty.client_id"), "{told}");
    // It is not asked again at once.
    ask(&client).await.unwrap_err();
    assert_eq!(fetches(&server), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_not_told() {
    for body in [
        json!({"access_token": 7, "hush": "pdus_hush"}).to_string(),
        json!({"access_token": "pdus_hush\n"}).to_string(),
        json!({"access_token": ""}).to_string(),
        "pdus_hush".to_owned(),
        json!({"access_token": "pdus_hush", "expires_in": "pdus_hush"}).to_string(),
    ] {
        let server = issuing(move |_| Reply::ok(body.clone())).await;
        let error = ask(&server.app_client()).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(_)) && !error.to_string().contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn pagerduty_s_words_are_told_without_the_token() {
    let server = Server::answering(|asked| match asked.path.as_str() {
        TOKEN_ROUTE => token("pdus_hush", 86_400),
        _ => Reply::new(422, json!({"error": {"message": "pdus_hush is odd"}}).to_string()),
    })
    .await;
    let error = ask(&server.app_client()).await.unwrap_err().to_string();
    assert!(error.contains("… is odd") && !error.contains("hush"), "{error}");
}

#[test]
fn scopes_are_named_as_pagerduty_names_them() {
    let all = [Scope::ReadOnCalls, Scope::ReadSchedules, Scope::ReadPolicies, Scope::WriteSubscriptions];
    let names: BTreeSet<&str> = all.iter().map(|scope| scope.name()).collect();
    let expected =
        ["escalation_policies.read", "oncalls.read", "schedules.read", "webhook_subscriptions.write"];
    assert!(names.into_iter().eq(expected));
}
