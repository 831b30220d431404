//! Looks without consequences: what the rules mean, and what lies ahead.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock,
    metrics::ByKind,
    model::{Email, Finding, Grant, Window, later},
    reconcile::{
        Reconciler,
        explain::{Explanation, Known, Past, Question, explain},
        plan::{Guard, Plan, plan},
        report::preflight::preflight,
        scope::Scope,
        world::World,
    },
    store::{self, AuditRow, GrantQuery},
};

/// PagerDuty computes at most 90 days at once.
const LONGEST_LOOK: TimeDelta = TimeDelta::days(89);
/// A question takes a moment from the one who asks to us.
const JUST_NOW: TimeDelta = TimeDelta::seconds(3);
/// So many pages of the audit are searched for what was done for one person.
const AUDIT_PAGES: usize = 10;
/// The largest page.
const AUDIT_PAGE: u32 = 500;

/// What a look without consequences showed.
#[derive(Debug)]
pub struct Survey {
    /// When it was looked.
    pub at: DateTime<Utc>,
    /// What was seen.
    pub world: World,
    /// What would be done.
    pub plan: Plan,
}

impl Reconciler {
    /// Looks at everything and plans, for somebody who wants to know what the rules mean. Writes nothing.
    pub async fn survey(&self) -> Result<Survey, store::Error> {
        let at = clock::now();
        let world = self.observe(at, &Scope::All).await?;
        let plan = plan(at, &self.settings, &world, Guard::On);
        Ok(Survey { at, world, plan })
    }

    /// Why somebody has, or lacks, access. Writes nothing.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, store::Error> {
        let now = clock::now();
        // Who asks about now means the moment at which we look.
        let at = if (now - JUST_NOW..now).contains(&question.at) { now } else { question.at };
        let question = &Question { at, ..question.clone() };
        let asked = around(self.asked_window(now), at);
        let mut world = self.observe_in(now, &Scope::All, asked).await?;
        let aliases = &self.settings.aliases.0;
        let email = aliases.get(&question.email).unwrap_or(&question.email);
        if !world.accounts.contains_key(email) {
            world.accounts.insert(email.clone(), self.account(now, email).await);
        }
        let plan = plan(now, &self.settings, &world, Guard::On);
        let ledger = self.store.ledger(now).await?;
        let theirs = GrantQuery { ended: true, email: Some(email.to_string()), ..GrantQuery::default() };
        let made = self.store.grants(now, &theirs).await?;
        let history = self.history(email).await?;
        let settings = &self.settings;
        let (world, plan, ledger, made) = (&world, &plan, ledger.as_slice(), made.as_slice());
        let known = Known { now, asked, settings, world, plan, ledger, made, history: &history };
        Ok(explain(question, &known))
    }

    /// What was done for one person, newest first.
    async fn history(&self, email: &Email) -> Result<Vec<Past>, store::Error> {
        let (mut found, mut before) = (Vec::new(), None);
        for _ in 0..AUDIT_PAGES {
            let page = self.store.audit_page(AUDIT_PAGE, before).await?;
            found.extend(page.items.iter().filter_map(|row| past(row, email)));
            before = page.next.and_then(|next| next.parse().ok());
            if before.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// What the last full pass found amiss within the horizon.
    pub fn ahead(&self) -> Arc<[Finding]> {
        Arc::clone(&self.ahead.lock())
    }

    /// Keeps and counts what lies ahead, and tells of what is new.
    pub(in crate::reconcile) fn note_ahead(&self, now: DateTime<Utc>, world: &World, plan: &Plan) {
        let found = preflight(now, &self.settings, world, plan);
        let known = self.ahead();
        for finding in found.iter().filter(|finding| !finding.is_among(&known)) {
            tracing::warn!(finding.kind = finding.kind.as_str(), "found ahead: {finding}");
        }
        // What an unanswered question hides is still known, and not told again when it shows.
        let hidden = if plan.unknown.is_empty() { &[] } else { known.as_ref() };
        let hidden = hidden.iter().filter(|finding| !finding.is_among(&found)).cloned();
        let all: Vec<Finding> = found.iter().cloned().chain(hidden).collect();
        for Finding { kind, .. } in known.iter().chain(&all) {
            let count = all.iter().filter(|finding| finding.kind == *kind).count();
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.metrics.preflight.get_or_create(&ByKind { kind: kind.as_str() }).set(count);
        }
        *self.ahead.lock() = all.into();
    }
}

/// `usual`, made longer to hold `at` with a margin, if that is not too long.
fn around(usual: Window, at: DateTime<Utc>) -> Window {
    let margin = TimeDelta::days(1);
    let (start, end) = (usual.start().min(later(at, -margin)), usual.end().max(later(at, margin)));
    let usual_holds = usual.start() <= at && at < usual.end();
    let wide = Window::new(start, end).filter(|_| !usual_holds && end - start <= LONGEST_LOOK);
    wide.unwrap_or(usual)
}

fn past(row: &AuditRow, email: &Email) -> Option<Past> {
    let AuditRow { at, action, outcome, grant, reason, .. } = row;
    let Grant { id, email: whose, resource, resource_id, window, .. } =
        serde_json::from_str(grant.get()).ok()?;
    (whose == *email).then(|| Past {
        at: *at,
        action: action.clone(),
        outcome: outcome.clone(),
        reason: reason.clone(),
        resource,
        resource_id,
        grant_id: id.map(|id| id.to_string()),
        window: Some(window),
    })
}
