//! The end of the chain: the grant that gives access, or why there is none.

use chrono::{DateTime, Utc};

use super::{
    Access, Chain, Known, Past, Subject,
    chain::{Link, LinkKind, LinkState, words},
    person::Person,
};
use crate::{
    model::{FOREVER, ForeignGrant, Grant, GrantId, Pair, ResourceId, instant::to_second, later},
    reconcile::plan::Action,
    store::{LedgerEntry, State},
};

/// What there is for one account and resource at one instant.
pub(super) struct Standing<'k> {
    /// Our grant that covers the instant.
    ours: Option<&'k Grant>,
    /// Our grant that covers it, but whose making or taking back has no answer yet.
    unsettled: Option<&'k LedgerEntry>,
    /// Somebody else's grant that covers it.
    foreign: Option<&'k ForeignGrant>,
    pair: Option<Pair>,
    history: Vec<&'k Past>,
}

/// Whether there is access, the missing link, why, and what mends it.
type Verdict = (Access, Option<LinkKind>, String, String);

impl<'k> Standing<'k> {
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
        let foreign = known.world.foreign.iter().find(is_theirs);
        Self {
            ours: live.or_else(|| known.made.iter().find(was)),
            unsettled: entries()
                .find(|entry| matches!(entry.state, State::Creating | State::Revoking | State::Lost)),
            foreign,
            pair,
            history,
        }
    }

    pub(super) fn grant(&self) -> Option<&'k Grant> {
        self.ours
    }

    /// The last link of a chain: whoever comes so far is entitled to a grant.
    pub(super) fn link(&self, at: DateTime<Utc>, known: &Known<'_>) -> Link {
        let kind = LinkKind::Grant;
        if let Some(grant) = self.ours {
            let id = grant.id.as_ref().map(ToString::to_string).unwrap_or_default();
            return Link::holds(kind, format!("grant {id} {}", words(Some(grant.window))));
        }
        if let Some(foreign) = self.foreign {
            let message = format!("somebody else's grant {} covers it", foreign.id);
            return Link::holds(kind, message);
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
        let newest = self.history.iter().find(|past| past.action == "create");
        newest.copied().filter(|past| past.outcome != "done")
    }

    /// What to do about it, by the code that strongDM gave.
    fn mend_failure(&self) -> &'static str {
        let has = |code: &str| self.failed().is_some_and(|past| past.reason.contains(code));
        if has("PERMISSION_DENIED") {
            "tick grant:write for the API key in strongDM; the service tries again by itself"
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

    /// What all chains and the grant come to.
    pub(super) fn verdict(
        &self,
        at: DateTime<Utc>,
        known: &Known<'_>,
        person: &Person,
        subject: &Subject<'_>,
        chains: &[Chain],
    ) -> Verdict {
        let name = subject.name();
        let whole = chains.iter().find(|chain| chain.broken().is_none());
        let there = self.ours.is_some() || self.foreign.is_some();
        if there && person.is_suspended() {
            let link = person.link();
            let message = format!("there is a grant for {name}, but {}", link.message);
            return (Access::No, Some(LinkKind::Account), message, link.remedy);
        }
        match (there, whole) {
            (true, Some(chain)) => {
                let has = if at < known.now { "had" } else { "has" };
                (Access::Yes, None, format!("{has} access to {name} by rule {:?}", chain.rule), String::new())
            }
            (true, None) => self.unwanted(at, known, name, chains),
            (false, None) if self.unsettled.is_some() && at >= known.now => {
                let message = format!(
                    "strongDM has not said what became of an earlier write for {name}; the next pass finds out"
                );
                (Access::Unknown, Some(LinkKind::Grant), message, "ask again after the next pass".to_owned())
            }
            (false, _) => broken(name, chains),
        }
    }

    /// There is a grant that no chain leads to.
    fn unwanted(&self, at: DateTime<Utc>, known: &Known<'_>, name: &str, chains: &[Chain]) -> Verdict {
        let yes = |message: String, remedy: &str| (Access::Yes, None, message, remedy.to_owned());
        let Some(grant) = self.ours else {
            let id = self.foreign.map(|foreign| foreign.id.to_string()).unwrap_or_default();
            let remedy = if at < known.now {
                ""
            } else {
                "that grant is not ours, so it is never taken back here; if it should go, remove it in strongDM by hand"
            };
            return yes(format!("has access to {name} by grant {id}, which somebody else made"), remedy);
        };
        let id = grant.id.as_ref().map(ToString::to_string).unwrap_or_default();
        if at < known.now {
            return yes(
                format!("had access to {name} by grant {id} (rules: {})", grant.rules.join(", ")),
                "",
            );
        }
        let because = chains.first().and_then(Chain::broken).map(|link| link.message.clone());
        let because = because.unwrap_or_else(|| format!("no rule is about {name} any more"));
        let is_this = |other: &Grant| other.id == grant.id;
        if known.plan.held.iter().any(is_this) {
            let message = format!("has access to {name} by grant {id}, whose revocation is held ({because})");
            return yes(message, "confirm with POST /sync and allow_mass_revocation, if that is right");
        }
        let due = known.plan.actions().any(|action| match action {
            Action::Revoke(revocation) => is_this(&revocation.grant),
            Action::Create(_) => false,
        });
        if due {
            let message =
                format!("has access to {name} by grant {id}, which the next pass takes back ({because})");
            return yes(message, "");
        }
        let message = format!("has access to {name} by grant {id}, which stays until its end ({because})");
        yes(message, "")
    }
}

/// No grant: the chain that comes farthest tells why.
fn broken(name: &str, chains: &[Chain]) -> Verdict {
    let Some(link) = chains.first().and_then(Chain::broken) else {
        let message = format!("no rule gives access to {name}");
        return (Access::No, Some(LinkKind::Rule), message, "name it in a rule".to_owned());
    };
    let pending =
        chains.iter().find_map(|chain| chain.broken().filter(|link| link.state == LinkState::Pending));
    let link = pending.unwrap_or(link);
    let unseen =
        chains.iter().find_map(|chain| chain.broken().filter(|link| link.state == LinkState::Unknown));
    let (access, link) = match (link.state, unseen) {
        (LinkState::Pending, _) => (Access::Expected, link),
        (LinkState::Missing, None) => (Access::No, link),
        // Another way may hold; nobody can say.
        (_, Some(unseen)) => (Access::Unknown, unseen),
        (LinkState::Unknown | LinkState::Ok, None) => (Access::Unknown, link),
    };
    (access, Some(link.link), link.message.clone(), link.remedy.clone())
}

/// Whether the audit says that this grant was not there any more, or not yet.
fn was_gone(grant: &Grant, at: DateTime<Utc>, history: &[&Past]) -> bool {
    let id = grant.id.as_ref().map(GrantId::as_str);
    let mut of_it = history
        .iter()
        .filter(|past| past.grant_id.as_deref() == id && id.is_some() && past.outcome == "done");
    of_it.any(|past| match past.action.as_str() {
        "revoke" | "vanish" => past.at <= at,
        "create" | "adopt" => past.at > at,
        _ => false,
    }) || grant.window.end() >= FOREVER
}
