//! The status snapshot in the store: what passes saw, and what this process alone noticed, for people on any replica.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{
    PassReport,
    snapshot::{STATUS_SNAPSHOT, StatusSnapshot, WrongSecret},
};
use crate::{
    clock,
    model::{Certainty, LedgerRow, Rule},
    reconcile::{facts::DUE_REVOCATIONS, plan::Wanted, scope::Scope},
    store::{self, Access, SharedStore, View},
};

/// Anybody can send webhooks that are refused; more often than this they lead to no write.
const WRITE_EVERY: TimeDelta = TimeDelta::minutes(1);
/// So many events are looked through for one that was signed well.
const EVENTS: u32 = 200;

/// Reads and replaces the snapshot.
#[derive(Debug)]
pub(crate) struct Snapshots {
    store: SharedStore,
    /// Set by webhooks, written by passes.
    noticed: Mutex<Noticed>,
}

/// A wrong secret that this process noticed.
#[derive(Debug, Default)]
struct Noticed {
    newest: Option<WrongSecret>,
    /// When the newest came that the store knows of.
    stored: Option<DateTime<Utc>>,
}

impl Snapshots {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self { store, noticed: Mutex::default() }
    }

    /// What the newest passes saw, also those of other replicas; nothing before the first.
    pub(crate) async fn read(&self) -> Result<StatusSnapshot, store::Error> {
        let mut snapshot = STATUS_SNAPSHOT.read(&self.store, clock::now()).await?.unwrap_or_default();
        let here = self.noticed.lock().newest.clone();
        let order = |wrong: &WrongSecret| (wrong.at, wrong.certainty);
        if here.as_ref().map(order) > snapshot.wrong_secret.as_ref().map(order) {
            snapshot.wrong_secret = here;
        }
        Ok(snapshot)
    }

    /// The rows of the ledger that the guard holds.
    pub(crate) async fn held(&self) -> Result<BTreeSet<LedgerRow>, store::Error> {
        let due = DUE_REVOCATIONS.read(&self.store, clock::now()).await?.unwrap_or_default();
        Ok(due.held().collect())
    }

    /// Takes over what a pass of `scope` saw, and answers what is known then; only for whoever holds the lease, or what
    /// another one saw would be lost.
    pub(crate) async fn record(
        &self,
        report: &PassReport,
        scope: &Scope,
        rules: &[Rule],
    ) -> Result<StatusSnapshot, store::Error> {
        let missing = self.missing(report).await?;
        let mut snapshot = self.read().await?;
        snapshot.take_missing(report, missing);
        let snapshot = snapshot.after(report, scope, rules);
        self.replace(&snapshot).await?;
        Ok(snapshot)
    }

    /// Puts into the store what was noticed here; only for whoever holds the lease.
    pub(crate) async fn store_what_was_noticed(&self) -> Result<(), store::Error> {
        self.replace(&self.read().await?).await
    }

    async fn replace(&self, snapshot: &StatusSnapshot) -> Result<(), store::Error> {
        STATUS_SNAPSHOT.write(&self.store, snapshot, None).await?;
        self.noticed.lock().stored = snapshot.wrong_secret.as_ref().map(|wrong| wrong.at);
        Ok(())
    }

    /// Who is entitled to something at the end of a pass, and has no grant of ours for it.
    async fn missing(&self, report: &PassReport) -> Result<Vec<Wanted>, store::Error> {
        let now = report.finished_at;
        let is_due = |wanted: &&Wanted| wanted.start <= now && wanted.end.is_none_or(|end| end > now);
        let mut due: Vec<Wanted> = report.unreported.wanted.iter().filter(is_due).cloned().collect();
        if due.is_empty() {
            return Ok(due);
        }
        let view = View::between(now, now);
        let covered: BTreeSet<Access> =
            self.store.accesses(&view, u32::MAX, None).await?.into_iter().collect();
        due.retain(|Wanted { email, resource, .. }| {
            !covered.contains(&Access { resource: resource.clone(), email: email.to_string() })
        });
        Ok(due)
    }

    /// Records a webhook in the name of our own subscription that was signed with a secret that we do not have.
    pub(crate) fn record_wrong_secret(&self, subscription: &str, at: DateTime<Utc>, certainty: Certainty) {
        let mut noticed = self.noticed.lock();
        let known = noticed.newest.as_ref().filter(|wrong| wrong.subscription == subscription);
        // What was proved once stays so until one is signed well.
        let certainty = known.map_or(certainty, |wrong| wrong.certainty.max(certainty));
        noticed.newest = Some(WrongSecret { subscription: subscription.to_owned(), at, certainty });
    }

    /// Records that one of our secrets signed a webhook of this subscription.
    pub(crate) fn record_right_secret(&self, subscription: &str) {
        self.noticed.lock().newest.take_if(|wrong| wrong.subscription == subscription);
    }

    /// Records that PagerDuty switched this subscription off because deliveries failed. If webhooks in its name were
    /// refused before, that proves that it signs with a secret that we do not have; answers when the last of them came,
    /// unless that was proved before.
    pub(crate) async fn prove_wrong_secret(
        &self,
        subscription: &str,
    ) -> Result<Option<DateTime<Utc>>, store::Error> {
        let claimed = self.read().await?.wrong_secret;
        let claimed = claimed
            .filter(|wrong| wrong.subscription == subscription && wrong.certainty == Certainty::Claimed);
        let Some(claimed) = claimed else { return Ok(None) };
        if claimed.is_mended_by(&self.store.delivery_page(EVENTS, None).await?.items) {
            return Ok(None);
        }
        let at = claimed.at;
        let proved = WrongSecret { certainty: Certainty::Proved, ..claimed };
        *self.noticed.lock() = Noticed { newest: Some(proved), stored: None };
        Ok(Some(at))
    }

    /// Whether something was noticed here that the store should know without waiting for the next pass, which may run
    /// elsewhere.
    pub(crate) fn is_ahead_of_store(&self) -> bool {
        let noticed = self.noticed.lock();
        let newest = noticed.newest.as_ref().map(|wrong| wrong.at);
        newest.is_some_and(|at| noticed.stored.is_none_or(|stored| at - stored >= WRITE_EVERY))
    }
}
