//! How a call to strongDM can fail, told apart by what a caller does about it.

use chrono::{DateTime, Utc};

use super::operation::Operation;
use crate::model::{Fault, acts_on_text, instant::to_second};

/// Why a call to strongDM failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// strongDM did not accept the API key or the signature; nothing was done.
    #[error(
        "strongDM does not accept the API key (wrong key or control plane, or this machine's date is wrong): {0}"
    )]
    Unauthenticated(String),
    /// strongDM does not let the API key do this; nothing was done. The right may be missing, but a policy may be the
    /// reason as well: its words tell.
    #[error("strongDM does not allow {operation}: {words}")]
    PermissionDenied {
        /// The method that was called.
        operation: Operation,
        /// What strongDM said.
        words: String,
    },
    /// What the request names does not exist.
    #[error("strongDM did not find it: {0}")]
    NotFound(String),
    /// There is one already, and strongDM takes no second.
    #[error("strongDM says that it already exists: {0}")]
    AlreadyExists(String),
    /// strongDM calls the request wrong; nothing was done, and the same again will fail again.
    #[error("strongDM refused the request: {0}")]
    InvalidArgument(String),
    /// The budget of requests is used up; nothing was done.
    #[error("strongDM's rate limit is used up{}: {words}", end_of(until.as_ref()))]
    RateLimited {
        /// When the budget is filled again, if strongDM said so.
        until: Option<DateTime<Utc>>,
        /// What strongDM said.
        words: String,
    },
    /// A read failed, or a write surely did not happen. A later attempt may succeed.
    #[error("strongDM is not available: {0}")]
    Unavailable(String),
    /// A write whose outcome is unknown: it may have happened. Look before writing again.
    #[error("it is unclear whether strongDM did it: {0}")]
    Unclear(String),
    /// An answer that cannot be used.
    #[error("strongDM's answer cannot be used: {0}")]
    Invalid(String),
    /// A filter finds more than it may; the rest of the list was not read.
    #[error("the filter finds more than {most} resources in strongDM")]
    TooMany {
        /// How many it may find.
        most: usize,
    },
    /// A request that this program will not send.
    #[error("will not ask strongDM: {0}")]
    Refused(String),
}

impl Error {
    /// Whether a write may have happened although it failed.
    pub(crate) fn is_unclear(&self) -> bool {
        matches!(self, Self::Unclear(_) | Self::Invalid(_))
    }

    /// The same error after an earlier attempt at the same write with an unclear outcome: that this attempt was not
    /// executed says nothing about the earlier one.
    pub(super) fn into_unclear(self) -> Self {
        match self {
            Self::NotFound(_) | Self::Unclear(_) | Self::Invalid(_) => self,
            Self::Unauthenticated(_)
            | Self::PermissionDenied { .. }
            | Self::AlreadyExists(_)
            | Self::InvalidArgument(_)
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::TooMany { .. }
            | Self::Refused(_) => Self::Unclear(self.to_string()),
        }
    }

    /// What somebody must do about it; empty if it may well pass by itself.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Unauthenticated(_) => "compare strongdm.access_key and strongdm.secret_key (SDM_API_ACCESS_KEY, \
                                      SDM_API_SECRET_KEY) with an API key that has not expired, strongdm.api_url with \
                                      its control plane, and this machine's clock with the time: signatures are \
                                      refused on another UTC day"
                .to_owned(),
            Self::PermissionDenied { words, .. } if words.contains(UNFULFILLED) => {
                "an authorization policy in strongDM asks for what an API key cannot give, such as MFA: exempt the API \
                 key from that policy"
                    .to_owned()
            }
            Self::PermissionDenied { operation, .. } => {
                format!("unless strongDM gives another reason, tick {} for the API key in strongDM", operation.right())
            }
            Self::TooMany { .. } => {
                "if the filter means all of them, raise sync.max_filter_matches; else make it narrower".to_owned()
            }
            Self::NotFound(_)
            | Self::AlreadyExists(_)
            | Self::InvalidArgument(_)
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Unclear(_)
            | Self::Invalid(_)
            | Self::Refused(_) => String::new(),
        }
    }
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        Self { error: error.to_string(), remedy: error.remedy() }
    }
}

fn end_of(at: Option<&DateTime<Utc>>) -> String {
    at.map(|at| format!(" until {}", to_second(*at))).unwrap_or_default()
}

/// What strongDM and its clients say where a policy asks for more than a right, such as MFA.
pub(crate) const UNFULFILLED: &str = "unfulfilled authorization requirements";

/// The most characters of strongDM's texts that go into an error; its own messages are one sentence.
const LONGEST: usize = 300;

/// A text of strongDM made fit for logs: one line, bounded, without the secret.
pub(super) fn tidy(text: &str, secret: &str) -> String {
    let text = if secret.is_empty() { text.to_owned() } else { text.replace(secret, "[access key]") };
    let mut tidy: String = text
        .chars()
        .map(|c| if acts_on_text(c) { ' ' } else { c })
        .take(LONGEST + 1)
        .collect::<String>()
        .trim()
        .to_owned();
    if let Some((end, _)) = tidy.char_indices().nth(LONGEST) {
        tidy.truncate(end);
        tidy.push('…');
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_bounded_line_without_the_key() {
        assert_eq!(tidy("bad\r\nkey auth-12 !\u{1b}[31m", "auth-12"), "bad  key [access key] ! [31m");
        assert_eq!(tidy("a\u{2028}b\u{202e}c", ""), "a b c");
        let long = tidy(&"é".repeat(5000), "");
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn strongdms_words_come_before_a_guess_at_the_right_that_is_missing() {
        for (operation, right) in [
            (Operation::CreateGrant, "grant:write"),
            (Operation::DeleteGrant, "grant:write"),
            (Operation::ListGrants, "grant:read"),
            (Operation::GetGrant, "grant:read"),
            (Operation::ListAccounts, "user:list"),
            (Operation::ListResources, "datasource:list"),
        ] {
            let words = "PERMISSION_DENIED: no".to_owned();
            let Fault { error, remedy } = (&Error::PermissionDenied { operation, words }).into();
            assert_eq!(error, format!("strongDM does not allow {}: PERMISSION_DENIED: no", operation.name()));
            let expected =
                format!("unless strongDM gives another reason, tick {right} for the API key in strongDM");
            assert_eq!(remedy, expected);
        }
        let words = format!("PERMISSION_DENIED: {UNFULFILLED}: mfa");
        let denied = Error::PermissionDenied { operation: Operation::CreateGrant, words };
        assert!(!denied.remedy().contains("grant:write") && denied.remedy().contains("MFA"));
    }

    #[test]
    fn a_rate_limit_tells_its_end_if_known() {
        let until = DateTime::from_timestamp(1_800_000_000, 0);
        let text = |until| Error::RateLimited { until, words: "slow down".to_owned() }.to_string();
        assert_eq!(text(until), "strongDM's rate limit is used up until 2027-01-15T08:00:00Z: slow down");
        assert_eq!(text(None), "strongDM's rate limit is used up: slow down");
    }
}
