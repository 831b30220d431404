//! What becomes of grants.

use chrono::TimeDelta;
use sandbox::strongdm::{PrivilegesNeed, SecondGrant, StoredEnd, StoredGroups, StoredStart, SuspendedIn, v1};
use tonic::Code;

use crate::support::{Both, both, signed};

const ANA: &str = "ana@example.com";
const DB: &str = "prod-postgres";

impl Both {
    async fn code(&self, email: &str, resource: &str, start: Option<i64>, end: Option<i64>) -> Code {
        self.create(email, resource, start, end).await.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    async fn delete(&self, id: &str) -> Code {
        let message = v1::AccountGrantDeleteRequest { meta: None, id: id.into() };
        let answer = self.grants().delete(signed("AccountGrants.Delete", message)).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    async fn get_grant(&self, id: &str) -> Code {
        let message = v1::AccountGrantGetRequest { meta: None, id: id.into() };
        let answer = self.grants().get(signed("AccountGrants.Get", message)).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }
}

#[tokio::test]
async fn a_grant_gives_access_until_it_is_removed() {
    let both = both().await;
    let grant = both.create(ANA, DB, Some(-3600), Some(3600)).await.unwrap();
    assert_eq!(both.listed().await, [grant.id.as_str()]);
    let soon = both.now + TimeDelta::minutes(1);
    assert!(both.strongdm.has_access("ANA@example.com", DB, soon));
    assert!(!both.strongdm.has_access(ANA, DB, both.now + TimeDelta::hours(1)));
    assert!(!both.strongdm.has_access("cem@example.com", DB, soon));

    assert_eq!(both.delete(&grant.id).await, Code::Ok);
    assert_eq!(both.delete(&grant.id).await, Code::NotFound);
    assert_eq!(both.get_grant(&grant.id).await, Code::NotFound);
    assert!(!both.strongdm.has_access(ANA, DB, soon));
    let counts = both.strongdm.counts();
    assert_eq!((counts.creates, counts.deletes, counts.writes()), (1, 1, 2));

    both.strongdm.configure(|settings| settings.keys[0].permissions.insert("audit:accountgrants".into()));
    let mut history =
        v1::account_grants_history_client::AccountGrantsHistoryClient::new(both.channel.clone());
    let request = signed("AccountGrantsHistory.List", v1::AccountGrantHistoryListRequest::default());
    let records = history.list(request).await.unwrap().into_inner().history;
    assert_eq!(records.iter().map(|r| r.deleted_at.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn an_ended_grant_is_gone() {
    let both = both().await;
    let grant = both.create(ANA, DB, None, Some(30)).await.unwrap();
    assert!(grant.start_from.unwrap().seconds >= both.now.timestamp());
    assert_eq!(both.get_grant(&grant.id).await, Code::Ok);
    both.strongdm.configure(|settings| settings.date_follows_clock = false);
    both.strongdm.clock().advance(TimeDelta::seconds(31));
    assert_eq!(both.get_grant(&grant.id).await, Code::NotFound);
    assert_eq!(both.delete(&grant.id).await, Code::NotFound);
    assert!(both.listed().await.is_empty());
    assert_eq!(both.strongdm.all_grants().len(), 1);
}

#[tokio::test]
async fn another_window_than_the_one_that_was_asked_for_may_be_stored() {
    use StoredEnd::{Dropped, Later, SecondsFromNow, SecondsFromStart};
    let both = both().await;
    let stored = async |start, end, asked: (i64, i64)| {
        both.strongdm.configure(|settings| (settings.stored_start, settings.stored_end) = (start, end));
        let answer = both.create(ANA, DB, Some(asked.0), Some(asked.1)).await.expect("a grant");
        let [grant] = both.strongdm.grants().try_into().expect("one grant");
        let seconds = |at: chrono::DateTime<chrono::Utc>| at.timestamp() - both.now.timestamp();
        let told = answer.valid_until.map(|at| at.seconds - both.now.timestamp());
        assert!(both.strongdm.remove_grant(&grant.id));
        // What begins now begins a moment later than the test.
        ((seconds(grant.start) / 60 * 60, grant.end.map(seconds)), told)
    };
    let (start, end) = (StoredStart::AsAsked, StoredEnd::AsAsked);
    assert_eq!(stored(start, end, (600, 6000)).await, ((600, Some(6000)), Some(6000)));
    assert_eq!(stored(start, SecondsFromStart(60), (600, 6000)).await, ((600, Some(660)), Some(660)));
    assert_eq!(stored(start, Later(60), (600, 6000)).await.1, Some(6060));
    assert_eq!(stored(start, Dropped, (600, 6000)).await, ((600, None), None));
    let clamped = stored(start, SecondsFromNow(900), (600, 6000)).await.1.expect("an end");
    assert!((900..960).contains(&clamped), "{clamped}");
    assert_eq!(stored(StoredStart::NotInThePast, end, (-600, 6000)).await.0, (0, Some(6000)));
    assert_eq!(stored(StoredStart::NotInThePast, end, (600, 6000)).await.0, (600, Some(6000)));
    assert_eq!(stored(StoredStart::Dropped, end, (600, 6000)).await.0, (0, Some(6000)));
    assert_eq!(stored(StoredStart::SecondsFromNow(120), end, (0, 6000)).await.0, (120, Some(6000)));
    assert_eq!(both.strongdm.counts().standing_grants_created, 0, "nobody asked for one");

    both.strongdm.configure(|settings| settings.answer_as_asked = true);
    assert_eq!(stored(start, Dropped, (600, 6000)).await, ((600, None), Some(6000)));
    assert_eq!(both.code(ANA, DB, Some(600), Some(6000)).await, Code::Ok);
    both.strongdm.configure(|settings| settings.stored_end = SecondsFromNow(60));
    assert_eq!(both.code(ANA, DB, Some(600), Some(6000)).await, Code::InvalidArgument, "nothing is left");
}

#[tokio::test]
async fn what_cannot_be_granted() {
    let both = both().await;
    assert_eq!(both.code("nobody@example.com", DB, None, Some(60)).await, Code::NotFound);
    assert_eq!(both.code(ANA, "no-such", None, Some(60)).await, Code::NotFound);
    assert_eq!(both.code(ANA, DB, Some(60), Some(60)).await, Code::InvalidArgument);
    assert_eq!(both.code(ANA, DB, Some(-60), Some(-30)).await, Code::InvalidArgument);
    both.strongdm.configure(|settings| {
        settings.refuse_past_start = true;
        settings.refuse_suspended = true;
    });
    assert_eq!(both.code(ANA, DB, Some(-3600), Some(60)).await, Code::InvalidArgument);
    assert_eq!(both.code(ANA, DB, Some(-5), Some(60)).await, Code::Ok);
    both.strongdm.suspend_user(ANA, SuspendedIn::Flag);
    assert_eq!(both.code(ANA, DB, None, Some(60)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_grant_without_an_end_stands_and_is_counted() {
    let both = both().await;
    assert_eq!(both.code(ANA, DB, None, None).await, Code::Ok);
    // Epoch 0 means that the time was not given.
    assert_eq!(both.code(ANA, DB, Some(-both.now.timestamp()), Some(-both.now.timestamp())).await, Code::Ok);
    assert_eq!(both.strongdm.counts().standing_grants_created, 2);
    assert!(both.strongdm.has_access(ANA, DB, both.now + TimeDelta::days(10_000)));
}

#[tokio::test]
async fn the_three_answers_to_a_second_grant() {
    use SecondGrant::{RefusesAny, RefusesOverlapping, TakesAll};
    for (mode, overlapping, adjoining) in [
        (TakesAll, Code::Ok, Code::Ok),
        (RefusesOverlapping, Code::AlreadyExists, Code::Ok),
        (RefusesAny, Code::AlreadyExists, Code::AlreadyExists),
    ] {
        let both = both().await;
        both.strongdm.configure(|settings| settings.second_grant = mode);
        both.create(ANA, DB, None, Some(600)).await.unwrap();
        assert_eq!(both.code(ANA, DB, Some(300), Some(900)).await, overlapping, "{mode:?}");
        assert_eq!(both.code(ANA, DB, Some(900), Some(1200)).await, adjoining, "{mode:?}");
        assert_eq!(both.code(ANA, "prod-web-1", None, Some(600)).await, Code::Ok);
    }
}

#[tokio::test]
async fn an_access_rule_is_read_as_strictly_as_the_official_clients_do() {
    use PrivilegesNeed::{Ids, Nothing};
    use StoredGroups::{AsAsked, Dropped, With};
    let both = both().await;
    let stored = async |asked: &str, groups: StoredGroups, need: PrivilegesNeed| {
        both.strongdm
            .configure(|settings| (settings.stored_groups, settings.privileges_need) = (groups, need));
        let answer = both.create_with(ANA, DB, asked).await.map_err(|status| status.code())?;
        let [grant] = both.strongdm.grants().try_into().expect("one grant");
        assert!(both.strongdm.remove_grant(&grant.id));
        assert_eq!(answer.access_rule, grant.access_rule);
        Ok(answer.access_rule)
    };
    let (viewer, refused) = (r#"{"privileges":{"k8s":{"groups":["viewer"]}}}"#, Err(Code::InvalidArgument));
    let with_ids = r#"{"ids":["rs-1"],"privileges":{"k8s":{"groups":["viewer"]}}}"#;
    for rule in
        ["{}", viewer, with_ids, r#"{"type":"k8s","tags":{"env":"prod"}}"#, r#"{"query":"env = 'prod'"}"#]
    {
        assert_eq!(stored(rule, AsAsked, Nothing).await.as_deref(), Ok(rule));
    }
    assert_eq!(stored("", AsAsked, Nothing).await.as_deref(), Ok("{}"));
    for rule in [
        "[]",
        "no JSON",
        r#"{"colour":"red"}"#,
        r#"{"privileges":{"k8s":{"groups":"viewer"}}}"#,
        r#"{"privileges":{"k9s":{"groups":[]}}}"#,
        r#"{"privileges":{"k8s":{"group":[]}}}"#,
        r#"{"query":"x","ids":[]}"#,
    ] {
        assert_eq!(stored(rule, AsAsked, Nothing).await, refused, "{rule}");
    }
    assert_eq!(stored(viewer, Dropped, Nothing).await.as_deref(), Ok("{}"));
    let more = stored(viewer, With("root".into()), Nothing).await.unwrap();
    assert_eq!(more, r#"{"privileges":{"k8s":{"groups":["viewer","root"]}}}"#);
    assert_eq!(stored(viewer, AsAsked, Ids).await, refused);
    assert_eq!(stored(with_ids, AsAsked, Ids).await.as_deref(), Ok(with_ids));
}

#[tokio::test]
async fn what_happens_behind_the_clients_back() {
    let both = both().await;
    let foreign = both.strongdm.add_foreign_grant(ANA, DB, both.now, None);
    assert_eq!(both.listed().await, [foreign.as_str()]);
    assert!(both.strongdm.remove_grant(&foreign));
    assert!(both.listed().await.is_empty());

    both.create(ANA, DB, None, Some(600)).await.unwrap();
    let before = both.strongdm.resource_id(DB);
    let after = both.strongdm.recreate_resource(DB);
    assert!(after.is_some() && before != after);
    assert!(both.listed().await.is_empty());
    assert!(both.strongdm.rename_user(ANA, "ana.lima@example.com"));
    assert!(both.strongdm.remove_account("ana.lima@example.com"));
    assert_eq!(both.code("ana.lima@example.com", DB, None, Some(60)).await, Code::NotFound);
}
