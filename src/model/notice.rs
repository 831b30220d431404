//! What is told to others when access changes, or needs somebody.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::word::words;

words!(
    /// What a notice is about.
    NoticeKind {
        /// Somebody got access.
        Granted = "access.granted",
        /// Somebody lost access before its end.
        Revoked = "access.revoked",
        /// A grant could not be made or taken back.
        Failed = "access.failed",
        /// The guard keeps access from being revoked until somebody confirms it.
        Held = "revocations.held",
        /// Somebody on call has no account in strongDM.
        WithoutAccount = "person.without_account",
        /// PagerDuty switched our webhook subscription off.
        SubscriptionDisabled = "subscription.disabled",
        /// How far the decision log has come.
        Checkpoint = "audit.checkpoint",
    }
);

/// A notice that is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// What it is about.
    pub kind: NoticeKind,
    /// When that was.
    pub at: DateTime<Utc>,
    /// For programs.
    pub data: Value,
    /// For people.
    pub text: String,
}

impl NoticeKind {
    /// All that this version knows.
    pub const ALL: [Self; 7] = [
        Self::Granted,
        Self::Revoked,
        Self::Failed,
        Self::Held,
        Self::WithoutAccount,
        Self::SubscriptionDisabled,
        Self::Checkpoint,
    ];

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}
