//! The words of this program as plain data: identifiers, on-calls, rules, windows, grants.
//!
//! Nothing here talks to a network, a clock or a database, and no foreign format (JSON of PagerDuty, protobuf of
//! strongDM, SQL) is visible here.

mod audit;
mod calls;
mod cause;
mod certainty;
mod counts;
mod due;
mod email;
mod finding;
mod grant;
mod id;
mod incident;
pub(crate) mod instant;
mod line;
mod mark;
mod name;
mod names;
mod net;
mod notice;
mod observed;
mod on_call;
mod retry;
mod rule;
mod skipped;
mod terms;
mod unknown;
mod window;
pub(crate) mod word;

pub(crate) use self::calls::Upstream;
pub use self::{
    audit::{AuditAction, AuditOutcome, Recorded},
    calls::Calls,
    cause::{Cause, IncidentCause},
    certainty::Certainty,
    counts::PassCounts,
    due::{BETWEEN_LOOKS, DueRevocation, DueRevocations, FirstLooks, SecondLook},
    email::{Aliases, Email, InvalidEmail},
    finding::{Finding, FindingKind, Severity},
    grant::{
        Account, Altered, ForeignGrant, Grant, LedgerRow, NewGrant, OwnGrant, Pair, Refusal, Resource,
        SecondGrant,
    },
    id::{
        AccountId, GrantId, IncidentId, PolicyId, PriorityId, ResourceId, ScheduleId, ServiceId, TeamId,
        UserId,
    },
    incident::{
        Group, Incident, IncidentRef, IncidentSelector, IncidentState, IncidentUrgency, Part, RememberedPart,
        Role,
    },
    line::acts_on_text,
    mark::{Links, Mark},
    name::{Name, SeenName, Thing},
    names::{Names, NamesBeside, name_and_id},
    net::{connection_in_words, is_loopback, with_causes},
    notice::{NewNotice, NoticeKind},
    observed::{Fault, Observed},
    on_call::{OnCall, Source},
    retry::{FollowUps, Retries, Retry},
    rule::{PeopleSelector, ResourceSelector, Rule},
    skipped::{SkipReason, Skipped, Subject},
    terms::{KubernetesGroups, Terms},
    unknown::{Asked, StrongDmList, Unknown},
    window::{FOREVER, Window, Windows, later, lies_ahead},
};

#[cfg(test)]
pub(crate) mod tests;
