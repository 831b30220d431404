//! The links that a chain is made of. A leaf: everything else here is told in links.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{FOREVER, Fault, Window, instant::to_second};

/// The links of a chain, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkKind {
    /// A rule names the resource.
    Rule,
    /// strongDM has the resource.
    Resource,
    /// PagerDuty tells who is on call, or which incidents are open.
    Source,
    /// The person is on call.
    OnCall,
    /// The person works on an incident.
    Incident,
    /// The person has an account.
    Account,
    /// The shift with its margins, or the part in the incident, gives access then.
    Window,
    /// A grant is there.
    Grant,
    /// Both sides were asked.
    Check,
}

impl LinkKind {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Resource => "resource",
            Self::Source => "source",
            Self::OnCall => "on-call",
            Self::Incident => "incident",
            Self::Account => "account",
            Self::Window => "window",
            Self::Grant => "grant",
            Self::Check => "check",
        }
    }
}

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LinkState {
    /// It does.
    Ok,
    /// It does not yet, and will without anyone's doing.
    Pending,
    /// It could not be seen.
    Unknown,
    /// It does not.
    Missing,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Which.
    #[serde(rename = "link")]
    pub(crate) kind: LinkKind,
    /// Whether it holds.
    pub(crate) state: LinkState,
    /// In words.
    pub(crate) message: String,
    /// What would mend it; empty if nothing is to be mended.
    pub(crate) remedy: String,
}

impl Link {
    fn new(kind: LinkKind, state: LinkState, message: String, remedy: &str) -> Self {
        Self { kind, state, message, remedy: remedy.to_owned() }
    }

    pub(super) fn holds(kind: LinkKind, message: String) -> Self {
        Self::new(kind, LinkState::Ok, message, "")
    }

    pub(super) fn pending(kind: LinkKind, message: String) -> Self {
        Self::new(kind, LinkState::Pending, message, "")
    }

    pub(super) fn unknown(kind: LinkKind, message: String) -> Self {
        Self::new(kind, LinkState::Unknown, message, "ask again later; what is there stays meanwhile")
    }

    /// Unknown because of a fault, with what mends it.
    pub(super) fn faulty(kind: LinkKind, what: &str, fault: &Fault) -> Self {
        let Fault { error, remedy } = fault;
        let unknown = Self::unknown(kind, format!("{what}: {error}"));
        if remedy.is_empty() {
            return unknown;
        }
        Self { remedy: format!("{remedy}; what is there stays meanwhile"), ..unknown }
    }

    pub(super) fn missing(kind: LinkKind, message: String, remedy: &str) -> Self {
        Self::new(kind, LinkState::Missing, message, remedy)
    }
}

/// A stretch of time in words; open ends are named.
pub(super) fn stretch(window: Option<Window>) -> String {
    let Some(window) = window else { return "at no time".to_owned() };
    let start = window.start();
    let from = if start <= DateTime::<Utc>::UNIX_EPOCH {
        "since ever".to_owned()
    } else {
        format!("from {}", to_second(start))
    };
    let until = if window.end() >= FOREVER {
        "without an end".to_owned()
    } else {
        format!("until {}", to_second(window.end()))
    };
    format!("{from} {until}")
}
