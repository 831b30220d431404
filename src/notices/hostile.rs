//! Notices of what others named as they liked, and what endpoints answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use proptest::{collection::vec, prelude::*};
use reqwest::{
    Client, Request, StatusCode,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use sha2::Sha256;

use super::{
    deliver::{Next, Sender, understood},
    fold, request,
};
use crate::{
    config::{Endpoint, NoticeFormat},
    metrics::Metrics,
    model::{
        AuditAction, AuditOutcome, Grant, KubernetesGroups, Name, Names, NewNotice, Recorded, SeenName,
        Thing, Window, acts_on_text,
        tests::{mutated, runs},
    },
    store::{AuditRow, EndpointState, StoredNotice},
};

const URL: &str = "https://hooks.example.com/hush-path";
const KEYS: [&[u8]; 2] = [b"hush-key-of-sixteen", b"hush-other-key-of-more"];

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    request::client(tls, None).expect("a client")
});

fn endpoint(format: NoticeFormat) -> Endpoint {
    Endpoint { name: "x".to_owned(), url: URL.into(), format, events: None }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("a year below 2100")
}

/// What somebody wrote as a name or as a reason.
fn text() -> impl Strategy<Value = String> {
    let samples = [
        "Ana Lima",
        "<!channel> *read* <https://evil.example|this> & <@U0123>",
        "rule \"payments\": user P4 is on call for schedule P1; rule \"all\": user P4 is on call for schedule P1",
        "two\nlines, \u{202e}turned\u{2028} around\u{1b}[31m",
        "ana@corp.example on `prod`",
    ];
    let samples = samples.map(|sample| sample.as_bytes().to_vec()).to_vec();
    mutated(samples).prop_map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// The notice of an entry of the decision log, as it is stored.
fn notice(
    person: &str,
    schedule: &str,
    resource: String,
    reason: String,
    action: AuditAction,
) -> StoredNotice {
    let mut names = Names::default();
    let things = [(Thing::User("P4".into()), person), (Thing::Schedule("P1".into()), schedule)];
    for (thing, name) in things {
        let address = Some("ana@corp.example".to_owned());
        if let Some(name) = Name::new(name) {
            names.add(SeenName { thing, name, address }, None);
        }
    }
    let grant = Grant {
        id: None,
        email: "ana@corp.example".parse().expect("an address"),
        account_id: "a-1".into(),
        resource,
        resource_id: "rs-1".into(),
        window: Window::new(at(1_800_000_000), at(1_800_003_600)).expect("an hour"),
        kubernetes_groups: KubernetesGroups::default(),
        rules: vec![person.to_owned()],
        name: None,
    };
    let row = AuditRow {
        seq: 1,
        at: at(1_800_000_000),
        action: Recorded::Known(action),
        outcome: Recorded::Known(AuditOutcome::Done),
        grant: to_raw_value(&grant).expect("JSON"),
        reason,
        trigger: "timer".to_owned(),
        pass_id: "pass".to_owned(),
    };
    let mut notices = fold::notices(&[row], &names);
    let NewNotice { kind, at, data, text } = notices.pop().expect("one entry is one notice");
    StoredNotice { seq: 7, kind, at, data: data.to_string(), text }
}

fn request(format: NoticeFormat, notice: &StoredNotice, now: DateTime<Utc>) -> Request {
    request::request(&CLIENT, &endpoint(format), "st0re", notice, now).build().expect("a request")
}

fn body(request: &Request) -> &[u8] {
    request.body().and_then(|body| body.as_bytes()).expect("a body")
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_notice_of_whatever_names_is_sound_signed_and_without_mark_up(
        [person, schedule, resource, reason] in [text(), text(), text(), text()],
        action in prop::sample::select(vec![AuditAction::Create, AuditAction::Revoke]),
        second in 1_700_000_000..4_000_000_000_i64,
    ) {
        let notice = notice(&person, &schedule, resource.clone(), reason.clone(), action);
        let sent = request(NoticeFormat::Standard(KEYS.map(|key| key.to_vec().into()).to_vec()), &notice, at(second));
        let read: Value = serde_json::from_slice(body(&sent)).expect("JSON");
        prop_assert_eq!(&read["type"], notice.kind.as_str());
        prop_assert_eq!(&read["data"]["resources"][0]["resource"], &resource);
        prop_assert_eq!(&read["data"]["reason"], &reason);
        let header = |name: &str| sent.headers()[name].to_str().expect("visible ASCII").to_owned();
        let signed = [format!("{}.{second}.", header("webhook-id")).as_bytes(), body(&sent)].concat();
        let signatures = KEYS.map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
            mac.update(&signed);
            format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        });
        prop_assert_eq!(header("webhook-signature"), signatures.join(" "));
        prop_assert_eq!(header("webhook-timestamp"), second.to_string());
        let slack = request(NoticeFormat::Slack, &notice, at(second));
        let read: Value = serde_json::from_slice(body(&slack)).expect("JSON");
        prop_assert_eq!(read.as_object().map(serde_json::Map::len), Some(1));
        let told = read["text"].as_str().expect("a text");
        let plain = told.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
        prop_assert!(!plain.contains(['<', '>', '&']), "{told:?}");
        prop_assert!(!told.contains(|c| c != '\n' && acts_on_text(c)), "{told:?}");
        for request in [sent, slack] {
            prop_assert!(request.url().as_str() == URL && !String::from_utf8_lossy(body(&request)).contains("hush"));
            prop_assert!(request.headers().values().all(|value| !value.as_bytes().starts_with(b"hush")));
        }
    }

    #[test]
    fn what_is_stored_is_sent_as_sound_json(data in mutated(vec![br#"{"email": "ana@corp.example", "x": [1, null]}"#.into()])) {
        let mut notice = request::sample(at(1_800_000_000));
        notice.data = String::from_utf8_lossy(&data).into_owned();
        let sent = request(NoticeFormat::Standard(Vec::new()), &notice, at(1_800_000_000));
        let read: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body(&sent)).expect("JSON");
        let is_json = serde_json::from_str::<&RawValue>(&notice.data).is_ok();
        prop_assert_eq!(read["data"].get(), if is_json { notice.data.trim_ascii() } else { "null" });
        prop_assert_eq!(read.len(), 3);
    }

    #[test]
    fn whatever_an_endpoint_answers_it_is_asked_again_in_good_time(
        status in 100..1000_u16,
        waits in vec(mutated(["120", "Sun, 29 Nov 2026 17:00:00 GMT", "hush"].map(|text| text.as_bytes().to_vec()).to_vec()), 0..3),
        attempts in any::<u32>(),
    ) {
        static SENDER: LazyLock<Sender> = LazyLock::new(|| Sender {
            endpoint: Arc::new(endpoint(NoticeFormat::Slack)),
            client: CLIENT.clone(),
            metrics: Arc::new(Metrics::new()),
        });
        let status = StatusCode::from_u16(status).expect("three digits");
        let waits = waits.iter().filter_map(|wait| HeaderValue::from_bytes(wait).ok());
        let headers: HeaderMap = waits.map(|wait| (RETRY_AFTER, wait)).collect();
        let answered = understood(status, &headers);
        let (now, notice) = (at(1_800_000_000), request::sample(at(1_800_000_000)));
        let before = EndpointState { next: 7, attempts, due: now, stopped: false, sent: None, failure: None, dropped: 0 };
        let mut state = before.clone();
        let next = SENDER.record(&mut state, &notice, answered, now);
        prop_assert_eq!(state.sent.is_some(), status.is_success());
        prop_assert_eq!(state.stopped, status == StatusCode::GONE);
        prop_assert_eq!(next == Next::More, status.is_success());
        prop_assert_eq!(state.next, if status.is_success() { notice.seq + 1 } else { before.next });
        if let Next::Wait(due) = next {
            let pause = due - now;
            prop_assert!(pause >= TimeDelta::seconds(2) && pause <= TimeDelta::minutes(10), "{pause}");
            prop_assert_eq!(state.attempts, attempts.saturating_add(1));
        }
        prop_assert!(state.failure.is_none_or(|(_, told)| !told.contains("hush")));
    }
}
