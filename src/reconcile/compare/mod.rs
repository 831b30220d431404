//! Compares the ledger with strongDM's list of all grants: finds grants that vanished, that turned up late or are
//! still there although they were recorded as ended, and those of others.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::task::AbortOnDropHandle;

use super::execute::{Context, adopt, as_foreign, settle_window};
use crate::{
    clock,
    model::{AuditAction, AuditOutcome, ForeignGrant, GrantId},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{self, RemoteGrant},
};

/// Compares the ledger with strongDM.
#[derive(Debug)]
pub(super) struct Comparer {
    store: SharedStore,
    strongdm: strongdm::Client,
}

/// strongDM's list of all grants, as soon as it is there. Dropping it ends the asking.
pub(super) type Listing = AbortOnDropHandle<Result<Vec<RemoteGrant>, strongdm::Error>>;

/// Why a comparison broke off.
#[derive(Debug)]
pub(super) enum CompareError {
    Store(store::Error),
    /// strongDM did not answer; what was found before is recorded.
    Strongdm(strongdm::Error),
}

impl From<store::Error> for CompareError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<strongdm::Error> for CompareError {
    fn from(error: strongdm::Error) -> Self {
        Self::Strongdm(error)
    }
}

impl Comparer {
    pub(super) fn new(store: SharedStore, strongdm: strongdm::Client) -> Self {
        Self { store, strongdm }
    }

    /// Begins to ask strongDM for its list of all grants. Nothing is written, so nobody needs to wait for it.
    pub(super) fn list(&self) -> Listing {
        let strongdm = self.strongdm.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { strongdm.all_grants().await }))
    }

    /// Compares the whole ledger with such a list, while no write is under way. A grant that vanished is recorded as ended,
    /// and made anew by the next plan that wants it. One with another window than we knew is recorded so. One that turned
    /// up late, or was recorded as ended too early, is ours to look after again. Everything else in the list is somebody
    /// else's.
    pub(super) async fn compare(
        &self,
        context: &Context<'_>,
        remote: &[RemoteGrant],
    ) -> Result<(), CompareError> {
        let listed: BTreeMap<&GrantId, &RemoteGrant> =
            remote.iter().map(|found| (&found.id, found)).collect();
        for entry in self.store.ledger(context.now).await? {
            match (&entry.own.grant.id, entry.state) {
                (None, State::Lost) => {
                    adopt(&self.store, &self.strongdm, context, &entry, remote).await?;
                }
                (Some(id), State::Live) => match listed.get(id) {
                    Some(found) => {
                        settle_window(&self.store, context, &entry.own, found).await?;
                    }
                    None => self.end_if_gone(context, &entry, id).await?,
                },
                _ => {}
            }
        }
        let foreign = self.foreign(context, remote).await?;
        self.store.set_foreign_grants(context.proof(), None, &foreign, context.now).await?;
        Ok(())
    }

    /// Records a live grant that the list lacks as ended. Pages are separate reads, so it is asked for itself first.
    async fn end_if_gone(
        &self,
        context: &Context<'_>,
        entry: &LedgerEntry,
        id: &GrantId,
    ) -> Result<(), CompareError> {
        if self.strongdm.get_grant(id).await?.is_some() {
            return Ok(());
        }
        let grant = &entry.own.grant;
        let audit =
            context.audit(AuditAction::Vanish, AuditOutcome::Done, grant, "strongDM has it no longer");
        self.store.settle_ended(entry.own.row, context.now, &audit).await?;
        // One that ends about now may be gone already by strongDM's clock.
        if grant.window.end() > clock::now() {
            tracing::warn!("a grant of ours vanished from strongDM: {grant}");
        }
        Ok(())
    }

    /// The grants of others in the list. What is ours but recorded as ended is reopened.
    async fn foreign(
        &self,
        context: &Context<'_>,
        remote: &[RemoteGrant],
    ) -> Result<Vec<ForeignGrant>, CompareError> {
        let ledger = self.store.ledger(context.now).await?;
        let open: BTreeSet<&GrantId> =
            ledger.iter().filter_map(|entry| entry.own.grant.id.as_ref()).collect();
        let mut foreign = Vec::new();
        for found in remote.iter().filter(|found| !open.contains(&found.id)) {
            if self.store.is_ours(&found.id).await? {
                self.reopen(context, &found.id).await?;
            } else {
                foreign.extend(as_foreign(found, context.now));
            }
        }
        Ok(foreign)
    }

    /// Looks after a listed grant again that the ledger records as ended, or nobody would ever take it back.
    async fn reopen(&self, context: &Context<'_>, id: &GrantId) -> Result<(), CompareError> {
        // Another replica may have removed it since it was listed; it was recorded before we ask.
        if self.strongdm.get_grant(id).await?.is_none() {
            return Ok(());
        }
        if let Some(grant) = self.store.reopen(id, context.now).await? {
            tracing::warn!("a grant of ours that strongDM had said to be gone is still there: {grant}");
            let audit = context.audit(
                AuditAction::Adopt,
                AuditOutcome::Done,
                &grant,
                "still there although it was said to be gone",
            );
            self.store.audit(&audit).await?;
        }
        Ok(())
    }
}
