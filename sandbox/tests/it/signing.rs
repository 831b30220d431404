//! Signatures of webhooks and of strongDM requests.

use chrono::Days;
use sandbox::pagerduty::sign;
use sandbox::strongdm::v1;
use serde_json::Value;
use tonic::Code;

use crate::support::{Both, both, data, signed, signed_on};

#[test]
fn webhook_vectors_are_judged_alike() {
    let vectors: Value = serde_json::from_str(&data("pagerduty/signature-vectors.json")).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 18);
    for vector in vectors {
        let body = data(&format!("pagerduty/{}", vector["body_file"].as_str().unwrap()));
        let secrets = vector["secrets"].as_array().unwrap();
        let mut entries = vector["header"].as_str().unwrap_or_default().split(',');
        let valid = entries.any(|entry| {
            secrets.iter().any(|secret| sign(secret.as_str().unwrap(), body.as_bytes()) == entry)
        });
        assert_eq!(valid, vector["valid"].as_bool().unwrap(), "{}", vector["name"]);
    }
}

async fn list_code(both: &Both, change: impl FnOnce(&mut tonic::metadata::MetadataMap)) -> Code {
    let mut request = signed("Accounts.List", v1::AccountListRequest::default());
    change(request.metadata_mut());
    both.accounts().list(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn every_header_counts() {
    let both = both().await;
    assert_eq!(list_code(&both, |_| {}).await, Code::Ok);
    for name in ["x-sdm-authentication", "x-sdm-signature", "x-sdm-api-version", "x-sdm-user-agent"] {
        let code = list_code(&both, |metadata| drop(metadata.remove(name))).await;
        assert_eq!(code, Code::Unauthenticated, "{name}");
    }
    let code = list_code(&both, |metadata| {
        metadata.insert("x-sdm-authentication", "auth-0".parse().unwrap());
    });
    assert_eq!(code.await, Code::Unauthenticated);
}

#[tokio::test]
async fn the_signature_is_bound_to_method_body_and_day() {
    let both = both().await;
    let message = v1::AccountListRequest { meta: None, filter: "suspended:false".into() };
    let other = both.accounts().list(signed("Accounts.Get", message.clone())).await;
    assert_eq!(other.unwrap_err().code(), Code::Unauthenticated);

    let mut changed = signed("Accounts.List", message.clone());
    changed.get_mut().filter = "suspended:true".into();
    assert_eq!(both.accounts().list(changed).await.unwrap_err().code(), Code::Unauthenticated);

    let yesterday = sandbox::clock::real_now().date_naive() - Days::new(1);
    let old = || signed_on(yesterday, "Accounts.List", message.clone());
    assert_eq!(both.accounts().list(old()).await.unwrap_err().code(), Code::Unauthenticated);
    both.strongdm.configure(|settings| settings.accept_neighbour_days = true);
    assert!(both.accounts().list(old()).await.is_ok());
}

#[tokio::test]
async fn the_day_follows_the_clock_unless_told_otherwise() {
    let both = both().await;
    both.strongdm.clock().advance(chrono::TimeDelta::days(2));
    assert_eq!(list_code(&both, |_| {}).await, Code::Unauthenticated);
    both.strongdm.configure(|settings| settings.date_follows_clock = false);
    assert_eq!(list_code(&both, |_| {}).await, Code::Ok);
}

#[tokio::test]
async fn a_key_does_only_what_it_may() {
    let both = both().await;
    both.strongdm.configure(|settings| settings.keys[0].permissions.remove("grant:write"));
    let refused = both.create("ana@example.com", "prod-postgres", None, Some(60)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.details().is_empty());
    assert!(both.listed().await.is_empty());

    both.strongdm.configure(|settings| settings.error_details = true);
    let refused = both.create("ana@example.com", "prod-postgres", None, Some(60)).await.unwrap_err();
    assert!(!refused.details().is_empty());
}
