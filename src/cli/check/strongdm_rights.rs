//! One harmless question for every right that the service needs of strongDM, so that a refusal can be named.

use super::trials::{Trials, Unreadable};
use crate::{
    config::Config,
    model::{Email, Finding, FindingKind},
    strongdm::{Client, Error, GrantList, UNFULFILLED},
};

/// Looked for to try the right to look; `.invalid` belongs to nobody.
const NOBODY: &str = "check@oncall-grants.invalid";

/// A right that can be tried without writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    ListUsers,
    ListDatasources,
    ReadGrants,
}

impl Right {
    /// As strongDM's Admin UI calls it.
    fn name(self) -> &'static str {
        match self {
            Self::ListUsers => "user:list",
            Self::ListDatasources => "datasource:list",
            Self::ReadGrants => "grant:read",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::ListUsers => "find the accounts of people on call",
            Self::ListDatasources => "find the resources of the rules",
            Self::ReadGrants => "compare what it granted with what is there",
        }
    }

    /// What a survey cannot see without it.
    fn reads(self) -> Option<Unreadable> {
        match self {
            Self::ListUsers => Some(Unreadable::Accounts),
            Self::ListDatasources => Some(Unreadable::Resources),
            Self::ReadGrants => None,
        }
    }
}

pub(super) async fn try_out(config: &Config, client: &Client, results: &mut Trials) {
    let nobody: Email = NOBODY.parse().expect("an address");
    let accounts = client.accounts_by_email(&nobody).await.map(drop);
    if let Err(error) = &accounts
        && let Some(finding) = unusable(config, error)
    {
        results.findings.push(finding);
        results.unreadable.extend([Unreadable::Accounts, Unreadable::Resources]);
        return;
    }
    let resources = client.resources_by_name(NOBODY).await.map(drop);
    let grants = client.more_grants(&mut GrantList::default()).await.map(drop);
    for (right, outcome) in
        [(Right::ListUsers, accounts), (Right::ListDatasources, resources), (Right::ReadGrants, grants)]
    {
        if let Err(error) = outcome {
            results.findings.push(refused(right, &error));
            results.unreadable.extend(right.reads());
        }
    }
    let message = "cannot be tried without writing; without it no grant is made or removed";
    results.findings.push(
        Finding::note(FindingKind::NotTried, "strongDM right grant:write", message)
            .mended_by("see that it is ticked for the API key in strongDM"),
    );
}

/// Why there is no use in asking strongDM more, if this error says so.
fn unusable(config: &Config, error: &Error) -> Option<Finding> {
    let host = config.strongdm.api_url.host_str().unwrap_or_default();
    let (kind, remedy) = match error {
        Error::Unavailable(_) => (
            FindingKind::Unreachable,
            format!("see whether {host} can be reached from here, and strongdm.api_url"),
        ),
        Error::Unauthenticated(_) => (
            FindingKind::KeyRefused,
            format!(
                "compare strongdm.access_key and secret_key with an API key of the control plane at {host}, and this \
                 machine's date"
            ),
        ),
        Error::PermissionDenied { .. }
        | Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::InvalidArgument(_)
        | Error::RateLimited { .. }
        | Error::Unclear(_)
        | Error::TooMany { .. }
        | Error::Invalid(_)
        | Error::Refused(_) => return None,
    };
    Some(Finding::problem(kind, "strongDM", error).mended_by(remedy))
}

fn refused(right: Right, error: &Error) -> Finding {
    let (name, purpose) = (right.name(), right.purpose());
    let subject = format!("strongDM right {name}");
    match error {
        Error::PermissionDenied { words, .. } => {
            let kind =
                if words.contains(UNFULFILLED) { FindingKind::Unobserved } else { FindingKind::RightMissing };
            let message = format!("{error}; so the service cannot {purpose}");
            Finding::problem(kind, subject, message).mended_by(error.remedy())
        }
        error => Finding::problem(FindingKind::Unobserved, subject, error).mended_by("ask again later"),
    }
}
