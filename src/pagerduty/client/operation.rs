//! The operations of PagerDuty's API that this program uses.

/// One operation, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// At the identity service.
    Token,
    OnCalls,
    LayerSchedule,
    ShiftSchedule,
    User,
    ListUsers,
    EscalationPolicy,
    ListIncidents,
    GetIncident,
    TeamMembers,
    Priorities,
    Service,
    ListServices,
    ListSubscriptions,
    GetSubscription,
    CreateSubscription,
    UpdateSubscription,
    DeleteSubscription,
    EnableSubscription,
    PingSubscription,
}

impl Operation {
    /// The name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "oauth_token",
            Self::OnCalls => "on_calls",
            Self::LayerSchedule => "schedule",
            Self::ShiftSchedule => "schedule_v3",
            Self::User => "user",
            Self::ListUsers => "list_users",
            Self::EscalationPolicy => "escalation_policy",
            Self::ListIncidents => "list_incidents",
            Self::GetIncident => "get_incident",
            Self::TeamMembers => "team_members",
            Self::Priorities => "priorities",
            Self::Service => "service",
            Self::ListServices => "list_services",
            Self::ListSubscriptions => "list_subscriptions",
            Self::GetSubscription => "get_subscription",
            Self::CreateSubscription => "create_subscription",
            Self::UpdateSubscription => "update_subscription",
            Self::DeleteSubscription => "delete_subscription",
            Self::EnableSubscription => "enable_subscription",
            Self::PingSubscription => "ping_subscription",
        }
    }
}
