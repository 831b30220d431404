//! The token endpoint of PagerDuty's identity service, and what its tokens open.

use chrono::TimeDelta;
use sandbox::faults::{Action, Fault};
use sandbox::world::{CLIENT_ID, CLIENT_SECRET, SUBDOMAIN, TEAM};
use serde_json::{Value, json};

use crate::support::{Both, answer, both, sample};

const EVERYTHING: &str =
    "as_account-us.acme oncalls.read schedules.read users.read escalation_policies.read services.read";

impl Both {
    async fn form(&self, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/oauth/token", self.pagerduty.url());
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        answer(self.http.post(url).header(kind.0, kind.1).body(form.finish())).await
    }

    async fn token(&self, scope: &str) -> (u16, Value) {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", scope),
        ];
        self.form(&fields).await
    }

    /// A token with these scopes beside the one of the account.
    async fn bearer(&self, scope: &str) -> String {
        let (status, body) = self.token(&format!("as_account-us.{SUBDOMAIN} {scope}")).await;
        assert_eq!(status, 200, "{body}");
        format!("Bearer {}", body["access_token"].as_str().unwrap())
    }

    async fn status(&self, method: &str, path: &str, authorization: &str) -> u16 {
        let url = format!("{}{path}", self.pagerduty.url());
        let request = self.http.request(method.parse().unwrap(), url);
        answer(request.header("Authorization", authorization)).await.0
    }
}

#[tokio::test]
async fn an_app_gets_a_token_with_the_scopes_that_it_has() {
    let both = both().await;
    let (status, body) = both.token(EVERYTHING).await;
    assert_eq!(status, 200);
    assert!(body["access_token"].as_str().unwrap().starts_with("pdus+_"));
    assert_eq!(body["scope"], EVERYTHING);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(86_400)));

    let (_, body) = both.token("as_account-us.acme oncals.read users.write users.read").await;
    assert_eq!(body["scope"], "as_account-us.acme users.read", "the rest is dropped without a word");
    assert_eq!(both.token("as_account-eu.acme nonsense").await.1["scope"], "openid");
    let issued = both.pagerduty.access_tokens();
    assert_eq!((issued.len(), issued[2].asked.len(), issued[2].scopes[0].as_str()), (3, 2, "openid"));

    let requests = both.pagerduty.requests();
    assert_eq!((requests[0].path.as_str(), requests[0].status), ("/oauth/token", Some(200)));
}

#[tokio::test]
async fn who_is_no_client_gets_no_token() {
    let both = both().await;
    let client = [("grant_type", "client_credentials"), ("client_id", CLIENT_ID)];
    let with = |more: (&'static str, &'static str)| [client[0], client[1], more];
    for (fields, status, error) in [
        (with(("client_secret", "wrong")).to_vec(), 401, "invalid_client"),
        (client.to_vec(), 401, "invalid_client"),
        (vec![("grant_type", "authorization_code")], 400, "unsupported_grant_type"),
        (vec![], 400, "unsupported_grant_type"),
    ] {
        assert_eq!(both.form(&fields).await, (status, json!({"error": error})), "{fields:?}");
    }
    let url = format!("{}/oauth/token", both.pagerduty.url());
    let as_json = both.http.post(url).json(&json!({"grant_type": "client_credentials"}));
    assert_eq!(answer(as_json).await, (400, json!({"error": "invalid_request"})));
    both.pagerduty.faults().add(Fault::on("POST /oauth/token", Action::http(503, "{}")));
    assert_eq!(both.token(EVERYTHING).await.0, 503);
    assert!(both.pagerduty.access_tokens().is_empty());
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_name() {
    let both = both().await;
    let members = format!("/teams/{TEAM}/members");
    for (scope, open, closed) in [
        ("oncalls.read", "/oncalls", "/users"),
        ("users.read", "/users", "/oncalls"),
        ("users.read", "/schedules/PI7DH85/users", "/schedules/PI7DH85"),
        ("schedules.read", "/schedules/PI7DH85", "/schedules/PI7DH85/users"),
        ("schedules.read", "/v3/schedules/PV3TEAM", "/incidents"),
        ("escalation_policies.read", "/escalation_policies", "/services/PSPAY01"),
        ("services.read", "/services/PSPAY01", "/escalation_policies/PT20YPA"),
        ("incidents.read", "/incidents", members.as_str()),
        ("teams.read", &members, "/priorities"),
        ("priorities.read", "/priorities", "/incidents/Q1"),
        ("webhook_subscriptions.read", "/webhook_subscriptions", "/users/PA1NAL7"),
    ] {
        let bearer = both.bearer(scope).await;
        assert_eq!(both.status("GET", open, &bearer).await, 200, "{scope} {open}");
        assert_eq!(both.status("GET", closed, &bearer).await, 403, "{scope} {closed}");
    }
    let reader = both.bearer("webhook_subscriptions.read").await;
    assert_eq!(both.status("DELETE", "/webhook_subscriptions/P1", &reader).await, 403);
    let writer = both.bearer("webhook_subscriptions.write").await;
    assert_eq!(both.status("DELETE", "/webhook_subscriptions/P1", &writer).await, 404);

    let (_, homeless) = both.token("users.read").await;
    let homeless = format!("Bearer {}", homeless["access_token"].as_str().unwrap());
    assert_eq!(both.status("GET", "/users", &homeless).await, 403, "no scope names the account");
    assert_eq!(both.status("GET", "/users", "Bearer pdus+_made-up").await, 401);
}

#[tokio::test]
async fn a_token_expires() {
    let both = both().await;
    both.pagerduty.configure(|settings| settings.oauth.lifetime_secs = 60);
    let bearer = both.bearer("users.read").await;
    both.pagerduty.clock().advance(TimeDelta::seconds(59));
    assert_eq!(both.status("GET", "/users", &bearer).await, 200);
    both.pagerduty.clock().advance(TimeDelta::seconds(1));
    let url = format!("{}/users", both.pagerduty.url());
    let expired = both.http.get(url).header("Authorization", &bearer);
    assert_eq!(answer(expired).await, (401, sample("error-401")));

    let bearer = both.bearer("users.read").await;
    both.pagerduty.expire_access_tokens();
    assert_eq!(both.status("GET", "/users", &bearer).await, 401);

    both.pagerduty.configure(|settings| settings.oauth.granted.remove("users.read"));
    let bearer = both.bearer("users.read").await;
    assert_eq!(both.status("GET", "/users", &bearer).await, 403);
    assert_eq!(both.get("/users").await.0, 200, "keys serve beside tokens");
}
