//! What may go wrong with a call to PagerDuty, sorted by what callers do about it.

use std::time::Duration;

/// Why PagerDuty gave no usable answer. The texts carry no token, no query and no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing will work until someone changes the token or the API's address.
    #[error("token refused (wrong, or of another service region): {0}")]
    Unauthorized(String),
    /// The token's owner may not see this.
    #[error("no permission: {0}")]
    Forbidden(String),
    /// It does not exist (any more), or the token's owner may not see it.
    #[error("not found: {0}")]
    NotFound(String),
    /// PagerDuty did not like this very request.
    #[error("refused: {0}")]
    BadRequest(String),
    /// The quota is used up, also after waiting for as long as one call may.
    #[error("rate limit reached, free again in {} s", .retry_after.as_secs())]
    RateLimited {
        /// How long until it is worth asking again.
        retry_after: Duration,
    },
    /// No answer; asking again later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// PagerDuty was reached and says that it has trouble; asking again later may help.
    #[error("PagerDuty has trouble: {0}")]
    Troubled(String),
    /// The answer cannot be read or contradicts itself or the question.
    #[error("unusable answer: {0}")]
    Invalid(String),
}

impl Error {
    /// Whether there was an answer, but one that cannot be used.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }

    /// Whether it is about what was asked for, so that asking for a part of it may succeed.
    pub fn is_client_error(&self) -> bool {
        match self {
            Self::Forbidden(_) | Self::NotFound(_) | Self::BadRequest(_) => true,
            Self::Unauthorized(_)
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Troubled(_)
            | Self::Invalid(_) => false,
        }
    }

    /// What somebody must do about it, where `right` is what the question needed; empty if it may well pass by itself.
    pub fn remedy(&self, right: &str) -> String {
        match self {
            Self::Unauthorized(_) => "give the service a valid REST API key (pagerduty.token, token_file or \
                                      PAGERDUTY_TOKEN); an account of the EU region needs pagerduty.api_url = \
                                      \"https://api.eu.pagerduty.com\""
                .to_owned(),
            Self::Forbidden(_) => format!(
                "use a read-only REST API key of the account, or grant the right {right} to the token's owner"
            ),
            Self::NotFound(_)
            | Self::BadRequest(_)
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Troubled(_)
            | Self::Invalid(_) => String::new(),
        }
    }

    pub(super) fn of_status(status: u16, text: String) -> Self {
        match status {
            401 => Self::Unauthorized(text),
            403 => Self::Forbidden(text),
            404 | 410 => Self::NotFound(text),
            408 | 500.. => Self::Troubled(text),
            400..500 => Self::BadRequest(text),
            // Redirects are not followed, for they would carry the token to another place.
            _ => Self::Invalid(text),
        }
    }
}
