use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;
use serde_json::json;
use tokio::time::Instant;

use super::{
    sample,
    server::{Reply, Server, TOKEN, quick},
};
use crate::pagerduty::{
    Auth, Error,
    client::{directory::User, retry::RetryPolicy},
};

/// The simplest call there is.
async fn ask(server: &Server) -> Result<Option<User>, Error> {
    server.client().user(&"PB2BOC8".into()).await
}

fn user() -> Reply {
    Reply::ok(sample("users-id.json"))
}

/// A server that answers the first request so and all others rightly.
async fn at_first(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    Server::answering(move |asked| if asked.number == 0 { reply() } else { user() }).await
}

#[tokio::test]
async fn requests_carry_what_pagerduty_wants() {
    let server = Server::answering(|_| user()).await;
    assert!(ask(&server).await.unwrap().is_some());
    let headers = &server.asked()[0].headers;
    assert_eq!(headers["authorization"], format!("Token token={TOKEN}"));
    assert_eq!(headers["accept"], "application/vnd.pagerduty+json;version=2");
    assert_eq!(headers["user-agent"], concat!("oncall-grants/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["accept-encoding"], "gzip");
}

#[tokio::test]
async fn passing_trouble_is_waited_out() {
    let troubles: [fn() -> Reply; 8] = [
        || Reply::new(500, ""),
        || Reply::new(502, "<html>bad gateway</html>"),
        || Reply::new(503, "{}"),
        || Reply::new(408, ""),
        || Reply::new(429, sample("error-429.json")),
        || Reply::ok("{\"user\": {\"id\": \"PB2B"),
        || Reply::ok(""),
        || Reply::ok("{\"user\": ").cut(),
    ];
    for (index, trouble) in troubles.into_iter().enumerate() {
        let server = at_first(trouble).await;
        assert!(ask(&server).await.unwrap().is_some(), "{index}");
        assert_eq!(server.asked().len(), 2, "{index}");
    }
}

#[tokio::test]
async fn lasting_trouble_ends_after_three_attempts() {
    let troubles: [fn() -> Reply; 4] = [
        || Reply::new(500, ""),
        || Reply::new(599, ""),
        || Reply::ok("{\"user\": {"),
        || Reply::ok("{\"user\": ").cut(),
    ];
    for (index, trouble) in troubles.into_iter().enumerate() {
        let server = Server::answering(move |_| trouble()).await;
        let error = ask(&server).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(text) | Error::Server(text) if text.starts_with("GET /users/PB2BOC8: ")),
            "{index} {error}"
        );
        assert_eq!(server.asked().len(), 3, "{index}");
    }
}

#[tokio::test]
async fn a_clear_refusal_is_not_repeated() {
    let path = "GET /oncalls: ";
    let refusals = [
        (401, "error-401.json", Error::Unauthorized(format!("{path}401 Unauthorized: Unauthorized"))),
        (403, "error-403.json", Error::Forbidden(format!("{path}403 Forbidden: Access Denied"))),
        (404, "error-404.json", Error::NotFound(format!("{path}404 Not Found: Not Found"))),
        (
            400,
            "error-400.oncalls-range.json",
            Error::BadRequest(format!(
                "{path}400 Bad Request: Invalid Input Provided: Until must be after since."
            )),
        ),
        (
            400,
            "error-400.v3-field-map.json",
            Error::BadRequest(format!(
                "{path}400 Bad Request: Invalid Request: event.effective_since: \
                 Date cannot be more than 12 months in the future"
            )),
        ),
    ];
    for (status, body, expected) in refusals {
        let server = Server::always(status, sample(body)).await;
        let of = [crate::model::Source::Schedule("PSCH001".into())];
        assert_eq!(server.client().on_calls(&of, super::week()).await, Err(expected.clone()));
        assert_eq!(server.asked().len(), 1);
        assert_eq!(expected.may_be_of_a_part(), status != 401);
    }
}

#[tokio::test]
async fn words_of_an_error_are_short_clean_and_without_the_token() {
    let message = format!("bad\u{1b}[31m\n{TOKEN} {}", "x".repeat(5_000));
    let server = Server::always(422, json!({"error": {"message": message, "errors": 7}}).to_string()).await;
    let text = ask(&server).await.unwrap_err().to_string();
    assert!(
        text.starts_with("refused: GET /users/PB2BOC8: 422 Unprocessable Entity: bad[31m… xxx"),
        "{text}"
    );
    assert!(text.chars().count() < 400, "{text}");

    let server = Server::always(400, "<html>not JSON</html>").await;
    let text = ask(&server).await.unwrap_err().to_string();
    assert_eq!(text, "refused: GET /users/PB2BOC8: 400 Bad Request");
}

#[tokio::test]
async fn an_answer_of_the_wrong_shape_is_invalid_and_its_values_are_not_repeated() {
    for body in ["<html>", "[]", r#"{"user": "ana.lima@example.com"}"#, r#"{"user": {"id": null}}"#] {
        let server = Server::always(200, body).await;
        let error = ask(&server).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        assert!(!error.to_string().contains("ana.lima"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn the_token_is_not_carried_elsewhere() {
    let server = at_first(|| Reply::new(302, "").header("location", "/users/elsewhere")).await;
    let error = ask(&server).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_rate_limit_is_waited_out_by_everyone() {
    let server = at_first(|| {
        Reply::new(429, sample("error-429.json"))
            .header("ratelimit-remaining", 0)
            .header("ratelimit-reset", 200)
    })
    .await;
    let client = server.client();
    let started = Instant::now();
    client.user(&"PB2BOC8".into()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn the_last_requests_of_a_quota_are_left_to_others_for_a_while() {
    let server = at_first(|| user().header("ratelimit-remaining", 3).header("ratelimit-reset", 200)).await;
    let client = server.client();
    let started = Instant::now();
    client.user(&"PB2BOC8".into()).await.unwrap();
    client.clone().user(&"PB2BOC8".into()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));

    let plenty = at_first(|| user().header("ratelimit-remaining", 4).header("ratelimit-reset", 60_000)).await;
    ask(&plenty).await.unwrap();
}

#[tokio::test]
async fn a_rate_limit_that_outlasts_the_call_ends_it_at_once() {
    let server = Server::answering(|_| Reply::new(429, "").header("ratelimit-reset", 45_000)).await;
    let client = server.client();
    let started = Instant::now();
    for _ in 0..2 {
        let error = client.user(&"PB2BOC8".into()).await.unwrap_err();
        assert!(matches!(error, Error::RateLimited { retry_after } if retry_after > Duration::from_secs(40)));
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn retry_after_is_waited_out_in_seconds_or_as_a_date_after_a_429_and_a_503() {
    let date = |second: u32| format!("Mon, 02 Nov 2026 07:{:02}:{:02} GMT", second / 60, second % 60);
    for status in [429, 503] {
        for after in ["200".to_owned(), date(200)] {
            let server = at_first(move || {
                Reply::new(status, "").header("retry-after", &after).header("date", date(0))
            })
            .await;
            let client = server.client();
            let started = Instant::now();
            client.user(&"PB2BOC8".into()).await.unwrap();
            assert!(started.elapsed() >= Duration::from_millis(200), "{status}: {:?}", started.elapsed());
            assert_eq!(server.asked().len(), 2);
        }
    }
}

#[tokio::test]
async fn a_pause_asked_for_with_a_failure_holds_for_everyone_and_does_not_hide_the_failure() {
    let server = Server::answering(|_| Reply::new(503, "").header("retry-after", 45_000)).await;
    let client = server.client();
    let error = client.user(&"PB2BOC8".into()).await.unwrap_err();
    assert!(matches!(&error, Error::Server(text) if text.contains("503")), "{error}");
    let error = client.clone().user(&"PA1NAL7".into()).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { retry_after } if retry_after > Duration::from_secs(40)));
    assert_eq!(server.asked().len(), 1);

    // A success that carries the header asks for nothing.
    let server = Server::answering(|_| user().header("retry-after", 45_000)).await;
    let client = server.client();
    for _ in 0..2 {
        client.user(&"PB2BOC8".into()).await.unwrap();
    }
}

#[tokio::test]
async fn an_absurd_reset_does_not_stop_the_service() {
    let server = Server::answering(|_| Reply::new(429, "").header("ratelimit-reset", u64::MAX)).await;
    let error =
        server.client_with(RetryPolicy { attempts: 1, ..quick() }).user(&"P".into()).await.unwrap_err();
    assert_eq!(error, Error::RateLimited { retry_after: Duration::from_mins(1) });
}

#[tokio::test]
async fn a_rate_limit_without_headers_is_met_with_patience() {
    let server = Server::always(429, "").await;
    let error = ask(&server).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error}");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_stalled_answer_is_given_up() {
    let server = at_first(|| user().after(Duration::from_mins(1))).await;
    let client = server.client_with(RetryPolicy { attempt: Duration::from_millis(200), ..quick() });
    assert!(client.user(&"PB2BOC8".into()).await.unwrap().is_some());

    let server = Server::answering(|_| user().after(Duration::from_mins(1))).await;
    let client = server.client_with(RetryPolicy { call: Duration::from_millis(50), ..quick() });
    let started = Instant::now();
    // The second has no slot before its time is over, or finds the server as silent.
    let [bo, ana] = ["PB2BOC8", "PA1NAL7"].map(Into::into);
    let (first, second) = tokio::join!(client.user(&bo), client.user(&ana));
    for result in [first, second] {
        assert!(matches!(&result, Err(Error::Unavailable(_))), "{result:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn no_server_means_unavailable() {
    let server = Server::answering(|_| user()).await;
    let mut client = server.client();
    client.base = Url::parse("http://127.0.0.1:1/").unwrap();
    let error = client.user(&"PB2BOC8".into()).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(text) if !text.contains("127.0.0.1:1/users")), "{error}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_called_that() {
    let server = Server::answering(|_| user()).await;
    let mut client = server.client();
    client.base.set_scheme("https").unwrap();
    let error = client.user(&"PB2BOC8".into()).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(text) if text.contains("does not speak TLS")), "{error}");
}

#[tokio::test]
async fn four_requests_are_under_way_at_a_time_and_one_once_little_is_left() {
    for (remaining, at_once) in [(96, 4), (95, 1)] {
        let left = move || user().header("ratelimit-limit", 960).header("ratelimit-remaining", remaining);
        let server = Server::answering(move |_| {
            left().header("ratelimit-reset", 60_000).after(Duration::from_millis(20))
        })
        .await;
        let client = server.client();
        client.user(&"PB2BOC8".into()).await.unwrap();
        let calls =
            (0..8).map(|_| client.clone()).map(|client| async move { client.user(&"PB2BOC8".into()).await });
        for result in futures_util::future::join_all(calls).await {
            assert!(result.is_ok(), "{result:?}");
        }
        assert_eq!((server.asked().len(), server.most_at_once()), (9, at_once));
    }
}

#[tokio::test]
async fn ids_cannot_name_another_resource() {
    let server = Server::always(404, "").await;
    let client = server.client();
    client.user(&"../abilities?a=b#c".into()).await.unwrap();
    assert_eq!(server.paths(), ["/users/..%2Fabilities%3Fa=b%23c"]);
}

#[tokio::test]
async fn an_impossible_token_is_refused_without_being_shown() {
    let server = Server::answering(|_| user()).await;
    let client = server.client_authorized_by(Auth::Key("line\nbreak".into()));
    let error = client.user(&"PB2BOC8".into()).await.unwrap_err();
    assert!(matches!(&error, Error::Unauthorized(text) if !text.contains("break")), "{error}");
    assert!(!format!("{client:?}").contains("break"));
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn the_observer_is_told_of_every_request() {
    let server = Server::answering(|asked| match asked.number {
        0 => Reply::new(500, ""),
        1 => user().header("ratelimit-remaining", 959).header("date", "Mon, 02 Nov 2026 07:14:03 GMT"),
        _ => Reply::new(404, ""),
    })
    .await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let client = server.client().with_observer(Arc::new(move |call| {
        assert!((0.0..5.0).contains(&call.seconds));
        let date =
            (call.status == Some(200)).then(|| call.server_date.map(|date| date.to_rfc3339())).flatten();
        let error = call.error.map(ToString::to_string);
        log.lock().unwrap().push((
            call.operation.name(),
            call.status,
            error,
            call.rate_limit.map(|limit| limit.remaining),
            date,
        ));
    }));

    client.user(&"PB2BOC8".into()).await.unwrap();
    client.policy(&"PEPAY01".into()).await.unwrap_err();

    let failed = |text: &str| Some(text.to_owned());
    assert_eq!(
        *calls.lock().unwrap(),
        [
            (
                "user",
                Some(500),
                failed("PagerDuty has trouble: GET /users/PB2BOC8: 500 Internal Server Error"),
                None,
                None
            ),
            ("user", Some(200), None, Some(959), failed("2026-11-02T07:14:03+00:00")),
            (
                "escalation_policy",
                Some(404),
                failed("not found: GET /escalation_policies/PEPAY01: 404 Not Found"),
                None,
                None
            ),
        ]
    );
}

#[tokio::test]
async fn calls_can_be_made_from_any_task() {
    let server = Server::answering(|_| Reply::new(404, "")).await;
    let client = server.client();
    let calls = async move {
        let of = [crate::model::Source::Schedule("PSCH001".into())];
        client.on_calls(&of, super::week()).await.unwrap_err();
        client.schedule(&"PSCH001".into(), super::week()).await.unwrap_err();
        client.subscriptions().await.unwrap_err();
    };
    tokio::spawn(calls).await.unwrap();
    assert_eq!(server.asked().len(), 4);
}
