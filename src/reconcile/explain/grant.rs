//! The end of the chain: the grant that gives access, or why there is none.

use chrono::{DateTime, Utc};

use super::{
    link::{Link, LinkKind, stretch},
    person::Person,
    question::{Known, Past},
};
use crate::{
    model::{
        Asked, AuditAction, AuditOutcome, ForeignGrant, Grant, GrantId, KubernetesGroups, Pair, ResourceId,
        Rule, Unknown, instant::to_second, later,
    },
    reconcile::plan::Action,
    store::{LedgerEntry, State},
};

/// What there is for one account and resource at one instant.
pub(super) struct Coverage<'k> {
    /// Our grant that covers the instant.
    pub(super) ours: Option<&'k Grant>,
    /// Our grant that covers it, but whose making or taking back has no answer yet.
    pub(super) unsettled: Option<&'k LedgerEntry>,
    /// Somebody else's grant that covers it.
    pub(super) foreign: Option<&'k ForeignGrant>,
    pair: Option<Pair>,
    history: Vec<&'k Past>,
}

impl<'k> Coverage<'k> {
    pub(super) fn of(
        at: DateTime<Utc>,
        known: &Known<'k>,
        person: &Person,
        resource: Option<&ResourceId>,
    ) -> Self {
        let account = person.account_id().cloned().zip(resource.cloned());
        let pair = account.map(|(account, resource)| Pair { account, resource });
        let covers =
            |grant: &Grant| pair.as_ref().is_some_and(|pair| grant.joins(pair)) && grant.window.contains(at);
        let entries = || known.ledger.iter().filter(|entry| covers(&entry.own.grant));
        let live = entries().find(|entry| entry.state == State::Live).map(|entry| &entry.own.grant);
        let history: Vec<&Past> =
            known.history.iter().filter(|past| resource.is_some_and(|id| past.resource_id == *id)).collect();
        let was = |grant: &&Grant| covers(grant) && at < known.now && !was_gone(grant, at, &history);
        let is_theirs =
            |foreign: &&ForeignGrant| pair.as_ref() == Some(&foreign.pair) && foreign.window.contains(at);
        let foreign = known.world.recorded.foreign.iter().find(is_theirs);
        Self {
            ours: live.or_else(|| known.made.iter().find(was)),
            unsettled: entries()
                .find(|entry| matches!(entry.state, State::Creating | State::Revoking | State::Lost)),
            foreign,
            pair,
            history,
        }
    }

    /// The last link of a chain: whoever comes so far is entitled to a grant.
    pub(super) fn link(&self, at: DateTime<Utc>, known: &Known<'_>, rule: &Rule) -> Link {
        let kind = LinkKind::Grant;
        if let Some(grant) = self.ours {
            let id = grant.id.as_ref().map(ToString::to_string).unwrap_or_default();
            let groups = &grant.kubernetes_groups;
            if at >= known.now && !groups.include(&rule.kubernetes_groups) {
                let (has, wanted) = (in_groups(groups), in_groups(&rule.kubernetes_groups));
                let message = format!("grant {id} gives access{has}, not{wanted} as the rule says");
                return Link::missing(
                    kind,
                    message,
                    "the next pass makes a grant with these groups; POST /sync runs one now",
                );
            }
            return Link::holds(kind, format!("grant {id}{groups} {}", stretch(Some(grant.window))));
        }
        if let Some(foreign) = self.foreign {
            let message = format!("somebody else's grant {} covers it", foreign.id);
            return Link::holds(kind, message);
        }
        let is_unreadable =
            |row: &&Unknown| matches!(&row.about, Asked::Write(pair) if Some(pair) == self.pair.as_ref());
        if let Some(row) = known.world.recorded.unreadable.iter().find(is_unreadable) {
            return Link::unknown(kind, row.error.to_string());
        }
        if self.unsettled.is_some()
            || known.plan.unsettled.iter().any(|pair| Some(pair) == self.pair.as_ref())
        {
            let message = "strongDM has not said what became of an earlier write; the next pass finds out";
            return Link::unknown(kind, message.to_owned());
        }
        if at < known.now {
            let message = format!("no grant of ours covered {}{}", to_second(at), self.last_failure());
            return Link::missing(kind, message, "it is past; the audit tells what was done then");
        }
        if let Some(deferred) = known
            .plan
            .deferred
            .iter()
            .find(|deferred| self.is(&deferred.grant) && deferred.grant.window.contains(at))
        {
            let until = deferred.until.map_or("somebody removes it".to_owned(), to_second);
            let message = format!(
                "deferred: strongDM takes one grant at a time, and another is in the way until {until}"
            );
            return match deferred.until {
                Some(until) if until <= at => Link::pending(kind, message),
                _ => Link::missing(
                    kind,
                    message,
                    "remove the grant in the way in strongDM, or wait for its end",
                ),
            };
        }
        self.to_be_made(at, known)
    }

    fn to_be_made(&self, at: DateTime<Utc>, known: &Known<'_>) -> Link {
        let kind = LinkKind::Grant;
        let planned = known.plan.actions().any(|action| match action {
            Action::Create(new) => self.is(&new.grant) && new.grant.window.contains(at),
            Action::Revoke(_) => false,
        });
        let failure = self.last_failure();
        let horizon = later(known.now, known.settings.horizon);
        if at >= horizon {
            let message = format!(
                "that lies beyond the horizon ({}); the grant is made when it comes nearer",
                to_second(horizon)
            );
            return Link::pending(kind, message);
        }
        if planned && at > known.now && failure.is_empty() {
            return Link::pending(kind, "the grant is not made yet; the next pass makes it".to_owned());
        }
        let message = format!("the grant is missing{failure}");
        let remedy = if failure.is_empty() {
            "the next pass makes it; POST /sync runs one now. If it stays missing, is the service running?"
        } else {
            self.mend_failure()
        };
        Link::missing(kind, message, remedy)
    }

    fn is(&self, grant: &Grant) -> bool {
        self.pair.as_ref().is_some_and(|pair| grant.joins(pair))
    }

    /// The newest attempt, if it failed.
    fn failed(&self) -> Option<&Past> {
        let newest = self.history.iter().find(|past| past.action.is(AuditAction::Create));
        newest.copied().filter(|past| !past.outcome.is(AuditOutcome::Done))
    }

    /// What to do about it, by the code that strongDM gave.
    fn mend_failure(&self) -> &'static str {
        let has = |code: &str| self.failed().is_some_and(|past| past.reason.contains(code));
        if has("unfulfilled authorization requirements") {
            "exempt the API key from the authorization policy in strongDM that asks for more than a right, such as MFA; the service tries again by itself"
        } else if has("PERMISSION_DENIED") {
            "unless strongDM gives another reason, tick grant:write for the API key in strongDM; the service tries again by itself"
        } else if has("UNAUTHENTICATED") {
            "give the service a valid API key of strongDM, and see that this machine has the right time; it tries again by itself"
        } else {
            "the service tries again by itself; if it goes on failing, its log and oncall-grants check tell more"
        }
    }

    fn last_failure(&self) -> String {
        self.failed().map_or_else(String::new, |past| {
            format!("; the last attempt at {} {}: {}", to_second(past.at), past.outcome, past.reason)
        })
    }
}

fn in_groups(groups: &KubernetesGroups) -> String {
    if groups.is_empty() { " in no Kubernetes group".to_owned() } else { groups.to_string() }
}

/// Whether the audit says that this grant was not there any more, or not yet.
fn was_gone(grant: &Grant, at: DateTime<Utc>, history: &[&Past]) -> bool {
    let id = grant.id.as_ref().map(GrantId::as_str);
    let mut of_it = history
        .iter()
        .filter(|past| past.grant_id.as_deref() == id && id.is_some() && past.outcome.is(AuditOutcome::Done));
    of_it.any(|past| match past.action.known() {
        Some(AuditAction::Revoke | AuditAction::Vanish) => past.at <= at,
        Some(AuditAction::Create | AuditAction::Adopt) => past.at > at,
        Some(AuditAction::Alter) | None => false,
    })
}
