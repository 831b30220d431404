//! Teams with their members, and priorities.

use sandbox::faults::{Action, Fault};
use sandbox::pagerduty::{Ability, ApiToken};
use sandbox::world::{ANA, BO, DENIZ, ELA, P1, P2, TEAM};
use serde_json::json;

use crate::support::{both, sample};

#[tokio::test]
async fn a_team_shows_its_members_page_by_page() {
    let both = both().await;
    let (status, body) = both.get(&format!("/teams/{TEAM}")).await;
    assert_eq!((status, &body["team"]["name"]), (200, &json!("Payments")));
    let (_, body) = both.get(&format!("/teams/{TEAM}/members?limit=2")).await;
    let of = |index: usize| body["members"][index]["user"]["id"].as_str().unwrap();
    assert_eq!((of(0), of(1), &body["more"]), (BO, DENIZ, &json!(true)));
    assert_eq!(body["members"][0]["user"]["type"], "user_reference");
    assert!(body["members"][0]["role"].is_string());
    let (_, body) = both.get(&format!("/teams/{TEAM}/members?limit=2&offset=2&include[]=users")).await;
    let ela = &body["members"][0]["user"];
    assert_eq!(
        (&ela["id"], &ela["email"], &body["more"]),
        (&json!(ELA), &json!("ela@example.com"), &json!(false))
    );
    assert_eq!(ela["teams"][0]["id"], TEAM);
    assert_eq!(both.get(&format!("/users/{ANA}")).await.1["user"]["teams"], json!([]));
    assert_eq!(both.get("/teams/PNOSUCH/members").await, (404, sample("error-404")));
    both.pagerduty.faults().add(Fault::on("/teams", Action::http(500, "{}")));
    assert_eq!(both.get(&format!("/teams/{TEAM}/members")).await.0, 500);
}

#[tokio::test]
async fn priorities_are_listed_where_the_account_has_them() {
    let both = both().await;
    let (_, body) = both.get("/priorities").await;
    let ids = body["priorities"].as_array().unwrap().iter().map(|priority| priority["id"].as_str().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), [P1, P2]);
    assert_eq!(body["priorities"][0]["summary"], "P1");
    both.pagerduty.configure(|settings| settings.lacks.insert(Ability::Priorities));
    let (status, body) = both.get("/priorities").await;
    assert_eq!((status, &body["error"]["code"]), (402, &json!(2014)));
}

#[tokio::test]
async fn a_key_may_be_kept_from_incidents_teams_and_priorities() {
    let both = both().await;
    both.pagerduty.configure(|settings| {
        let token = settings.tokens[0].token.clone();
        let denied = ["/incidents", "/teams", "/priorities"].map(str::to_owned);
        settings.tokens = vec![ApiToken { token, read_only: true, denied: denied.into() }];
    });
    for path in ["/incidents", "/incidents/Q1", "/teams/PT3AMPY", "/teams/PT3AMPY/members", "/priorities"] {
        assert_eq!(both.get(path).await, (403, sample("error-403")), "{path}");
    }
}
