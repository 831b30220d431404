//! Heads, errors, tokens and incidents as somebody changed them.

use std::{sync::LazyLock, time::Duration};

use proptest::{collection::vec, prelude::*};
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::{sample, server};
use crate::{
    model::tests::{mutated, runs, samples},
    pagerduty::{
        App, Auth, Client, Connection, Scope, Tokens,
        client::{
            answer::{Head, error_text},
            incidents::incident,
        },
        hostile::INCIDENT,
        wire::IncidentEntry,
    },
};

const TOKEN: &str = "hush-token";
const HEADERS: [&str; 5] =
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after", "date"];

fn client() -> Client {
    let nowhere = "http://127.0.0.1:1".parse().expect("an address");
    Client::new(server::tls(), None, nowhere, Auth::Key(TOKEN.into())).expect("a client")
}

fn app() -> std::sync::Arc<Tokens> {
    let app = App {
        identity_url: "http://127.0.0.1:1".parse().expect("an address"),
        client_id: "hush-id".into(),
        client_secret: "hush-secret".into(),
        region: "us",
        subdomain: "acme".to_owned(),
        scopes: [Scope::ReadOnCalls].into(),
    };
    Tokens::new(app, Connection::new(server::tls(), None).expect("a client"))
}

fn heads() -> Vec<Vec<u8>> {
    let values = ["960", "0", "37", "Sun, 29 Nov 2026 17:00:00 GMT", "Sat, 31 Dec 9999 23:59:60 +0000"];
    values.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn errors() -> Vec<Vec<u8>> {
    let mut errors = samples("tests/fixtures/pagerduty/rest");
    errors.retain(|body| body.starts_with(b"{\n  \"error\""));
    let told = [
        r#"{"error": {"message": "no hush-token here", "errors": {"hush-token": ["x"], "y": [{"z": "hush-token"}]}}}"#,
        r#"{"error": {"message": "hush\u0000-token", "errors": ["hush-\ntoken"]}}"#,
    ];
    errors.extend(told.map(|text| text.as_bytes().to_vec()));
    errors
}

/// What the identity service answers, with and without a token.
fn tokens() -> Vec<Vec<u8>> {
    let answers = [
        r#"{"access_token": "hush-access", "token_type": "bearer", "scope": "as_account-us.acme users.read", "expires_in": 3600}"#,
        r#"{"access_token": "hush-access"}"#,
        r#"{"access_token": "hush access\r\n", "scope": ""}"#,
        r#"{"error": "invalid_client", "error_description": "no hush-secret of hush-id, hush\u0007-secret"}"#,
    ];
    answers.map(|text| text.as_bytes().to_vec()).to_vec()
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn no_head_makes_it_wait_for_long(
        status in 100..1000_u16,
        values in vec(mutated(heads()), HEADERS.len()),
    ) {
        static CLIENT: LazyLock<Client> = LazyLock::new(client);
        let mut headers = HeaderMap::new();
        for (name, value) in HEADERS.into_iter().zip(values) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(name, value);
            }
        }
        let head = Head::read(StatusCode::from_u16(status).expect("three digits"), &headers);
        if let Some(limit) = head.rate_limit() {
            prop_assert!(head.remaining == Some(limit.remaining) || status == 429 && limit.remaining == 0);
        }
        let pause = CLIENT.pause_asked_for(&head);
        prop_assert!(pause.is_none_or(|pause| pause <= Duration::from_mins(5)), "{pause:?}");
    }

    #[test]
    fn an_error_is_told_on_one_line_without_the_token(body in mutated(errors())) {
        let text = error_text(&body, TOKEN);
        prop_assert!(text.chars().count() <= 300 && !text.contains(char::is_control), "{text:?}");
        prop_assert!(!text.contains(TOKEN), "{text:?}");
    }

    #[test]
    fn a_token_is_fit_to_be_sent_or_refused_without_secrets(
        body in mutated(tokens()),
        status in 100..1000_u16,
    ) {
        static APP: LazyLock<std::sync::Arc<Tokens>> = LazyLock::new(app);
        let asked = Instant::now();
        match APP.token(&body, asked) {
            Ok(token) => {
                let text = token.text.expose_secret();
                let header = HeaderValue::from_str(&format!("Bearer {text}"));
                prop_assert!(header.is_ok() && !text.contains(' '), "{text:?}");
                prop_assert!(asked <= token.renewed && token.renewed <= token.ends);
                prop_assert!(token.ends <= asked + Duration::from_hours(30 * 24));
            }
            Err(error) => prop_assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}"),
        }
        let status = StatusCode::from_u16(status).expect("three digits");
        let refusal = APP.refusal(status, &Head::default(), &body).to_string();
        prop_assert!(refusal.chars().count() <= 400 && !refusal.contains(char::is_control), "{refusal:?}");
        for secret in ["hush-secret", "hush-id"] {
            prop_assert!(!refusal.contains(secret), "{refusal:?}");
        }
    }

    #[test]
    fn an_incident_is_shown_by_one_line_and_a_link(body in mutated(vec![INCIDENT.into()])) {
        let Ok(entry) = serde_json::from_slice::<IncidentEntry>(&body) else { return Ok(()) };
        let incident = incident(entry);
        prop_assert!(incident.title.chars().count() <= 80 && !incident.title.contains(char::is_control));
        let link = incident.about.html_url;
        prop_assert!(link.is_none_or(|link| link.to_lowercase().trim_start().starts_with("http")));
        prop_assert!(incident.parts.iter().all(|part| !part.user.as_str().is_empty()));
    }
}

#[test]
fn the_samples_are_read() {
    let errors: Vec<String> = errors().iter().map(|body| error_text(body, "")).collect();
    assert!(errors.len() > 8 && errors.iter().all(|text| !text.is_empty()), "{errors:?}");
    assert!(serde_json::from_str::<IncidentEntry>(INCIDENT).is_ok());
    assert!(app().token(&tokens()[0], Instant::now()).is_ok());
    assert!(sample("error-401.json").starts_with("{\n  \"error\""));
}
