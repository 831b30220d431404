use super::{sample, server::Server};
use crate::pagerduty::Error;

#[tokio::test]
async fn a_user_is_told_as_pagerduty_writes_them() {
    let server = Server::always(200, sample("users-id.json")).await;
    let user = server.client().user(&"PB2BOC8".into()).await.unwrap().unwrap();
    assert_eq!(user.id, "PB2BOC8".into());
    assert_eq!(user.name.as_deref(), Some("Bo Chen"));
    assert_eq!(user.email.as_deref(), Some("Bo.Chen@Example.com"));
    assert_eq!(server.paths(), ["/users/PB2BOC8"]);
}

#[tokio::test]
async fn a_deleted_user_is_none() {
    let server = Server::always(404, sample("error-404.json")).await;
    assert_eq!(server.client().user(&"PD4DEE0".into()).await, Ok(None));
}

#[tokio::test]
async fn a_user_may_have_no_address() {
    for body in [r#"{"user":{"id":"PB2BOC8"}}"#, r#"{"user":{"id":"PB2BOC8","email":""}}"#] {
        let server = Server::always(200, body).await;
        assert_eq!(server.client().user(&"PB2BOC8".into()).await.unwrap().unwrap().email, None);
    }
}

#[tokio::test]
async fn an_answer_about_someone_else_is_invalid() {
    let server = Server::always(200, sample("users-id.json")).await;
    let result = server.client().user(&"PA1NAL7".into()).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    let server = Server::always(200, sample("escalation_policies-id.json")).await;
    let result = server.client().policy(&"PEOTHER".into()).await;
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
}

#[tokio::test]
async fn a_policy_tells_its_levels_and_targets() {
    let server = Server::always(200, sample("escalation_policies-id.json")).await;
    let policy = server.client().policy(&"PEPAY01".into()).await.unwrap();
    assert_eq!((policy.name.as_deref(), policy.levels.len()), (Some("Payments EP"), 3));
    let schedules =
        policy.levels.iter().flat_map(|level| &level.schedules).map(crate::model::ScheduleId::as_str);
    assert_eq!(schedules.collect::<Vec<_>>(), ["PSCH001", "PSCH002", "PSCH003"]);
    assert_eq!(policy.levels[2].users, ["PA1NAL7".into()].into());
}

#[tokio::test]
async fn a_missing_policy_is_an_error() {
    let server = Server::always(404, sample("error-404.json")).await;
    let result = server.client().policy(&"PEGONE1".into()).await;
    assert!(matches!(result, Err(Error::NotFound(_))), "{result:?}");
}
