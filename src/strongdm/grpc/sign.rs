//! Signing requests. Pure: the date is given, nothing is sent.
//!
//! The signature covers the date, the method and the message, but no host and no time: whoever sees a request could
//! send it again on the same day, so TLS is what protects it.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The signature of one request: 44 characters of base64.
pub(crate) fn sign(secret: &[u8], date: NaiveDate, method: &str, message: &[u8]) -> String {
    let key = hmac(secret, date.format("%Y-%m-%d").to_string().as_bytes());
    let key = hmac(&key, b"sdm_api_v1");
    let digest = Sha256::new().chain_update(method).chain_update(b"\n").chain_update(message).finalize();
    BASE64_STANDARD.encode(hmac(&key, &digest))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// How near to midnight UTC a refused signature may be a matter of the date alone. Clocks that differ by more than this
/// are worth an alarm.
const NEAR_MIDNIGHT: TimeDelta = TimeDelta::minutes(5);

/// Which date to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SigningDate {
    /// The date that our clock shows at each attempt.
    Today,
    /// The other date that strongDM's clock may show; there is only one.
    Other(NaiveDate),
}

impl SigningDate {
    /// The date to sign with now.
    pub(super) fn at(self, now: DateTime<Utc>) -> NaiveDate {
        match self {
            Self::Today => now.date_naive(),
            Self::Other(date) => date,
        }
    }

    /// What to sign with after strongDM refused a signature of the date `refused`; none if no other date is left.
    pub(super) fn after_refusal(self, refused: NaiveDate, now: DateTime<Utc>) -> Option<Self> {
        match self {
            Self::Today => other_date(refused, now).map(Self::Other),
            Self::Other(_) => None,
        }
    }
}

/// The date to sign with instead, after strongDM refused `used` near midnight UTC: today's if the day has changed since,
/// else that of the neighbouring day, which strongDM's clock may show.
fn other_date(used: NaiveDate, now: DateTime<Utc>) -> Option<NaiveDate> {
    let today = now.date_naive();
    if used != today {
        return Some(today);
    }
    if (now - NEAR_MIDNIGHT).date_naive() != today {
        return today.checked_sub_days(Days::new(1));
    }
    if (now + NEAR_MIDNIGHT).date_naive() != today {
        return today.checked_add_days(Days::new(1));
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde::Deserialize;

    use super::*;
    use crate::strongdm::proto::{
        AccountGrant, AccountGrantCreateRequest, AccountGrantDeleteRequest, AccountGrantListRequest,
        AccountListRequest, ListRequestMetadata, ResourceListRequest,
    };

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        secret_base64: String,
        utc_date: NaiveDate,
        method: String,
        request_base64: String,
        signature_base64: String,
    }

    impl Vector {
        fn request(&self) -> Vec<u8> {
            BASE64_STANDARD.decode(&self.request_base64).unwrap()
        }
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../../tests/fixtures/strongdm/signing-vectors.json")).unwrap()
    }

    #[test]
    fn every_vector_signs_byte_for_byte() {
        let vectors = vectors();
        assert!(vectors.len() >= 12);
        for vector in vectors {
            let secret = BASE64_STANDARD.decode(&vector.secret_base64).unwrap();
            let signature = sign(&secret, vector.utc_date, &vector.method, &vector.request());
            assert_eq!(signature, vector.signature_base64, "{}", vector.name);
        }
    }

    /// Whether strongDM hashes the bytes it receives or encodes the message again is not documented, so ours must be
    /// the canonical encoding.
    #[test]
    fn our_messages_encode_as_the_official_client_does() {
        let pages = |cursor: &str, page, limit| ListRequestMetadata { cursor: cursor.into(), page, limit };
        let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        let grant = |start_from, valid_until, access_rule: &str| AccountGrantCreateRequest {
            meta: None,
            account_grant: Some(AccountGrant {
                id: String::new(),
                resource_id: "rs-00aa11bb22cc33dd".into(),
                account_id: "a-44ee55ff66aa77bb".into(),
                start_from,
                valid_until,
                access_rule: access_rule.into(),
            }),
        };
        let mut compared = 0;
        for vector in vectors() {
            let filter = |text: &str| text.to_owned();
            let ours = match vector.name.as_str() {
                "grant-create-nanos" | "grant-create-nanos-next-day" => {
                    grant(at(1_795_341_296, 123_456_789), at(1_795_370_096, 987_654_321), "").encode_to_vec()
                }
                "grant-create-python-sdk-form" => {
                    grant(at(0, 0), at(1_795_370_400, 250_000_000), "{}").encode_to_vec()
                }
                "grant-list-filter-cursor" => AccountGrantListRequest {
                    meta: Some(pages("b3BhcXVlLWN1cnNvcg==", 0, 25)),
                    filter: filter(r#"account_id:"a-44ee55ff66aa77bb",resource_id:"rs-00aa11bb22cc33dd""#),
                }
                .encode_to_vec(),
                "grant-list-filter-page" => AccountGrantListRequest {
                    meta: Some(pages("", 2, 50)),
                    filter: filter(r#"account_id:"a-44ee55ff66aa77bb""#),
                }
                .encode_to_vec(),
                "grant-delete" => {
                    AccountGrantDeleteRequest { meta: None, id: "ag-8899aabbccddeeff".into() }.encode_to_vec()
                }
                "accounts-list-email" => AccountListRequest {
                    meta: Some(pages("", 0, 0)),
                    filter: filter(r#"email:"jane.doe+oncall@example.com""#),
                }
                .encode_to_vec(),
                "accounts-list-zero-bytes" => AccountListRequest::default().encode_to_vec(),
                "resources-list-tag" => ResourceListRequest {
                    meta: Some(pages("", 0, 100)),
                    filter: filter(r#"type:"postgres" tag:"pd-service"="P 1\"2\\3""#),
                }
                .encode_to_vec(),
                _ => continue,
            };
            assert_eq!(ours, vector.request(), "{}", vector.name);
            compared += 1;
        }
        assert_eq!(compared, 9);
    }

    #[test]
    fn only_near_midnight_is_there_another_date() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        for (used, now, other) in [
            ("2026-11-22", "2026-11-22T12:00:00Z", None),
            ("2026-11-22", "2026-11-22T23:54:59Z", None),
            ("2026-11-22", "2026-11-22T23:56:00Z", Some("2026-11-23")),
            ("2026-11-22", "2026-11-23T00:00:01Z", Some("2026-11-23")),
            ("2026-11-23", "2026-11-23T00:04:59Z", Some("2026-11-22")),
            ("2026-11-23", "2026-11-23T00:05:01Z", None),
        ] {
            assert_eq!(other_date(date(used), now.parse().unwrap()), other.map(date), "{used} at {now}");
        }
    }

    #[test]
    fn a_refused_date_has_one_other_chance() {
        let midnight = DateTime::from_timestamp(86_400 * 20_000, 0).unwrap();
        let (today, yesterday) = (midnight.date_naive(), midnight.date_naive().pred_opt().unwrap());
        let first = SigningDate::Today;
        assert_eq!(first.at(midnight), today);
        let second = first.after_refusal(yesterday, midnight).unwrap();
        assert_eq!(second.at(midnight), today);
        let second = first.after_refusal(today, midnight).unwrap();
        assert_eq!(second.at(midnight), yesterday);
        assert_eq!(second.after_refusal(yesterday, midnight), None);
    }
}
