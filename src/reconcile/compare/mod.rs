//! Compares the ledger with strongDM's list of all grants: finds grants that vanished, that turned up late or are
//! still there although they were recorded as ended, and those of others.
//!
//! # What follows from a list
//!
//! Pages are separate reads, and a list that was read on after a failure is minutes old: a grant may have come, gone or
//! moved between two pages meanwhile. So nothing follows from the list alone. It only says what to ask about: whatever
//! it would change in the ledger is asked for by its ID, or by its pair, and the answer of that moment counts. IDs
//! never return, so what is gone then stays gone. So a list that was read in several attempts misleads no more than one
//! that was read at once; it only notices later what others removed after their page was read, which is why it is read
//! anew after ten minutes.
//!
//! What it says of the grants of others is taken over as it is: that only informs the planner, and strongDM's refusals tell
//! the same. While that is done no write is under way, so that none of ours is taken for theirs.
//!
//! A list is kept in memory alone. After a restart, or on another replica, another one is read.

mod doubts;
mod listing;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

pub(super) use self::listing::{Listing, Waited};

use self::{
    doubts::{Witnesses, existing},
    listing::Listed,
};
use super::{
    execute::{Context, adopt, as_foreign, has_other_terms, is_too_late, settle_terms},
    probe,
};
use crate::{
    clock,
    model::{AuditAction, AuditOutcome, Fault, ForeignGrant, GrantId, OwnGrant, Pair},
    store::{self, LedgerEntry, SharedStore, State},
    strongdm::{self, RemoteGrant},
};

/// So many pairs are asked about at once.
const QUESTIONS_AT_ONCE: usize = 4;

/// Compares the ledger with strongDM.
#[derive(Debug)]
pub(super) struct Comparer {
    store: SharedStore,
    strongdm: strongdm::Client,
    /// The list that passes compare with which nobody asked for; it outlives them.
    kept: Mutex<Option<Listing>>,
}

/// Whom a list is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFor {
    /// For whoever needs one, also if it was begun before.
    Whoever,
    /// For somebody who wants to know how things are from now on.
    This,
}

/// What came of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    NotDue,
    /// The list is still being read.
    NoListYet,
    /// strongDM did not tell in time about what differs.
    Untold,
    Failed(Fault),
    /// Something was found that may change what is decided.
    WithNews,
    WithoutNews,
}

impl Compared {
    /// What the report says of a comparison that could not be made.
    pub(super) fn error(&self, listing: Option<&Listing>, read_for: ReadFor) -> Option<Fault> {
        match self {
            Self::NotDue | Self::WithNews | Self::WithoutNews => None,
            // As long as it gets on, nothing is wrong, unless somebody waits for it.
            Self::NoListYet if read_for == ReadFor::Whoever => listing.and_then(Listing::hindrance),
            Self::NoListYet | Self::Untold => Some("it took too long".into()),
            Self::Failed(fault) => Some(fault.clone()),
        }
    }
}

/// Why a comparison broke off.
#[derive(Debug)]
pub(super) enum CompareError {
    Store(store::Error),
    /// strongDM did not answer.
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

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Findings {
    /// Before anything was asked for by its ID.
    at: DateTime<Utc>,
    /// Live grants that strongDM has on other terms than the ledger.
    altered: Vec<(OwnGrant, RemoteGrant)>,
    /// Live grants that it has no longer.
    gone: Vec<OwnGrant>,
    /// Grants of ours that it has although they are recorded as ended.
    still_there: Vec<GrantId>,
    /// Creations whose grants may have turned up, and all that it has for their pairs.
    late: Vec<(LedgerEntry, Vec<RemoteGrant>)>,
    /// Grants that are not ours, as far as is known.
    foreign: Vec<ForeignGrant>,
}

impl Comparer {
    pub(super) fn new(store: SharedStore, strongdm: strongdm::Client) -> Self {
        Self { store, strongdm, kept: Mutex::default() }
    }

    /// Begins to ask strongDM for its list of all grants, or goes on with that. Nothing is written, so nobody needs to wait
    /// for it.
    pub(super) fn list(&self, read_for: ReadFor) -> Listing {
        if read_for == ReadFor::This {
            return Listing::begin(self.strongdm.clone(), None);
        }
        let mut kept = self.kept.lock();
        let listing = kept.take().filter(Listing::is_of_use);
        let begin = || Listing::begin(self.strongdm.clone(), Some(self.store.clone()));
        kept.insert(listing.unwrap_or_else(begin)).clone()
    }

    /// Whether there is a whole list that nobody has compared with yet.
    pub(super) fn has_list(&self) -> bool {
        self.kept.lock().as_ref().is_some_and(Listing::is_whole)
    }

    /// Compares the whole ledger with such a list. Asks strongDM about whatever differs, so no pass is to wait for it.
    pub(super) async fn compare(&self, listed: &Listed) -> Result<Findings, CompareError> {
        let at = clock::now();
        let ledger = self.store.ledger(at).await?;
        let open: BTreeSet<&GrantId> =
            ledger.iter().filter_map(|entry| entry.own.grant.id.as_ref()).collect();
        let mut differing: BTreeMap<&GrantId, &OwnGrant> = BTreeMap::new();
        for LedgerEntry { own, state, intended_at: _ } in &ledger {
            if let (Some(id), State::Live) = (&own.grant.id, state)
                && listed.get(id).is_none_or(|found| has_other_terms(own, found, at))
            {
                differing.insert(id, own);
            }
        }
        let others: Vec<&RemoteGrant> = listed
            .values()
            .filter(|found| !open.contains(&found.id) && found.end.is_none_or(|end| at < end))
            .collect();
        let ids: Vec<&GrantId> = others.iter().map(|found| &found.id).collect();
        let ours = self.store.ours_among(&ids).await?;
        let doubtful: BTreeSet<&GrantId> = differing.keys().copied().chain(&ours).collect();
        let mut existing = existing(&self.strongdm, &doubtful, witnesses(listed, &doubtful)).await?;
        let still_there = ours.iter().filter(|id| existing.contains_key(id)).cloned().collect();
        let (mut altered, mut gone) = (Vec::new(), Vec::new());
        for (id, own) in differing {
            match existing.remove(id) {
                Some(found) => altered.push((own.clone(), found)),
                None => gone.push(own.clone()),
            }
        }
        let others: Vec<&RemoteGrant> =
            others.into_iter().filter(|found| !ours.contains(&found.id)).collect();
        let late = self.late(&ledger, &others, at).await?;
        let foreign = others.into_iter().filter_map(|found| as_foreign(found, at)).collect();
        Ok(Findings { at, altered, gone, still_there, late, foreign })
    }

    /// Creations without an answer for whose account and resource the list shows something.
    async fn late(
        &self,
        ledger: &[LedgerEntry],
        others: &[&RemoteGrant],
        now: DateTime<Utc>,
    ) -> Result<Vec<(LedgerEntry, Vec<RemoteGrant>)>, CompareError> {
        let lost = ledger.iter().filter(|entry| entry.state == State::Lost && !is_too_late(entry, now));
        let shown: BTreeSet<_> = others.iter().map(|found| (&found.account, &found.resource)).collect();
        let lost = lost.filter(|LedgerEntry { own: OwnGrant { grant, .. }, .. }| {
            shown.contains(&(&grant.account_id, &grant.resource_id))
        });
        let lost: Vec<LedgerEntry> = lost.cloned().collect();
        let questions = stream::iter(lost).map(|entry| {
            let (strongdm, Pair { account, resource }) = (self.strongdm.clone(), entry.own.grant.pair());
            async move { Ok((entry, strongdm.grants_of(&account, &resource).await?)) }
        });
        questions.buffered(QUESTIONS_AT_ONCE).try_collect().await
    }

    /// Records what was found, while no write is under way. A grant that vanished is recorded as ended, and made anew by
    /// the next plan that wants it. One on other terms than we knew is recorded so. One that turned up late, or was
    /// recorded as ended too early, is ours to look after again. Everything else in the list is somebody else's. True if
    /// that may change what is decided.
    pub(super) async fn record(
        &self,
        context: &Context<'_>,
        findings: Findings,
    ) -> Result<bool, store::Error> {
        let Findings { at, altered, gone, still_there, late, foreign } = findings;
        let mut is_news = false;
        for (entry, remote) in &late {
            adopt(&self.store, &self.strongdm, context, entry, remote).await?;
            is_news = true;
        }
        for (own, found) in &altered {
            is_news |= settle_terms(&self.store, context, own, found).await?;
        }
        for own in &gone {
            is_news |= self.end(context, own).await?;
        }
        for id in &still_there {
            is_news |= self.reopen(context, id, at).await?;
        }
        // What was being written until now may have turned out to be ours.
        let ids: Vec<&GrantId> = foreign.iter().map(|grant| &grant.id).collect();
        let ours = self.store.ours_among(&ids).await?;
        // What a probe makes is removed at once, and is in nobody's way.
        let probed = probe::intended(&self.store).await?;
        let is_theirs =
            |grant: &ForeignGrant| !ours.contains(&grant.id) && !probed.iter().any(|intent| intent.is(grant));
        let foreign: Vec<_> = foreign.into_iter().filter(is_theirs).collect();
        let known = self.store.foreign_grants().await?;
        let known: BTreeSet<_> =
            known.iter().map(|(grant, _)| (&grant.id, grant.window, &grant.groups)).collect();
        let seen: BTreeSet<_> =
            foreign.iter().map(|grant| (&grant.id, grant.window, &grant.groups)).collect();
        is_news |= known != seen;
        self.store.set_foreign_grants(context.proof(), None, &foreign, context.now).await?;
        *self.kept.lock() = None;
        Ok(is_news)
    }

    /// Records a live grant that strongDM has no longer as ended.
    async fn end(&self, context: &Context<'_>, own: &OwnGrant) -> Result<bool, store::Error> {
        let grant = &own.grant;
        let audit =
            context.audit(AuditAction::Vanish, AuditOutcome::Done, grant, "strongDM has it no longer");
        let is_news = self.store.settle_ended(own.row, context.now, &audit).await?;
        // One that ends about now may be gone already by strongDM's clock.
        if is_news && grant.window.end() > clock::now() {
            tracing::warn!("a grant of ours vanished from strongDM: {}", context.tell(&grant.to_string()));
        }
        Ok(is_news)
    }

    /// Looks after a grant again that the ledger recorded as ended before `asked_at`, or nobody would ever take it back.
    async fn reopen(
        &self,
        context: &Context<'_>,
        id: &GrantId,
        asked_at: DateTime<Utc>,
    ) -> Result<bool, store::Error> {
        let Some(grant) = self.store.reopen(id, asked_at).await? else { return Ok(false) };
        let told = context.tell(&grant.to_string());
        tracing::warn!("a grant of ours that strongDM had said to be gone is still there: {told}");
        let audit = context.audit(
            AuditAction::Adopt,
            AuditOutcome::Done,
            &grant,
            "still there although it was said to be gone",
        );
        self.store.audit(&audit).await?;
        Ok(true)
    }
}

/// The two grants of a list that end last, but for the doubtful ones.
fn witnesses<'l>(listed: &'l Listed, doubtful: &BTreeSet<&GrantId>) -> Option<Witnesses<'l>> {
    let mut last: Vec<&RemoteGrant> = Vec::new();
    for found in listed.values().filter(|found| !doubtful.contains(&found.id)) {
        last.push(found);
        last.sort_by_key(|found| std::cmp::Reverse((found.end.is_none(), found.end)));
        last.truncate(2);
    }
    let [first, second] = last.as_slice() else { return None };
    Some([&first.id, &second.id])
}
