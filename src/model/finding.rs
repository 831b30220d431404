//! What will break, or is broken: data that `check` prints, the service counts, and machines read.

use serde::{Deserialize, Serialize};

use super::{SkipReason, Window, word::words};

/// Something that an operator should know, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is, for metrics and filters.
    pub kind: FindingKind,
    /// Whom or what it is about.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty if nothing needs to be done.
    pub remedy: String,
    /// The stretches of time that it is about, where it is about some; told in the message, and not stored.
    #[serde(skip)]
    pub stretches: Vec<Window>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody lacks access, or nothing works, until it is mended.
    Problem,
    /// It may be meant, or may break later.
    Warning,
    /// Good to know; also what another version has another word for.
    #[serde(other)]
    Note,
}

words!(
    /// The kinds of findings, in the order in which equally bad ones are told.
    FindingKind {
        /// strongDM suspended the account of somebody on call.
        AccountSuspended = "account_suspended",
        /// Somebody is always on call, and gets nothing for it.
        AlwaysOnCall = "always_on_call",
        /// Several accounts have the address of somebody on call, or several people lead to one account.
        AmbiguousAccount = "ambiguous_account",
        /// Several resources have the name that a rule gives.
        AmbiguousResource = "ambiguous_resource",
        /// This machine's clock is wrong.
        ClockSkew = "clock_skew",
        /// Nobody in PagerDuty has an address of a domain that is mapped.
        DomainAliasUnused = "domain_alias_unused",
        /// strongDM does not accept a filter or name.
        FilterRefused = "filter_refused",
        /// A filter matches surprisingly much.
        FilterWithManyMatches = "filter_with_many_matches",
        /// A filter matches nothing.
        FilterWithoutMatch = "filter_without_match",
        /// Nobody is on call for a rule for a while.
        Gap = "gap",
        /// Revocations wait for a confirmation.
        Held = "held",
        /// The address of somebody on call is not safe to look up.
        InvalidEmail = "invalid_email",
        /// An API key is refused.
        KeyRefused = "key_refused",
        /// A rule names a level that its policy does not have.
        LevelBeyondPolicy = "level_beyond_policy",
        /// Nobody is at a level that a rule names.
        LevelNotSeen = "level_not_seen",
        /// Somebody on call has no strongDM account.
        NoAccount = "no_account",
        /// Somebody on call has no e-mail address.
        NoEmail = "no_email",
        /// What a probe learned of strongDM.
        Probed = "probed",
        /// `server.public_url` is not set.
        NoPublicUrl = "no_public_url",
        /// No webhook secret is configured.
        NoWebhookSecret = "no_webhook_secret",
        /// Who is told of changes, and whether they take it.
        Notices = "notices",
        /// Somebody works on an incident, and is in no group of the rule's `eligible`.
        NotEligible = "not_eligible",
        /// A right cannot be tried without writing.
        NotTried = "not_tried",
        /// `server.public_url` is plain http.
        PublicUrlInTheClear = "public_url_in_the_clear",
        /// strongDM has no resource of a name.
        ResourceNotFound = "resource_not_found",
        /// A credential lacks a right.
        RightMissing = "right_missing",
        /// The admin token can be guessed.
        ShortAdminToken = "short_admin_token",
        /// PagerDuty knows no such schedule, policy, service, team or priority.
        SourceNotFound = "source_not_found",
        /// The store cannot be opened.
        Store = "store",
        /// The store is not there yet.
        StoreNew = "store_new",
        /// PagerDuty switched the webhook subscription off for a while.
        SubscriptionDisabled = "subscription_disabled",
        /// Several subscriptions deliver to the same URL.
        SubscriptionDoubled = "subscription_doubled",
        /// The subscription does not deliver all events that matter.
        SubscriptionEvents = "subscription_events",
        /// The owner of the subscription switched it off.
        SubscriptionInactive = "subscription_inactive",
        /// No subscription delivers to us.
        SubscriptionMissing = "subscription_missing",
        /// The subscriptions cannot be looked at.
        SubscriptionNotReadable = "subscription_not_readable",
        /// No signed event of the subscription has arrived.
        SubscriptionUnheard = "subscription_unheard",
        /// The subscription delivers, and no secret is configured.
        SubscriptionWithoutSecret = "subscription_without_secret",
        /// More people work on an incident than the rule gives access to.
        TooManyPeople = "too_many_people",
        /// Something could not be observed.
        Unobserved = "unobserved",
        /// An upstream cannot be reached.
        Unreachable = "unreachable",
        /// A webhook secret is configured twice.
        WebhookSecretDoubled = "webhook_secret_doubled",
        /// Who can cause access by a rule about incidents.
        WhoCanCause = "who_can_cause",
        /// Writes to strongDM failed.
        WriteFailed = "write_failed",
        /// The subscription signs with a secret that is not configured.
        WrongSecret = "wrong_secret",
    }
);

impl From<SkipReason> for FindingKind {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::NoAccount => Self::NoAccount,
            SkipReason::AccountSuspended => Self::AccountSuspended,
            SkipReason::AmbiguousAccount => Self::AmbiguousAccount,
            SkipReason::NoEmail => Self::NoEmail,
            SkipReason::InvalidEmail => Self::InvalidEmail,
            SkipReason::ResourceNotFound => Self::ResourceNotFound,
            SkipReason::AmbiguousResource => Self::AmbiguousResource,
            SkipReason::FilterRefused => Self::FilterRefused,
            SkipReason::NotEligible => Self::NotEligible,
            SkipReason::TooManyPeople => Self::TooManyPeople,
            SkipReason::Other => Self::Other,
        }
    }
}

impl Finding {
    /// Something that must be mended.
    pub fn problem(kind: FindingKind, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Problem, kind, subject, message)
    }

    /// Something that may be meant.
    pub fn warning(kind: FindingKind, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Warning, kind, subject, message)
    }

    /// Something that is good to know.
    pub fn note(kind: FindingKind, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Note, kind, subject, message)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers give texts, numbers and errors alike")]
    fn new(severity: Severity, kind: FindingKind, subject: impl ToString, message: impl ToString) -> Self {
        let (subject, message) = (subject.to_string(), message.to_string());
        Self { severity, kind, subject, message, remedy: String::new(), stretches: Vec::new() }
    }

    /// The same with what to do about it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as above")]
    pub fn mended_by(self, remedy: impl ToString) -> Self {
        Self { remedy: remedy.to_string(), ..self }
    }

    /// Whether `known` already told of this. What is about stretches of time is new with each stretch.
    pub fn is_among<'f>(&self, known: impl IntoIterator<Item = &'f Self>) -> bool {
        let same = known.into_iter().filter(|one| one.kind == self.kind && one.subject == self.subject);
        let same: Vec<&Self> = same.collect();
        let told = |stretch: &Window| {
            same.iter().any(|one| one.stretches.iter().any(|other| other.overlaps(stretch)))
        };
        !same.is_empty() && self.stretches.iter().all(told)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
