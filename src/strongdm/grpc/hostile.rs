//! Refusals of strongDM, or of whatever answers in its place, as somebody changed them.

use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;
use prost::Message;
use prost_types::{Any, Timestamp};
use tonic::{Code, Status};

use super::{
    outcome::{Failure, Next},
    rate_limit::{RateLimits, wait_until},
};
use crate::{
    model::{
        acts_on_text,
        tests::{mutated, runs},
    },
    strongdm::{
        operation::{Kind, Operation},
        proto::{RateLimitError, RateLimitMetadata, StatusDetails},
    },
};

const KEY: &str = "auth-hush";

fn words() -> Vec<Vec<u8>> {
    let texts = [
        "no right for auth-hush",
        "unfulfilled authorization requirements",
        "grpc-status header missing",
        "",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn details() -> Vec<Vec<u8>> {
    let limit = |seconds| RateLimitMetadata {
        limit: 100,
        remaining: 0,
        reset_at: Some(Timestamp { seconds, nanos: 0 }),
        bucket: "reads".to_owned(),
    };
    let detail = |name: &str, value: Vec<u8>| {
        let type_url = format!("type.googleapis.com/v1.{name}");
        StatusDetails { details: vec![Any { type_url, value }] }.encode_to_vec()
    };
    vec![
        detail("RateLimitMetadata", limit(1_800_000_000).encode_to_vec()),
        detail("RateLimitError", RateLimitError { rate_limit: Some(limit(i64::MAX)) }.encode_to_vec()),
        detail("RequirementsMetadata", Vec::new()),
    ]
}

proptest! {
    #![proptest_config(runs())]

    #[test]
    fn a_refusal_is_told_without_the_key_and_sends_no_creation_again(
        code in -1..20,
        words in mutated(words()),
        details in mutated(details()),
        now in 0..4_000_000_000_i64,
    ) {
        let words = String::from_utf8_lossy(&words);
        let status = Status::with_details(Code::from_i32(code), words, details.into());
        let now = DateTime::from_timestamp(now, 0).expect("a year below 2100");
        for operation in [Operation::ListGrants, Operation::CreateGrant, Operation::DeleteGrant] {
            let Failure { error, next, limit, .. } = Failure::of(operation, &status, KEY);
            let told = error.to_string();
            prop_assert!(told.chars().count() < 600 && !told.contains(acts_on_text), "{told:?}");
            prop_assert!(!told.contains(KEY), "{told:?}");
            // Only where strongDM says that it has done nothing.
            let did_nothing = [Code::Unauthenticated, Code::ResourceExhausted].contains(&status.code());
            let is_creation = operation.kind() == Kind::Create;
            prop_assert!(!is_creation || did_nothing || next == Next::GiveUp, "{next:?}");
            let limits = RateLimits::default();
            if let Some(limit) = limit {
                limits.record(operation.kind(), limit, now);
            }
            let longest = Duration::from_secs(20);
            prop_assert!(wait_until(limits.low_until(operation.kind(), now), now, longest) <= longest);
            prop_assert!(wait_until(limits.next_reset(operation.kind(), now), now, longest) <= longest);
        }
    }
}
