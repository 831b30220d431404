//! Calls that fail, wait, break or lose their answer.

use std::time::{Duration, Instant};

use sandbox::faults::{Action, Fault};
use sandbox::strongdm::v1;
use sandbox::world::{CEM, SCHEDULE};
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{ANY, answer, both, signed};

const ANA: &str = "ana@example.com";
const DB: &str = "prod-postgres";

#[tokio::test]
async fn rest_calls_fail_as_told() {
    let both = both().await;
    let faults = both.pagerduty.faults();
    faults.add(Fault::on("GET /oncalls", Action::http(503, "busy")).containing("offset=25"));
    assert_eq!(both.get("/oncalls").await.0, 200);
    let response = both.request("GET", "/oncalls?offset=25").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (503, "busy".into()));
    assert_eq!(both.get("/oncalls?offset=25").await.0, 200);

    faults.add(Fault::on("/users", Action::InvalidJson));
    let response = both.request("GET", "/users").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.json::<Value>().await.is_err());

    faults.add(Fault::on("/users", Action::Truncate));
    let response = both.request("GET", "/users").send().await;
    assert!(match response {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    });

    faults.add(Fault::on("/users", Action::Cut));
    let path = format!("{}/users", both.pagerduty.url());
    // A client without a pool of connections does not try again by itself.
    let fresh = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().unwrap();
    assert!(fresh.get(path).send().await.is_err());
    assert_eq!(both.pagerduty.requests().last().unwrap().status, None);

    faults.add(Fault::on("", Action::delay(Duration::from_millis(120))));
    let begin = Instant::now();
    assert_eq!(both.get("/users").await.0, 200);
    assert!(begin.elapsed() >= Duration::from_millis(120));
    assert!(faults.armed().is_empty());
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work() {
    let both = both().await;
    let path = format!("/schedules/{SCHEDULE}/overrides");
    let body = json!({"overrides": [{
        "start": both.now,
        "end": both.now + chrono::TimeDelta::hours(1),
        "user": {"id": CEM, "type": "user_reference"},
    }]});
    both.pagerduty.faults().add(Fault::on(format!("POST {path}"), Action::http(502, "")).after_work());
    assert_eq!(answer(both.request("POST", &path).json(&body)).await.0, 502);
    assert_eq!(both.pagerduty.edit(|world| world.schedule(SCHEDULE).unwrap().overrides.len()), 1);

    let unavailable = Action::grpc(Code::Unavailable, "lost");
    both.strongdm.faults().add(Fault::on("AccountGrants.Create", unavailable).after_work());
    assert_eq!(both.create(ANA, DB, None, Some(600)).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(both.strongdm.grants_of(ANA, DB).len(), 1);

    both.strongdm.faults().add(Fault::on("AccountGrants.Create", Action::Cut).after_work());
    assert!(both.create(ANA, DB, None, Some(600)).await.is_err());
    assert_eq!(both.strongdm.grants_of(ANA, DB).len(), 2);
    assert_eq!(both.listed().await.len(), 2, "the client connects again");
}

#[tokio::test]
async fn grpc_calls_fail_as_told() {
    let both = both().await;
    let account = both.strongdm.account_id(ANA).unwrap();
    let faults = both.strongdm.faults();
    let internal = Action::grpc(Code::Internal, "broken");
    faults.add(Fault::on("AccountGrants.Create", internal).containing(format!("account_id={account}")));
    assert!(both.create("cem@example.com", DB, None, Some(60)).await.is_ok());
    assert_eq!(both.create(ANA, DB, None, Some(60)).await.unwrap_err().code(), Code::Internal);
    assert!(both.strongdm.grants_of(ANA, DB).is_empty());

    faults.add(Fault::on("AccountGrants.", Action::http(503, "")));
    assert_eq!(both.create(ANA, DB, None, Some(60)).await.unwrap_err().code(), Code::Unavailable);
    faults.add(Fault::on("AccountGrants.List", Action::Truncate));
    let request = signed("AccountGrants.List", v1::AccountGrantListRequest::default());
    assert!(both.grants().list(request).await.is_err());

    let call = &both.strongdm.calls()[1];
    assert_eq!((call.method.as_str(), call.fact("account_id")), ("AccountGrants.Create", account.as_str()));
    assert_eq!(call.code, Some(Code::Internal.into()));
}

#[tokio::test]
async fn a_gate_holds_calls_until_it_opens() {
    let both = both().await;
    let gate = both.strongdm.faults().gate("AccountGrants.Create");
    let first = async { both.create(ANA, DB, None, Some(60)).await.is_ok() };
    let second = async { both.create(ANA, "prod-web-1", None, Some(60)).await.is_ok() };
    let test = async {
        gate.arrivals(2).await;
        assert!(both.strongdm.grants().is_empty());
        gate.release_one();
        both.strongdm.faults().clear();
    };
    let (first, second, ()) = tokio::join!(first, second, test);
    assert!(first && second);
    assert_eq!(both.strongdm.max_in_flight(), 2);
    assert_eq!(both.strongdm.counts().creates, 2);
}

#[tokio::test]
async fn a_gate_after_the_work_holds_only_the_answer() {
    let both = both().await;
    let fault = Fault::on("AccountGrants.Create", Action::Stall).after_work();
    let gate = both.strongdm.faults().gate_with(fault);
    let create = both.create(ANA, DB, None, Some(60));
    let test = async {
        gate.arrived().await;
        assert_eq!(both.strongdm.grants().len(), 1);
        gate.open();
    };
    assert!(tokio::join!(create, test).0.is_ok());
}

#[tokio::test]
async fn a_stopped_server_refuses_connections_and_comes_back() {
    let both = both().await;
    assert_eq!(both.get("/users").await.0, 200);
    both.pagerduty.server().stop().await;
    assert!(both.request("GET", "/users").send().await.unwrap_err().is_connect());
    both.pagerduty.server().restart().await.unwrap();
    assert_eq!(both.get("/users").await.0, 200);

    assert!(both.listed().await.is_empty());
    both.strongdm.server().cut_connections();
    let mut listed = both.grants();
    let again = || signed("AccountGrants.List", v1::AccountGrantListRequest::default());
    // The first call may still meet the dropped connection.
    let _ = listed.list(again()).await;
    assert!(listed.list(again()).await.is_ok());
}

#[tokio::test]
async fn people_look_and_break_things_over_http() {
    let both = both().await;
    let control = both.strongdm.start_control(ANY).await.unwrap();
    both.create(ANA, DB, None, Some(600)).await.unwrap();
    let (_, grants) = answer(both.http.get(format!("{control}/_sandbox/grants"))).await;
    assert_eq!((&grants[0]["account"], &grants[0]["resource"]), (&json!(ANA), &json!(DB)));
    assert_eq!(grants[0]["in_force"], true);

    let fault = json!({"on": "AccountGrants.", "action": {"kind": "grpc", "code": 8, "reset_in_secs": 5}});
    let url = format!("{control}/_sandbox/faults");
    let (status, body) = answer(both.http.post(&url).json(&fault)).await;
    assert_eq!((status, &body["id"]), (201, &json!(1)));
    let refused = both.create(ANA, DB, None, Some(600)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!refused.details().is_empty());
    assert_eq!(answer(both.http.delete(&url)).await.0, 204);
    assert!(both.create(ANA, DB, None, Some(600)).await.is_ok());

    let id = grants[0]["id"].as_str().unwrap();
    assert_eq!(answer(both.http.delete(format!("{control}/_sandbox/grants/{id}"))).await.0, 204);
    assert_eq!(both.listed().await.len(), 1);
}
