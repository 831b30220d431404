//! What all chains to one resource and the grant at their end come to.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    chain::Chain,
    grant::Coverage,
    link::{LinkKind, LinkState},
    person::Person,
    question::Known,
};
use crate::{model::Grant, reconcile::plan::Action};

/// Whether somebody has access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Access {
    /// A grant covers the instant.
    Yes,
    /// No grant yet, but one is due to be made before.
    Expected,
    /// Something could not be seen.
    Unknown,
    /// No.
    No,
}

/// Whether there is access to one resource, and why.
pub(super) struct Verdict {
    pub(super) access: Access,
    /// The first link that is missing.
    pub(super) missing: Option<LinkKind>,
    /// Why, in a sentence.
    pub(super) message: String,
    /// What would mend it; empty if nothing is to be mended.
    pub(super) remedy: String,
}

impl Verdict {
    fn yes(message: String, remedy: &str) -> Self {
        Self { access: Access::Yes, missing: None, message, remedy: remedy.to_owned() }
    }

    fn without(access: Access, missing: LinkKind, message: String, remedy: String) -> Self {
        Self { access, missing: Some(missing), message, remedy }
    }
}

/// Concludes whether there is access from all chains and the grant at their end.
pub(super) fn verdict(
    coverage: &Coverage<'_>,
    at: DateTime<Utc>,
    known: &Known<'_>,
    person: &Person,
    name: &str,
    chains: &[Chain],
) -> Verdict {
    let whole = chains.iter().find(|chain| chain.broken().is_none());
    let there = coverage.ours.is_some() || coverage.foreign.is_some();
    if there && person.is_suspended() {
        let link = person.link();
        let message = format!("there is a grant for {name}, but {}", link.message);
        return Verdict::without(Access::No, LinkKind::Account, message, link.remedy);
    }
    match (there, whole) {
        (true, Some(chain)) => {
            let has = if at < known.now { "had" } else { "has" };
            let groups = coverage.ours.map(|grant| grant.kubernetes_groups.to_string()).unwrap_or_default();
            Verdict::yes(format!("{has} access to {name}{groups} by rule {:?}", chain.rule), "")
        }
        (true, None) => unwanted(coverage, at, known, name, chains),
        (false, None) if coverage.unsettled.is_some() && at >= known.now => {
            let message = format!(
                "strongDM has not said what became of an earlier write for {name}; the next pass finds out"
            );
            let remedy = "ask again after the next pass".to_owned();
            Verdict::without(Access::Unknown, LinkKind::Grant, message, remedy)
        }
        (false, _) => missing(name, chains),
    }
}

/// There is a grant that no chain leads to.
fn unwanted(
    coverage: &Coverage<'_>,
    at: DateTime<Utc>,
    known: &Known<'_>,
    name: &str,
    chains: &[Chain],
) -> Verdict {
    let Some(grant) = coverage.ours else {
        let id = coverage.foreign.map(|foreign| foreign.id.to_string()).unwrap_or_default();
        let remedy = if at < known.now {
            ""
        } else {
            "that grant is not ours, so it is never taken back here; if it should go, remove it in strongDM by hand"
        };
        return Verdict::yes(format!("has access to {name} by grant {id}, which somebody else made"), remedy);
    };
    let id = grant.id.as_ref().map(ToString::to_string).unwrap_or_default();
    if at < known.now {
        return Verdict::yes(
            format!("had access to {name} by grant {id} (rules: {})", grant.rules.join(", ")),
            "",
        );
    }
    let reason = chains.first().and_then(Chain::broken).map(|link| link.message.clone());
    let reason = reason.unwrap_or_else(|| format!("no rule is about {name} any more"));
    let is_this = |other: &Grant| other.id == grant.id;
    if known.plan.held.iter().any(is_this) {
        let message = format!("has access to {name} by grant {id}, whose revocation is held ({reason})");
        return Verdict::yes(message, "confirm with POST /sync and allow_mass_revocation, if that is right");
    }
    let due = known.plan.actions().any(|action| match action {
        Action::Revoke(revocation) => is_this(&revocation.grant),
        Action::Create(_) => false,
    });
    if due {
        let message =
            format!("has access to {name} by grant {id}, which the next pass takes back ({reason})");
        return Verdict::yes(message, "");
    }
    let message = format!("has access to {name} by grant {id}, which stays until its end ({reason})");
    Verdict::yes(message, "")
}

/// No grant: the chain that comes farthest tells why.
fn missing(name: &str, chains: &[Chain]) -> Verdict {
    let Some(link) = chains.first().and_then(Chain::broken) else {
        let message = format!("no rule gives access to {name}");
        return Verdict::without(Access::No, LinkKind::Rule, message, "name it in a rule".to_owned());
    };
    let pending =
        chains.iter().find_map(|chain| chain.broken().filter(|link| link.state == LinkState::Pending));
    let link = pending.unwrap_or(link);
    let unknown =
        chains.iter().find_map(|chain| chain.broken().filter(|link| link.state == LinkState::Unknown));
    let (access, link) = match (link.state, unknown) {
        (LinkState::Pending, _) => (Access::Expected, link),
        (LinkState::Missing, None) => (Access::No, link),
        // Another way may hold; nobody can say.
        (_, Some(unknown)) => (Access::Unknown, unknown),
        (LinkState::Unknown | LinkState::Ok, None) => (Access::Unknown, link),
    };
    Verdict::without(access, link.kind, link.message.clone(), link.remedy.clone())
}
