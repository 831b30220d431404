//! Calls to PagerDuty whose errors say what was to be done, and what to do about it.

use std::fmt;

use anyhow::anyhow;

use crate::{
    cli::wait_for,
    pagerduty::Error,
    subscription::{READ_RIGHT, WRITE_RIGHT},
};

/// What PagerDuty is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'i> {
    List,
    Show,
    Create,
    Ping,
    Enable,
    /// To deliver more event types.
    Update,
    Delete,
    /// To delete the subscription of this ID, which another one replaces.
    DeleteReplaced(&'i str),
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list subscriptions"),
            Self::Show => f.write_str("look at it"),
            Self::Create => f.write_str("make the subscription"),
            Self::Ping => f.write_str("ping it"),
            Self::Enable => f.write_str("switch it on"),
            Self::Update => f.write_str("add the event types"),
            Self::Delete => f.write_str("delete it"),
            Self::DeleteReplaced(id) => write!(f, "remove {id}"),
        }
    }
}

impl Request<'_> {
    /// What it takes to be allowed to.
    fn right(self) -> &'static str {
        match self {
            Self::List | Self::Show => READ_RIGHT,
            Self::Create
            | Self::Ping
            | Self::Enable
            | Self::Update
            | Self::Delete
            | Self::DeleteReplaced(_) => WRITE_RIGHT,
        }
    }
}

/// Waits for PagerDuty's answer to this request.
pub(super) async fn call<T>(
    request: Request<'_>,
    answer: impl Future<Output = Result<T, Error>>,
) -> anyhow::Result<T> {
    wait_for("PagerDuty", answer).await.map_err(|error| explained(request, &error))
}

fn explained(request: Request<'_>, error: &Error) -> anyhow::Error {
    let is_limit = matches!(error, Error::BadRequest(words) if words.to_lowercase().contains("limit"));
    let remedy = match error {
        Error::Unauthorized(_) => {
            "see pagerduty.token (or client_id and client_secret) and pagerduty.api_url (EU: https://api.eu.pagerduty.com)"
        }
        Error::AppRefused(_) => "see pagerduty.client_id, client_secret and subdomain",
        Error::Forbidden(_) => {
            return anyhow!(
                "cannot {request}: {error}; the token may not; {}: PAGERDUTY_TOKEN=... before this command is enough (to an \
                 OAuth app, grant the scope)",
                request.right()
            );
        }
        Error::NotFound(_) => "see the IDs with oncall-grants webhook list",
        Error::BadRequest(_) if is_limit => {
            "PagerDuty allows ten subscriptions per account, service and team; delete one (see: oncall-grants webhook \
             list), or use --filter"
        }
        Error::Unavailable(_) | Error::Server(_) | Error::Invalid(_) => {
            "whether it was done is uncertain; see with oncall-grants webhook list"
        }
        Error::BadRequest(_) | Error::RateLimited { .. } => "",
    };
    let hint = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    anyhow!("cannot {request}: {error}{hint}")
}
