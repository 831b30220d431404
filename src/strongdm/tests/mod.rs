//! The client over the wire: what it sends, what it makes of the answers, how it behaves in trouble.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::Router;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use prost_types::Timestamp;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tonic::{Code, Status};

use self::fake::{Fake, Reply, say};
use super::{
    Client, Error, GrantList, Options, RemoteGrant,
    grpc::{options::Timing, sign::sign},
    operation::Operation,
    proto::{
        Account, AccountGrant, AccountGrantCreateRequest, AccountGrantCreateResponse,
        AccountGrantDeleteResponse, AccountGrantListRequest, AccountGrantListResponse, AccountListRequest,
        AccountListResponse, ListResponseMetadata, RateLimitMetadata, User, account,
    },
};
use crate::model::{AccountId, GrantId, KubernetesGroups, ResourceId, Terms, Window};

mod fake;

const ACCESS_KEY: &str = "auth-0011223344556677";
const SECRET_KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

/// The codes of all requests, as the observer heard them.
type Codes = Arc<Mutex<Vec<&'static str>>>;

fn client(url: &str) -> (Client, Codes) {
    let codes = Codes::default();
    let options = Options {
        user_agent: "oncall-grants/test".to_owned(),
        timing: Timing {
            connect: Duration::from_millis(300),
            attempt: Duration::from_millis(500),
            call: Duration::from_secs(3),
            list: Duration::from_secs(5),
            longest_wait: Duration::from_millis(400),
            first_pause: Duration::from_millis(2),
            attempts: 3,
        },
        proxy: None,
        max_filter_matches: 2,
        observer: Arc::new({
            let codes = Arc::clone(&codes);
            move |outcome| codes.lock().unwrap().push(outcome.code)
        }),
    };
    let secret = BASE64_STANDARD.decode(SECRET_KEY).unwrap().into();
    let tls = crate::tls::client_config().unwrap();
    let client = Client::new(tls, &url.parse().unwrap(), &format!(" {ACCESS_KEY}\n").into(), secret, options);
    (client.unwrap(), codes)
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn stamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: 0 }
}

fn account() -> AccountId {
    "a-1".into()
}

fn resource() -> ResourceId {
    "rs-1".into()
}

fn terms() -> Terms {
    Window::new(at(0), at(60)).unwrap().into()
}

fn wire_grant(id: &str) -> AccountGrant {
    AccountGrant {
        id: id.into(),
        resource_id: "rs-1".into(),
        account_id: "a-1".into(),
        start_from: Some(stamp(at(0))),
        valid_until: Some(stamp(at(60))),
        access_rule: "{}".into(),
    }
}

fn grant(id: &str) -> RemoteGrant {
    RemoteGrant {
        id: id.into(),
        account: account(),
        resource: resource(),
        start: Some(at(0)),
        end: Some(at(60)),
        groups: Some(KubernetesGroups::default()),
    }
}

fn created(grant: AccountGrant) -> Reply {
    say(&AccountGrantCreateResponse { account_grant: Some(grant), rate_limit: None })
}

fn listed(ids: &[&str], next: &str) -> Reply {
    say(&AccountGrantListResponse {
        meta: Some(ListResponseMetadata { next_cursor: next.into() }),
        account_grants: ids.iter().map(|id| wire_grant(id)).collect(),
        rate_limit: None,
    })
}

fn denied(operation: Operation) -> Error {
    Error::PermissionDenied { operation, words: "PERMISSION_DENIED: because".to_owned() }
}

fn refuse(code: Code) -> Reply {
    Reply::Refuse(Status::new(code, "because"))
}

#[tokio::test]
async fn a_grant_is_sent_signed_with_both_ends() {
    let fake = Fake::start([created(wire_grant("ag-1"))]).await;
    let (client, codes) = client(&fake.url);
    let before = crate::clock::now();
    let made = client.create_grant(&account(), &resource(), &terms()).await;
    let after = crate::clock::now();
    assert_eq!(made, Ok(grant("ag-1")));
    assert_eq!(*codes.lock().unwrap(), ["OK"]);

    let received = fake.received().remove(0);
    assert_eq!(received.path, "/v1.AccountGrants/Create");
    let header = |name: &str| received.headers[name].to_str().unwrap();
    assert_eq!(header("x-sdm-authentication"), ACCESS_KEY);
    assert_eq!(header("x-sdm-api-version"), "2025-04-14");
    assert_eq!(header("x-sdm-user-agent"), "oncall-grants/test");
    let secret = BASE64_STANDARD.decode(SECRET_KEY).unwrap();
    let signed = |now: DateTime<Utc>| sign(&secret, now.date_naive(), "AccountGrants.Create", &received.body);
    assert!([signed(before), signed(after)].iter().any(|signature| signature == header("x-sdm-signature")));
    let request = AccountGrantCreateRequest::decode(received.body).unwrap();
    let expected = AccountGrant { id: String::new(), ..wire_grant("") };
    assert_eq!(request, AccountGrantCreateRequest { meta: None, account_grant: Some(expected) });
}

#[tokio::test]
async fn a_create_is_repeated_only_if_it_was_surely_not_done() {
    let unclear = |text: &str| Err(Error::Unclear(text.to_owned()));
    let other = AccountGrant { account_id: "a-2".into(), ..wire_grant("ag-1") };
    for (replies, expected, requests) in [
        (vec![refuse(Code::ResourceExhausted), created(wire_grant("ag-1"))], Ok(grant("ag-1")), 2),
        (vec![refuse(Code::Unavailable)], unclear("UNAVAILABLE: because"), 1),
        (vec![refuse(Code::Internal)], unclear("INTERNAL: because"), 1),
        (vec![refuse(Code::AlreadyExists)], Err(Error::AlreadyExists("ALREADY_EXISTS: because".into())), 1),
        (vec![Reply::Stall], unclear("no answer within 500.0ms"), 1),
        (
            vec![created(other)],
            unclear("the answer to AccountGrants.Create is about another account or resource"),
            1,
        ),
        (vec![created(wire_grant(""))], unclear("the answer to AccountGrants.Create has no id"), 1),
        (vec![Reply::Say(vec![])], unclear("the answer to AccountGrants.Create has no grant"), 1),
    ] {
        let fake = Fake::start(replies).await;
        let (client, _) = client(&fake.url);
        let result = client.create_grant(&account(), &resource(), &terms()).await;
        assert_eq!(result, expected);
        assert_eq!(fake.received().len(), requests, "{expected:?}");
    }
    let fake = Fake::start([Reply::Say(vec![0xff])]).await;
    let result = client(&fake.url).0.create_grant(&account(), &resource(), &terms()).await;
    assert!(matches!(result, Err(Error::Unclear(_))), "{result:?}");
}

#[tokio::test]
async fn a_delete_is_done_when_the_grant_is_gone() {
    let id: GrantId = "ag-1".into();
    let done = || say(&AccountGrantDeleteResponse::default());
    let denied = || denied(Operation::DeleteGrant);
    for (replies, expected, requests) in [
        (vec![done()], Ok(()), 1),
        (vec![refuse(Code::NotFound)], Ok(()), 1),
        (vec![refuse(Code::Unavailable), refuse(Code::NotFound)], Ok(()), 2),
        (vec![Reply::Stall, done()], Ok(()), 2),
        (
            vec![refuse(Code::Internal), refuse(Code::Internal), refuse(Code::Internal)],
            Err(Error::Unclear("INTERNAL: because".into())),
            3,
        ),
        (vec![refuse(Code::PermissionDenied)], Err(denied()), 1),
        (
            vec![refuse(Code::Unavailable), refuse(Code::PermissionDenied)],
            Err(Error::Unclear(denied().to_string())),
            2,
        ),
    ] {
        let fake = Fake::start(replies).await;
        assert_eq!(client(&fake.url).0.delete_grant(&id).await, expected);
        assert_eq!(fake.received().len(), requests, "{expected:?}");
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_each_item_counts_once() {
    let fake = Fake::start([
        listed(&["ag-2", "ag-1"], "more"),
        refuse(Code::Unavailable),
        listed(&["ag-2", "ag-3"], ""),
    ])
    .await;
    let found = client(&fake.url).0.grants_of(&account(), &resource()).await;
    assert_eq!(found, Ok(vec![grant("ag-1"), grant("ag-2"), grant("ag-3")]));
    let requests: Vec<_> =
        fake.received().into_iter().map(|r| AccountGrantListRequest::decode(r.body).unwrap()).collect();
    assert_eq!(requests.len(), 3);
    for (request, cursor) in requests.iter().zip(["", "more", "more"]) {
        assert_eq!(request.filter, r#"account_id:"a-1",resource_id:"rs-1""#);
        let meta = request.meta.as_ref().unwrap();
        assert_eq!((meta.cursor.as_str(), meta.page, meta.limit), (cursor, 0, 100));
    }
}

async fn all_grants(client: &Client) -> Result<Vec<RemoteGrant>, Error> {
    let mut list = GrantList::default();
    while !client.more_grants(&mut list).await? {}
    Ok(list.grants().into_values().collect())
}

#[tokio::test]
async fn a_list_of_all_grants_goes_on_at_the_page_that_failed_and_asks_for_less_where_much_is_refused() {
    let fake = Fake::start([
        refuse(Code::InvalidArgument),
        listed(&["ag-1"], "second"),
        refuse(Code::PermissionDenied),
        listed(&["ag-2"], ""),
    ])
    .await;
    let (client, mut list) = (client(&fake.url).0, GrantList::default());
    assert_eq!(client.more_grants(&mut list).await, Ok(false));
    assert_eq!(client.more_grants(&mut list).await, Err(denied(Operation::ListGrants)));
    assert_eq!(list.pages(), 1);
    assert_eq!(client.more_grants(&mut list).await, Ok(true));
    assert_eq!(list.grants().into_values().collect::<Vec<_>>(), [grant("ag-1"), grant("ag-2")]);
    let asked =
        fake.received().into_iter().map(|r| AccountGrantListRequest::decode(r.body).unwrap().meta.unwrap());
    let asked: Vec<_> = asked.map(|meta| (meta.cursor, meta.limit)).collect();
    let expected = [("", 1000), ("", 100), ("second", 100), ("second", 100)];
    assert_eq!(asked, expected.map(|(cursor, limit)| (cursor.to_owned(), limit)));
}

#[tokio::test]
async fn grants_are_found_by_their_ids_if_one_page_holds_them() {
    let fake = Fake::start([listed(&["ag-1", "ag-9"], ""), listed(&["ag-1"], "more")]).await;
    let client = client(&fake.url).0;
    let ids = ["ag-1".into(), "ag-2".into()];
    let ids = [&ids[0], &ids[1]];
    assert_eq!(client.grants_by_id(&ids).await, Ok(Some(vec![grant("ag-1")])));
    assert_eq!(client.grants_by_id(&ids).await, Ok(None), "one could slip through between two pages");
    let request = AccountGrantListRequest::decode(fake.received().remove(0).body).unwrap();
    assert_eq!(request.filter, r#"id:"ag-1",id:"ag-2""#);
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    for (replies, expected) in [
        (
            vec![listed(&["ag-1"], "again"), listed(&["ag-1"], "again")],
            Error::Invalid("AccountGrants.List goes round in circles".into()),
        ),
        (vec![listed(&["ag-1"], "more"), refuse(Code::PermissionDenied)], denied(Operation::ListGrants)),
        (vec![listed(&["ag-1", ""], "")], Error::Invalid("an account grant without an id".into())),
        (
            vec![refuse(Code::Internal), refuse(Code::Unknown), refuse(Code::Unavailable)],
            Error::Unavailable("UNAVAILABLE: because".into()),
        ),
    ] {
        let fake = Fake::start(replies).await;
        assert_eq!(all_grants(&client(&fake.url).0).await, Err(expected));
    }
}

#[tokio::test]
async fn answers_are_compared_again_with_the_question() {
    let user = |id: &str, email: &str| Account {
        account: Some(account::Account::User(User { id: id.into(), email: email.into(), ..User::default() })),
    };
    let accounts = vec![user("a-2", "xalice@corp.example"), user("a-1", "ALICE@corp.example")];
    let accounts = AccountListResponse { meta: None, accounts, rate_limit: None };
    let stranger = AccountGrant { resource_id: "rs-9".into(), ..wire_grant("ag-2") };
    let grants = AccountGrantListResponse {
        meta: None,
        account_grants: vec![wire_grant("ag-1"), stranger],
        rate_limit: None,
    };
    let another =
        say(&AccountGrantCreateResponse { account_grant: Some(wire_grant("ag-8")), rate_limit: None });
    let fake = Fake::start([say(&accounts), say(&grants), another, refuse(Code::NotFound)]).await;
    let (client, _) = client(&fake.url);

    let found = client.accounts_by_email(&"alice@corp.example".parse().unwrap()).await.unwrap();
    assert_eq!(found.iter().map(|account| account.id.as_str()).collect::<Vec<_>>(), ["a-1"]);
    let request = AccountListRequest::decode(fake.received().remove(0).body).unwrap();
    assert_eq!(request.filter, r#"email:"alice@corp.example""#);
    assert_eq!(client.grants_of(&account(), &resource()).await, Ok(vec![grant("ag-1")]));
    assert!(matches!(client.get_grant(&"ag-1".into()).await, Err(Error::Invalid(_))));
    assert_eq!(client.get_grant(&"ag-1".into()).await, Ok(None));
}

#[tokio::test]
async fn what_must_not_be_asked_is_not_sent() {
    let fake = Fake::start([]).await;
    let (client, codes) = client(&fake.url);
    let refused = |error: Option<Error>| assert!(matches!(error, Some(Error::Refused(_))), "{error:?}");
    refused(client.resources_by_name("prod*").await.err());
    refused(client.resources_by_name("").await.err());
    refused(client.resources_by_filter(" ").await.err());
    refused(client.grants_of(&"".into(), &resource()).await.err());
    refused(client.create_grant(&account(), &"".into(), &terms()).await.err());
    refused(client.get_grant(&"".into()).await.err());
    refused(client.delete_grant(&"".into()).await.err());
    assert!(codes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn writes_wait_for_the_rate_limit_but_not_for_long() {
    let limit = RateLimitMetadata {
        limit: 500,
        remaining: 1,
        reset_at: Some(stamp(crate::clock::now() + TimeDelta::hours(1))),
        bucket: "writes".into(),
    };
    let low = || {
        say(&AccountGrantCreateResponse {
            account_grant: Some(wire_grant("ag-1")),
            rate_limit: Some(limit.clone()),
        })
    };
    let fake = Fake::start([low(), low()]).await;
    let (client, _) = client(&fake.url);
    client.create_grant(&account(), &resource(), &terms()).await.unwrap();
    let started = Instant::now();
    client.create_grant(&account(), &resource(), &terms()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn no_more_than_four_writes_are_under_way() {
    let fake = Fake::start((0..12).map(|_| say(&AccountGrantDeleteResponse::default()))).await;
    let (client, _) = client(&fake.url);
    let deletes = (0..12).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.delete_grant(&"ag-1".into()).await })
    });
    for delete in deletes.collect::<Vec<_>>() {
        assert_eq!(delete.await.unwrap(), Ok(()));
    }
    assert_eq!(fake.most_in_flight(), 4);
}

#[tokio::test]
async fn without_a_connection_nothing_was_done() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (client, codes) = client(&format!("http://{gone}"));
    let result = client.create_grant(&account(), &resource(), &terms()).await;
    assert!(matches!(&result, Err(Error::Unavailable(text)) if text.contains("refused")), "{result:?}");
    assert_eq!(*codes.lock().unwrap(), ["CONNECT"; 3]);
}

#[tokio::test]
async fn a_peer_that_never_finishes_tls_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, codes) = client(&format!("https://{}", silent.local_addr().unwrap()));
    let started = Instant::now();
    let result = client.create_grant(&account(), &resource(), &terms()).await;
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(*codes.lock().unwrap(), ["CONNECT"; 3]);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_create_unclear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, codes) = client(&format!("http://{}", listener.local_addr().unwrap()));
    let breaking = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Only a part is read, so closing is a reset.
        while stream.try_read(&mut [0; 24]).is_err() {
            stream.readable().await.unwrap();
        }
    });
    let result = client.create_grant(&account(), &resource(), &terms()).await;
    assert!(matches!(result, Err(Error::Unclear(_))), "{result:?}");
    assert_eq!(*codes.lock().unwrap(), ["TRANSPORT"]);
    breaking.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_lost_while_idle_harms_nothing() {
    let fake = Fake::start([created(wire_grant("ag-1")), created(wire_grant("ag-2"))]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, codes) = client(&format!("http://{}", listener.local_addr().unwrap()));
    let cut = Arc::new(Notify::new());
    tokio::spawn({
        let (target, cut) = (fake.url.replace("http://", ""), Arc::clone(&cut));
        async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&target).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = cut.notified() => {}
                }
            }
        }
    });
    assert_eq!(client.create_grant(&account(), &resource(), &terms()).await, Ok(grant("ag-1")));
    cut.notify_one();
    // Until the end of the connection has come through.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.create_grant(&account(), &resource(), &terms()).await, Ok(grant("ag-2")));
    assert_eq!(*codes.lock().unwrap(), ["OK", "OK"]);
}

#[tokio::test]
async fn a_status_that_tonic_chokes_on_is_only_a_failed_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, _) = client(&format!("http://{}", listener.local_addr().unwrap()));
    let headers =
        [("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-status-details-bin", "!")];
    let router = Router::new().fallback(async move || headers);
    tokio::spawn(async { axum::serve(listener, router).await });
    assert!(matches!(all_grants(&client).await, Err(Error::Unavailable(_))));
    assert!(matches!(client.create_grant(&account(), &resource(), &terms()).await, Err(Error::Unclear(_))));
}
