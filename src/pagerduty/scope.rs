//! What an OAuth app may be allowed to do, in PagerDuty's own words.

use std::fmt;

/// A scope of PagerDuty's OAuth tokens. What a request without one needs is told by the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// To see who is on call.
    ReadOnCalls,
    /// To see a schedule that `/oncalls` does not tell about.
    ReadSchedules,
    /// To see what an escalation policy says of its levels.
    ReadPolicies,
    /// To see whose address an on-call has.
    ReadUsers,
    /// To see the webhook subscription.
    ReadSubscriptions,
    /// To make, ping, enable and delete one.
    WriteSubscriptions,
    /// To see who works on incidents, and to have events about them delivered.
    ReadIncidents,
    /// To see whether a service exists, and to have events about services delivered.
    ReadServices,
    /// To see who belongs to a team.
    ReadTeams,
    /// To see whether a priority exists.
    ReadPriorities,
}

impl Scope {
    /// PagerDuty's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadOnCalls => "oncalls.read",
            Self::ReadSchedules => "schedules.read",
            Self::ReadPolicies => "escalation_policies.read",
            Self::ReadUsers => "users.read",
            Self::ReadSubscriptions => "webhook_subscriptions.read",
            Self::WriteSubscriptions => "webhook_subscriptions.write",
            Self::ReadIncidents => "incidents.read",
            Self::ReadServices => "services.read",
            Self::ReadTeams => "teams.read",
            Self::ReadPriorities => "priorities.read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
