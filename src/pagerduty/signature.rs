//! Checks `X-PagerDuty-Signature` over the untouched bytes of a body. Pure, and safe to call with anything.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How many signatures are checked at most. PagerDuty sends one for each live secret, so one or two.
const MAX_CANDIDATES: usize = 32;

/// Which of the secrets signed this body: the index of the first that matches any `v1` signature in the headers.
///
/// There may be several header lines with several comma-separated signatures each; versions other than `v1` are
/// skipped. The key is the secret's text as it is shown, although it looks like base64. An empty secret matches
/// nothing, for anyone could sign with it.
pub(crate) fn verify<'h>(
    secrets: &[SecretString],
    headers: impl Iterator<Item = &'h [u8]>,
    body: &[u8],
) -> Option<usize> {
    let candidates: Vec<[u8; 32]> = headers.flat_map(candidates).take(MAX_CANDIDATES).collect();
    let mut found = None;
    for (index, secret) in secrets.iter().enumerate() {
        // Every pair is compared even after a match, so that the time taken tells nothing about which one it was.
        if signed_by(secret, &candidates, body) && found.is_none() {
            found = Some(index);
        }
    }
    found
}

fn candidates(header: &[u8]) -> impl Iterator<Item = [u8; 32]> {
    header.split(|byte| *byte == b',').filter_map(|entry| {
        let digits = entry.trim_ascii().strip_prefix(b"v1=")?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        Some(digest)
    })
}

fn signed_by(secret: &SecretString, candidates: &[[u8; 32]], body: &[u8]) -> bool {
    let key = secret.expose_secret().as_bytes();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    mac.update(body);
    let mut matched = false;
    for candidate in candidates {
        matched |= mac.clone().verify_slice(candidate).is_ok();
    }
    matched && !key.is_empty()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::model::tests::below_top;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
        implementation_choice: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        secrets: Vec<String>,
        body_file: String,
        header: Option<String>,
        valid: Option<bool>,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../../tests/fixtures/pagerduty/signature-vectors.json")).unwrap()
    }

    fn body(file: &str) -> Vec<u8> {
        fs::read(below_top("tests/fixtures/pagerduty").join(file)).unwrap()
    }

    fn secrets(texts: &[String]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(text.as_str())).collect()
    }

    fn check(vector: &Vector) -> Option<usize> {
        let header = vector.header.as_ref().map(String::as_bytes);
        verify(&secrets(&vector.secrets), header.into_iter(), &body(&vector.body_file))
    }

    #[test]
    fn every_vector_gets_its_definite_answer() {
        let vectors = vectors().vectors;
        assert_eq!(vectors.len(), 18);
        for vector in &vectors {
            assert_eq!(Some(check(vector).is_some()), vector.valid, "{}", vector.name);
        }
    }

    #[test]
    fn upper_case_blanks_and_an_empty_body_are_accepted_when_the_signature_is_right() {
        let vectors = vectors().implementation_choice;
        assert_eq!(vectors.len(), 3);
        for vector in &vectors {
            assert!(check(vector).is_some(), "{}", vector.name);
        }
    }

    #[test]
    fn the_index_tells_which_secret_matched() {
        let vectors = vectors().vectors;
        let rotation = vectors.iter().find(|vector| vector.name == "receiver-holds-two-secrets").unwrap();
        assert_eq!(check(rotation), Some(1));
    }

    #[test]
    fn a_signature_in_a_second_header_line_counts() {
        let vectors = vectors().vectors;
        let single = vectors.iter().find(|vector| vector.name == "single-valid").unwrap();
        let lines = [b"v1=00".as_slice(), b"", single.header.as_ref().unwrap().as_bytes()];
        assert_eq!(verify(&secrets(&single.secrets), lines.into_iter(), &body(&single.body_file)), Some(0));
    }

    #[test]
    fn the_same_signature_twice_is_as_good_as_once() {
        let vectors = vectors().vectors;
        let single = vectors.iter().find(|vector| vector.name == "single-valid").unwrap();
        let lines = [single.header.as_ref().unwrap().as_bytes(); 2];
        assert_eq!(verify(&secrets(&single.secrets), lines.into_iter(), &body(&single.body_file)), Some(0));
    }

    #[test]
    fn signatures_past_the_cap_are_not_looked_at() {
        let vectors = vectors().vectors;
        let single = vectors.iter().find(|vector| vector.name == "single-valid").unwrap();
        let header = |wrong: usize| {
            let wrong = format!("v1={},", "0".repeat(64)).repeat(wrong);
            format!("{wrong}{}", single.header.as_ref().unwrap())
        };
        let check = |header: &str| {
            let body = body(&single.body_file);
            verify(&secrets(&single.secrets), [header.as_bytes()].into_iter(), &body)
        };
        assert_eq!(check(&header(MAX_CANDIDATES - 1)), Some(0));
        assert_eq!(check(&header(MAX_CANDIDATES)), None);
    }

    #[test]
    fn an_empty_secret_matches_nothing() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(b"{}");
        let header = format!("v1={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(verify(&[SecretString::from("")], [header.as_bytes()].into_iter(), b"{}"), None);
        assert_eq!(verify(&[], [header.as_bytes()].into_iter(), b"{}"), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_pass(lines: Vec<Vec<u8>>, body: Vec<u8>) {
            let secret = [SecretString::from("a secret that nobody used")];
            prop_assert_eq!(verify(&secret, lines.iter().map(Vec::as_slice), &body), None);
        }
    }
}
