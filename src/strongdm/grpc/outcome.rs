//! What a failed attempt means for the caller, and whether the request may be sent again. Pure.
//!
//! Where the attempt failed and the gRPC code decide, never the text, because texts are not promised. The question behind
//! it all is whether a write may have happened: a grant must not be made twice.

use std::{error::Error as StdError, time::Duration};

use chrono::{DateTime, Utc};
use prost::Message;
use prost_types::Any;
use tonic::{Code, ConnectError, Status};

use super::{code::name, rate_limit::RateLimit};
use crate::{
    model::connection_in_words,
    strongdm::{
        error::{Error, UNFULFILLED, tidy},
        operation::{Kind, Operation},
        proto::{RateLimitError, RateLimitMetadata, StatusDetails},
    },
};

/// A failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What the caller is told if this was the last attempt.
    pub(super) error: Error,
    /// What may be done about it.
    pub(super) next: Next,
    /// Where it failed.
    pub(super) stage: Stage,
    /// What strongDM said about the rate limit.
    pub(super) limit: Option<RateLimit>,
}

/// What may be done after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same request would fail again, or might be executed twice.
    GiveUp,
    /// Send it again after a pause.
    Retry,
    /// Send it again when the rate limit allows.
    RetryAfterReset,
    /// Sign it with another date, if there is one, and send it again.
    SignAgain,
}

/// Where an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There was no connection: strongDM never saw the request.
    Connecting,
    /// The connection broke or the answer could not be received: strongDM may have executed the request.
    InFlight,
    /// No answer came in time: strongDM may have executed the request.
    TimedOut,
    /// strongDM answered with a status other than OK.
    Answered(Code),
    /// strongDM answered OK, with a message that cannot be decoded.
    Decoding,
}

impl Stage {
    /// A status that came over the wire has no source; one that was made on this side has. The code of the latter says
    /// little: errors of the HTTP/2 library can look like any code.
    fn of(status: &Status) -> Self {
        let Some(source) = status.source() else { return Self::Answered(status.code()) };
        let mut chain = causes(source);
        if chain.any(<dyn StdError>::is::<ConnectError>) { Self::Connecting } else { Self::InFlight }
    }

    /// The word for it in metrics and logs: gRPC's own where strongDM answered with a code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Connecting => "CONNECT",
            Self::InFlight => "TRANSPORT",
            Self::TimedOut => "TIMEOUT",
            Self::Answered(code) => name(code),
            Self::Decoding => "DECODE",
        }
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

impl Failure {
    /// A call that ended with a status other than OK.
    pub(super) fn of(operation: Operation, status: &Status, secret: &str) -> Self {
        let stage = Stage::of(status);
        let details = details(status.details());
        let limit = rate_limit(&details);
        let mut text = explained(describe(stage, status));
        if demands_more_than_a_right(&details) && !text.contains(UNFULFILLED) {
            text = format!("{text}: {UNFULFILLED}");
        }
        let text = tidy(&text, secret);
        Self::classified(operation, stage, text, limit)
    }

    /// A call without any answer.
    pub(super) fn timeout(operation: Operation, after: Duration) -> Self {
        Self::classified(operation, Stage::TimedOut, format!("no answer within {after:.1?}"), None)
    }

    /// An answer that cannot be decoded. For a write it may well be a yes.
    pub(super) fn undecodable(operation: Operation, error: &prost::DecodeError) -> Self {
        Self::classified(operation, Stage::Decoding, format!("malformed: {error}"), None)
    }

    fn classified(operation: Operation, stage: Stage, text: String, limit: Option<RateLimit>) -> Self {
        let until = limit.as_ref().and_then(|limit| limit.reset_at);
        let (error, next) = classify(operation, stage, text, until);
        Self { error, next, stage, limit }
    }
}

fn classify(operation: Operation, stage: Stage, text: String, until: Option<DateTime<Utc>>) -> (Error, Next) {
    let kind = operation.kind();
    match stage {
        Stage::Connecting => (Error::Unavailable(text), Next::Retry),
        Stage::InFlight | Stage::TimedOut => maybe_executed(kind, text, Next::Retry),
        Stage::Decoding if kind == Kind::Read => (Error::Invalid(text), Next::GiveUp),
        Stage::Decoding => (Error::Unclear(text), Next::GiveUp),
        Stage::Answered(code) => match code {
            Code::Unauthenticated => (Error::Unauthenticated(text), Next::SignAgain),
            Code::PermissionDenied => (Error::PermissionDenied { operation, words: text }, Next::GiveUp),
            Code::NotFound => (Error::NotFound(text), Next::GiveUp),
            Code::AlreadyExists => (Error::AlreadyExists(text), Next::GiveUp),
            Code::InvalidArgument | Code::FailedPrecondition => (Error::InvalidArgument(text), Next::GiveUp),
            Code::ResourceExhausted => (Error::RateLimited { until, words: text }, Next::RetryAfterReset),
            // A proxy between us and strongDM that loses the answer ends in UNKNOWN.
            Code::Unavailable | Code::Internal | Code::DeadlineExceeded | Code::Unknown => {
                maybe_executed(kind, text, Next::Retry)
            }
            Code::Ok
            | Code::Cancelled
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss => maybe_executed(kind, text, Next::GiveUp),
        },
    }
}

/// A read has just failed; a write may have happened. Deleting twice is harmless, creating twice is not: a creation is
/// never sent again, whatever `next` says.
fn maybe_executed(kind: Kind, text: String, next: Next) -> (Error, Next) {
    match kind {
        Kind::Read => (Error::Unavailable(text), next),
        Kind::Delete => (Error::Unclear(text), next),
        Kind::Create => (Error::Unclear(text), Next::GiveUp),
    }
}

fn describe(stage: Stage, status: &Status) -> String {
    match stage {
        Stage::Answered(code) if status.message().is_empty() => name(code).to_owned(),
        Stage::Answered(code) => format!("{}: {}", name(code), status.message()),
        Stage::Connecting | Stage::InFlight | Stage::TimedOut | Stage::Decoding => {
            let mut texts: Vec<String> =
                status.source().map(causes).into_iter().flatten().map(ToString::to_string).collect();
            // Wrappers that only repeat what they wrap.
            texts.dedup();
            texts.join(": ")
        }
    }
}

/// Adds what it means if whatever answers is no gRPC service. Nothing is decided by it: a gateway in front of strongDM
/// that has lost it answers alike, apart from its status.
fn explained(text: String) -> String {
    let of_http = ["invalid compression flag", "grpc-status header missing", "frame with invalid size"];
    let of_a_gateway = ["502", "503", "504"];
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&of_http) && !has(&of_a_gateway) {
        return format!("what answers there is not strongDM's API; is strongdm.api_url right? ({text})");
    }
    connection_in_words(text, "strongDM", "strongdm.api_url")
}

/// What comes with a refusal; strongDM does not always send anything.
fn details(details: &[u8]) -> Vec<Any> {
    StatusDetails::decode(details).map(|status| status.details).unwrap_or_default()
}

/// Whether a policy refused the request, which no right of the API key would change.
fn demands_more_than_a_right(details: &[Any]) -> bool {
    details.iter().any(|detail| detail.type_url.ends_with("v1.RequirementsMetadata"))
}

/// The rate limit in the details of a refusal, under either of its names.
fn rate_limit(details: &[Any]) -> Option<RateLimit> {
    details.iter().find_map(|detail| {
        let limit = match detail.type_url.rsplit('/').next()? {
            "v1.RateLimitMetadata" => RateLimitMetadata::decode(detail.value.as_slice()).ok(),
            "v1.RateLimitError" => RateLimitError::decode(detail.value.as_slice()).ok()?.rate_limit,
            _ => None,
        };
        limit.as_ref().map(RateLimit::from)
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    const READ: Operation = Operation::ListGrants;
    const CREATE: Operation = Operation::CreateGrant;
    const DELETE: Operation = Operation::DeleteGrant;

    fn answered(operation: Operation, code: Code) -> (Error, Next) {
        let Failure { error, next, .. } = Failure::of(operation, &Status::new(code, "why"), "");
        (error, next)
    }

    #[test]
    fn what_was_refused_before_any_effect_is_the_same_for_all() {
        for operation in [READ, CREATE, DELETE] {
            let name = operation.name();
            for (code, error, next) in [
                (
                    Code::Unauthenticated,
                    Error::Unauthenticated("UNAUTHENTICATED: why".into()),
                    Next::SignAgain,
                ),
                (
                    Code::PermissionDenied,
                    Error::PermissionDenied { operation, words: "PERMISSION_DENIED: why".into() },
                    Next::GiveUp,
                ),
                (Code::NotFound, Error::NotFound("NOT_FOUND: why".into()), Next::GiveUp),
                (Code::AlreadyExists, Error::AlreadyExists("ALREADY_EXISTS: why".into()), Next::GiveUp),
                (Code::InvalidArgument, Error::InvalidArgument("INVALID_ARGUMENT: why".into()), Next::GiveUp),
                (
                    Code::FailedPrecondition,
                    Error::InvalidArgument("FAILED_PRECONDITION: why".into()),
                    Next::GiveUp,
                ),
                (
                    Code::ResourceExhausted,
                    Error::RateLimited { until: None, words: "RESOURCE_EXHAUSTED: why".into() },
                    Next::RetryAfterReset,
                ),
            ] {
                assert_eq!(answered(operation, code), (error, next), "{name} {code:?}");
            }
        }
    }

    #[test]
    fn what_is_unclear_is_never_created_again() {
        for (code, again) in [
            (Code::Unavailable, true),
            (Code::Internal, true),
            (Code::DeadlineExceeded, true),
            (Code::Unknown, true),
            (Code::Cancelled, false),
            (Code::Aborted, false),
            (Code::OutOfRange, false),
            (Code::Unimplemented, false),
            (Code::DataLoss, false),
        ] {
            let text = format!("{}: why", name(code));
            let next = if again { Next::Retry } else { Next::GiveUp };
            assert_eq!(answered(READ, code), (Error::Unavailable(text.clone()), next), "{code:?}");
            assert_eq!(answered(DELETE, code), (Error::Unclear(text.clone()), next), "{code:?}");
            assert_eq!(answered(CREATE, code), (Error::Unclear(text), Next::GiveUp), "{code:?}");
        }
    }

    #[test]
    fn a_connection_that_never_was_may_be_tried_again_by_all() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for operation in [READ, CREATE, DELETE] {
            let status = Status::from_error(Box::new(ConnectError(Box::new(refused()))));
            let failure = Failure::of(operation, &status, "");
            assert_eq!(failure.error, Error::Unavailable("connection refused".into()));
            assert_eq!((failure.next, failure.stage.code()), (Next::Retry, "CONNECT"));
        }
    }

    #[test]
    fn a_connection_that_broke_is_unclear_whatever_code_it_is_given() {
        let lost = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for code in [Code::Unknown, Code::ResourceExhausted, Code::PermissionDenied, Code::NotFound] {
            let mut status = Status::new(code, "h2");
            status.set_source(std::sync::Arc::new(lost()));
            let classified = |operation| {
                let Failure { error, next, .. } = Failure::of(operation, &status, "");
                (error, next)
            };
            let text = "connection reset".to_owned();
            assert_eq!(classified(READ), (Error::Unavailable(text.clone()), Next::Retry));
            assert_eq!(classified(DELETE), (Error::Unclear(text.clone()), Next::Retry));
            assert_eq!(classified(CREATE), (Error::Unclear(text), Next::GiveUp));
        }
    }

    #[test]
    fn silence_is_unclear_for_writes() {
        let failure = Failure::timeout(CREATE, Duration::from_secs(10));
        assert_eq!(failure.error, Error::Unclear("no answer within 10.0s".into()));
        assert_eq!(failure.next, Next::GiveUp);
        assert_eq!(Failure::timeout(READ, Duration::from_secs(10)).next, Next::Retry);
    }

    #[test]
    fn an_answer_that_cannot_be_read_may_be_a_yes() {
        let error = StatusDetails::decode(&[0xff][..]).unwrap_err();
        assert!(matches!(Failure::undecodable(CREATE, &error).error, Error::Unclear(_)));
        assert!(matches!(Failure::undecodable(READ, &error).error, Error::Invalid(_)));
    }

    #[test]
    fn the_reset_is_read_from_either_detail() {
        let limit = RateLimitMetadata {
            limit: 500,
            remaining: 0,
            reset_at: Some(Timestamp { seconds: 1_800_000_000, nanos: 5 }),
            bucket: "b".into(),
        };
        let error = RateLimitError { rate_limit: Some(limit.clone()) };
        for (name, value) in
            [("v1.RateLimitMetadata", limit.encode_to_vec()), ("v1.RateLimitError", error.encode_to_vec())]
        {
            let other = Any { type_url: "type.googleapis.com/v1.InternalError".into(), value: vec![] };
            let detail = Any { type_url: format!("type.googleapis.com/{name}"), value };
            let details = StatusDetails { details: vec![other, detail] }.encode_to_vec();
            let status = Status::with_details(Code::ResourceExhausted, "slow down", details.into());
            let until = DateTime::from_timestamp(1_800_000_000, 0);
            let words = "RESOURCE_EXHAUSTED: slow down".to_owned();
            assert_eq!(Failure::of(CREATE, &status, "").error, Error::RateLimited { until, words });
        }
        let status = Status::with_details(Code::ResourceExhausted, "", vec![0xff, 1].into());
        let words = "RESOURCE_EXHAUSTED".to_owned();
        assert_eq!(Failure::of(CREATE, &status, "").error, Error::RateLimited { until: None, words });
    }

    #[test]
    fn what_a_policy_demands_is_told_also_where_only_the_details_say_so() {
        let detail = Any { type_url: "type.googleapis.com/v1.RequirementsMetadata".into(), value: vec![] };
        let details = StatusDetails { details: vec![detail] }.encode_to_vec();
        for (text, words) in [
            ("", "PERMISSION_DENIED: unfulfilled authorization requirements"),
            (
                "unfulfilled authorization requirements: mfa",
                "PERMISSION_DENIED: unfulfilled authorization requirements: mfa",
            ),
        ] {
            let status = Status::with_details(Code::PermissionDenied, text, details.clone().into());
            let expected = Error::PermissionDenied { operation: CREATE, words: words.to_owned() };
            assert_eq!(Failure::of(CREATE, &status, "").error, expected);
        }
    }

    #[test]
    fn what_is_no_grpc_or_no_tls_is_called_that() {
        let flag = "protocol error: received message with invalid compression flag: 123 (valid flags are 0 and 1) while \
                    receiving response with status: ";
        for (text, words) in [
            (format!("{flag}404 Not Found"), Some("is not strongDM's API")),
            (format!("{flag}503 Service Unavailable"), None),
            ("connection error detected: frame with invalid size".to_owned(), Some("is not strongDM's API")),
            ("received corrupt message of type InvalidContentType".to_owned(), Some("does not speak TLS")),
            ("down for maintenance".to_owned(), None),
        ] {
            let Error::Unavailable(told) = answered_with(&text) else { panic!("{text}") };
            assert!(told.contains(&text), "{told}");
            assert!(
                words.map_or_else(|| told.starts_with("INTERNAL"), |words| told.contains(words)),
                "{told}"
            );
        }
    }

    fn answered_with(text: &str) -> Error {
        Failure::of(READ, &Status::new(Code::Internal, text), "").error
    }

    #[test]
    fn the_access_key_is_not_repeated() {
        let status = Status::new(Code::NotFound, "no auth-77 here");
        let failure = Failure::of(READ, &status, "auth-77");
        assert_eq!(failure.error, Error::NotFound("NOT_FOUND: no [access key] here".into()));
    }
}
