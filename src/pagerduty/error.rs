//! How a call to PagerDuty can fail, told apart by what a caller does about it.

use std::time::Duration;

/// Why a call to PagerDuty failed. The texts hold no token and no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing will work until someone changes the token or the API's address.
    #[error("token refused (wrong, or of another service region): {0}")]
    Unauthorized(String),
    /// The identity service gives the OAuth app no token: nothing will work until someone changes the configuration.
    #[error("OAuth app refused: {0}")]
    AppRefused(String),
    /// The token's owner may not see this.
    #[error("no permission: {0}")]
    Forbidden(String),
    /// It does not exist (any more), or the token's owner may not see it.
    #[error("not found: {0}")]
    NotFound(String),
    /// PagerDuty calls the request wrong; the same again will fail again.
    #[error("refused: {0}")]
    BadRequest(String),
    /// The quota is used up, or PagerDuty asked for a pause, and that outlasts one call.
    #[error("rate limit reached or a pause asked for, free again in {} s", .retry_after.as_secs())]
    RateLimited {
        /// After how long another request may succeed.
        retry_after: Duration,
    },
    /// No answer came. A later call may succeed.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// PagerDuty answered that it failed itself (a 5xx status). A later call may succeed.
    #[error("PagerDuty has trouble: {0}")]
    Server(String),
    /// The answer cannot be read, or contradicts itself or the request.
    #[error("unusable answer: {0}")]
    Invalid(String),
}

impl Error {
    /// Whether a part of what was asked for may be at fault, so that asking for less may succeed.
    pub(crate) fn may_be_of_a_part(&self) -> bool {
        match self {
            Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::BadRequest(_)
            | Self::Unavailable(_)
            | Self::Server(_)
            | Self::Invalid(_) => true,
            Self::Unauthorized(_) | Self::AppRefused(_) | Self::RateLimited { .. } => false,
        }
    }

    /// What somebody must do about it, where `right` is the right that the request needed; empty if the failure may pass by
    /// itself.
    pub(crate) fn remedy(&self, right: &str) -> String {
        match self {
            Self::Unauthorized(_) => "give the service a valid REST API key (pagerduty.token, token_file or \
                                      PAGERDUTY_TOKEN) or OAuth app; an account of the EU region needs pagerduty.api_url = \
                                      \"https://api.eu.pagerduty.com\""
                .to_owned(),
            Self::AppRefused(_) => "see pagerduty.client_id, client_secret and subdomain, the app's registration in PagerDuty, \
                                    and pagerduty.api_url, which tells the service region"
                .to_owned(),
            Self::Forbidden(_) => format!(
                "use a read-only REST API key of the account, or grant the right {right} to the token's owner (to an OAuth \
                 app: that scope)"
            ),
            Self::NotFound(_)
            | Self::BadRequest(_)
            | Self::RateLimited { .. }
            | Self::Unavailable(_)
            | Self::Server(_)
            | Self::Invalid(_) => String::new(),
        }
    }

    pub(super) fn of_status(status: u16, text: String) -> Self {
        match status {
            401 => Self::Unauthorized(text),
            403 => Self::Forbidden(text),
            404 | 410 => Self::NotFound(text),
            408 | 500.. => Self::Server(text),
            400..500 => Self::BadRequest(text),
            // Redirects are not followed, for they would carry the token to another place.
            _ => Self::Invalid(text),
        }
    }
}
