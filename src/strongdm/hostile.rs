//! Answers of strongDM as somebody changed them.

use chrono::TimeDelta;
use proptest::prelude::*;
use prost::Message;
use prost_types::Timestamp;

use super::{
    RemoteGrant, convert,
    proto::{Account, AccountGrant, ResourceFields, User, account},
};
use crate::model::{
    Window, later,
    tests::{mutated, runs},
};

fn grant(start: i64, end: i64, access_rule: &str) -> Vec<u8> {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let (start_from, valid_until) = (at(start), at(end));
    let (id, resource_id, account_id) = ("ag-1".to_owned(), "rs-1".to_owned(), "a-1".to_owned());
    let access_rule = access_rule.to_owned();
    AccountGrant { id, resource_id, account_id, start_from, valid_until, access_rule }.encode_to_vec()
}

fn messages() -> Vec<Vec<u8>> {
    let user = User { id: "a-1".into(), email: "Ana@Corp.example".into(), ..User::default() };
    let groups = r#"{"privileges":{"k8s":{"groups":["a","b"]}}}"#;
    vec![
        grant(1_800_000_000, 1_800_003_600, groups),
        grant(i64::MIN, i64::MAX, "{}"),
        grant(0, -1, ""),
        Account { account: Some(account::Account::User(user)) }.encode_to_vec(),
        [vec![0x0a, 12], ResourceFields { id: "rs-1".into(), name: "db-1".into() }.encode_to_vec()].concat(),
    ]
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_message_is_read_or_refused(body in mutated(messages()), now in 0..4_000_000_000_i64) {
        let now = chrono::DateTime::from_timestamp(now, 0).expect("a year below 2100");
        if let Ok(message) = AccountGrant::decode(&body[..])
            && let Ok(RemoteGrant { id, start, end, .. }) = convert::grant(message)
        {
            prop_assert!(!id.as_str().is_empty());
            // As the comparison and the planner use them.
            let window = Window::new(start.unwrap_or(now), end.unwrap_or(now));
            if let Some(window) = window {
                prop_assert!(window.start() < window.end());
                prop_assert!(window.from(now).is_none_or(|rest| rest.start() >= now));
                prop_assert!(later(window.end(), TimeDelta::days(1)) >= window.end());
            }
        }
        if let Ok(message) = Account::decode(&body[..])
            && let Ok(Some((_, account))) = convert::account(message)
        {
            prop_assert!(!account.id.as_str().is_empty());
        }
        if let Ok(resource) = convert::resource(&body) {
            prop_assert!(!resource.id.as_str().is_empty());
        }
    }
}
