//! strongDM's lists: cursors, filters, budgets, types nobody knows.

use prost::Message;
use sandbox::strongdm::{SuspendedIn, v1};
use tonic::{Code, Status};

use crate::support::{Both, both, signed};

impl Both {
    async fn page(&self, filter: &str, limit: i32, cursor: &str) -> Result<v1::ResourceListResponse, Status> {
        let meta = v1::ListRequestMetadata { limit, cursor: cursor.into(), ..Default::default() };
        let message = v1::ResourceListRequest { meta: Some(meta), filter: filter.into() };
        self.resources().list(signed("Resources.List", message)).await.map(tonic::Response::into_inner)
    }

    async fn emails(&self, filter: &str) -> Vec<String> {
        let message = v1::AccountListRequest { meta: None, filter: filter.into() };
        let answer = self.accounts().list(signed("Accounts.List", message)).await.unwrap().into_inner();
        let users = answer.accounts.into_iter().filter_map(|account| match account.account {
            Some(v1::account::Account::User(user)) => Some(user.email),
            _ => None,
        });
        users.collect()
    }
}

#[tokio::test]
async fn cursors_lead_through_all_pages_once() {
    let both = both().await;
    let (mut seen, mut cursor) = (0, String::new());
    for left in [3, 1] {
        let answer = both.page("", 2, &cursor).await.unwrap();
        seen += answer.resources.len();
        cursor = answer.meta.unwrap().next_cursor;
        assert!(!cursor.is_empty());
        assert_eq!(5 - seen, left);
    }
    let last = both.page("", 0, &cursor).await.unwrap();
    assert_eq!(last.resources.len(), 1);
    assert_eq!(last.meta.unwrap().next_cursor, "");

    assert_eq!(both.page("name:prod*", 2, &cursor).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(both.page("", 2, "nonsense").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(both.page("", -1, "").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn filters_pick_by_tag_and_refuse_what_they_do_not_know() {
    let both = both().await;
    let count = |filter: &'static str| {
        let both = &both;
        async move { both.page(filter, 0, "").await.map(|answer| answer.resources.len()).map_err(|s| s.code()) }
    };
    assert_eq!(count("tags:env=prod").await, Ok(4));
    assert_eq!(count("tags:env=prod type:postgres").await, Ok(1));
    assert_eq!(count("tag:\"env\"=\"prod\",tag:team=platform").await, Ok(1));
    assert_eq!(count("name:\"PROD-*\"").await, Ok(4));
    assert_eq!(count("colour:red").await, Err(Code::InvalidArgument));
    assert_eq!(both.emails("email:\"*@example.com\"").await.len(), 4);
    assert_eq!(both.emails("email:\"BO.CHEN@example.com\",type:user").await, ["bo.chen@example.com"]);
    for field in [SuspendedIn::OldFlag, SuspendedIn::OldLevel, SuspendedIn::Flag, SuspendedIn::Level] {
        both.strongdm.suspend_user("ana@example.com", field);
        assert_eq!(both.emails("suspended:true").await, ["ana@example.com"], "{field:?}");
        both.strongdm.resume_user("ana@example.com");
    }
}

#[tokio::test]
async fn a_type_of_the_future_is_in_the_list() {
    let both = both().await;
    let answer = both.page("name:prod-new-thing", 0, "").await.unwrap();
    // The key of field 9001 with wire type 2.
    assert_eq!(answer.resources[0].encode_to_vec()[..3], [0xCA, 0xB2, 0x04]);
}

#[tokio::test]
async fn the_budget_ends_in_resource_exhausted() {
    let both = both().await;
    both.strongdm.configure(|settings| settings.read_budget = 1);
    let limit = both.page("", 0, "").await.unwrap().rate_limit.unwrap();
    assert_eq!((limit.limit, limit.remaining), (1, 0));
    assert!(limit.reset_at.is_some());

    let refused = both.page("", 0, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(String::from_utf8_lossy(refused.details()).contains("type.googleapis.com/v1.RateLimitMetadata"));
    both.strongdm.configure(|settings| settings.explain_rate_limit = false);
    assert!(both.page("", 0, "").await.unwrap_err().details().is_empty());
}
