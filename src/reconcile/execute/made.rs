//! Records what strongDM made of a creation: the window and the groups that it stored, whatever was asked for. What
//! gives access that nobody asked for is taken back.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{
    Context,
    stored::{Fit, Stored},
};
use crate::{
    clock,
    model::{AuditAction, AuditOutcome, Fault, Grant, LedgerRow, OwnGrant, Terms, instant::to_second},
    store::{self, AskAgain, SharedStore},
    strongdm::{Client, RemoteGrant},
};

const REMEDY: &str = "find out what changes account grants in strongDM, such as a policy or a program \
                      between it and us, and exempt the API key from that; nobody gets this access before";

/// A creation that strongDM has carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Creation<'c> {
    pub(super) row: LedgerRow,
    pub(super) asked: &'c Grant,
    /// How it became ours, and why, for the audit.
    pub(super) action: AuditAction,
    pub(super) reason: &'c str,
}

/// What came of a creation, as strongDM stored it.
#[derive(Debug)]
pub(crate) enum Made {
    /// The grant; nothing of what was asked for is missing.
    Whole(Grant),
    /// A grant for a part of it. The rest is asked for later.
    Part(Grant),
    /// Nothing: it had to be taken back.
    TakenBack(Fault),
}

/// Records a grant that strongDM made for us, and says what it is good for.
pub(super) async fn settle(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    creation: Creation<'_>,
    remote: &RemoteGrant,
) -> Result<Made, store::Error> {
    let Creation { row, asked, action, reason } = creation;
    let now = clock::now();
    let Stored { terms, fit } = Stored::of(remote, &asked.terms(), now);
    let grant = Grant { id: Some(remote.id.clone()), ..on(asked, terms.clone()) };
    let difference = Difference { stored: remote, asked: &asked.terms() };
    let told = if fit == Fit::Same { reason.to_owned() } else { format!("{reason}; {difference}") };
    let audit = context.audit(action, AuditOutcome::Done, &grant, &told);
    if !store.settle_created(row, &remote.id, &terms, &audit).await? {
        // Whoever recorded it has looked at its terms.
        return Ok(Made::Whole(grant));
    }
    let (pair, Grant { email, resource, .. }) = (grant.pair(), &grant);
    if action == AuditAction::Adopt {
        tracing::info!("found the grant of a lost answer again: {}", context.tell(&grant.to_string()));
    } else {
        let Grant { window, kubernetes_groups, .. } = &grant;
        let told =
            format!("granted {email} access to {resource}{kubernetes_groups} {window}, because of {reason}");
        tracing::info!(grant.id = %remote.id, "{}", context.tell(&told));
    }
    match fit {
        Fit::Same => {
            store.forget_refusal(&pair).await?;
            Ok(Made::Whole(grant))
        }
        Fit::Less(gaps) => {
            store.forget_refusal(&pair).await?;
            let told = context.tell(&grant.to_string());
            tracing::warn!("{difference}; the rest is asked for later: {told}");
            for (gap, again) in gaps {
                store.remember_altered(&pair, gap, again, None, now).await?;
            }
            Ok(Made::Part(grant))
        }
        Fit::Wrong => {
            let fault =
                Fault { error: format!("{difference}, so it was taken back"), remedy: REMEDY.to_owned() };
            tracing::error!("{fault}: {}", context.tell(&asked.to_string()));
            // First, so that nobody who comes after us asks for it again at once.
            store.remember_altered(&pair, asked.window, AskAgain::AfterPause, Some(&fault), now).await?;
            take_back(store, strongdm, context, row, &grant, &fault.error).await?;
            Ok(Made::TakenBack(fault))
        }
    }
}

/// The same grant on these terms.
fn on(grant: &Grant, Terms { window, groups: kubernetes_groups }: Terms) -> Grant {
    Grant { window, kubernetes_groups, ..grant.clone() }
}

/// Whether strongDM has a grant of ours on other terms than we know.
pub(crate) fn has_other_terms(own: &OwnGrant, remote: &RemoteGrant, now: DateTime<Utc>) -> bool {
    let known = own.grant.terms();
    Stored::of(remote, &known, now).terms != known
}

/// Records that strongDM has a grant of ours on other terms than we knew. What is missing of that is asked for later.
/// What is too much is left to the next plan, which makes the right grant before it takes this one back.
pub(crate) async fn settle_terms(
    store: &SharedStore,
    context: &Context<'_>,
    own: &OwnGrant,
    remote: &RemoteGrant,
) -> Result<bool, store::Error> {
    let (now, known) = (clock::now(), own.grant.terms());
    let Stored { terms, fit } = Stored::of(remote, &known, now);
    if terms == known {
        return Ok(false);
    }
    let difference = Difference { stored: remote, asked: &known }.to_string();
    let grant = on(&own.grant, terms.clone());
    let audit = context.audit(AuditAction::Alter, AuditOutcome::Done, &grant, &difference);
    if !store.settle_terms(context.proof(), own.row, &known, &terms, &audit).await? {
        return Ok(false);
    }
    let pair = grant.pair();
    match fit {
        Fit::Same => return Ok(false),
        Fit::Less(gaps) => {
            let told = context.tell(&grant.to_string());
            tracing::warn!("{difference}; the rest is asked for later: {told}");
            for (gap, again) in gaps {
                store.remember_altered(&pair, gap, again, None, now).await?;
            }
        }
        Fit::Wrong => {
            let fault = Fault { error: difference, remedy: REMEDY.to_owned() };
            tracing::error!("{fault}: {}", context.tell(&grant.to_string()));
            // If the next one becomes like it, that is no better: this one is then revoked once nobody wants it.
            let again = AskAgain::OnceMoreOrAt(known.window.end());
            store.remember_altered(&pair, known.window, again, Some(&fault), now).await?;
        }
    }
    Ok(true)
}

/// A grant on wrong terms must not stay. If it cannot be removed now, the next plan sees its window and decides.
async fn take_back(
    store: &SharedStore,
    strongdm: &Client,
    context: &Context<'_>,
    row: LedgerRow,
    grant: &Grant,
    reason: &str,
) -> Result<(), store::Error> {
    let Some(id) = &grant.id else { return Ok(()) };
    if !store.intend_revoke(context.proof(), row).await? {
        return Ok(());
    }
    match strongdm.delete_grant(id).await {
        Ok(()) => {
            let audit = context.audit(AuditAction::Revoke, AuditOutcome::Done, grant, reason);
            store.settle_ended(row, context.now, &audit).await?;
        }
        Err(error) => {
            tracing::error!(%error, "could not take a grant back: {}", context.tell(&grant.to_string()));
            if !error.is_unclear() {
                store.settle_kept(context.proof(), row).await?;
            }
        }
    }
    Ok(())
}

/// What strongDM stored instead of what was asked for, in words.
struct Difference<'d> {
    stored: &'d RemoteGrant,
    asked: &'d Terms,
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored: RemoteGrant { id, start, end, groups, .. }, asked } = self;
        let start = to_second(start.unwrap_or(asked.window.start()));
        write!(f, "strongDM stored {id} from {start} ")?;
        match end {
            Some(end) => write!(f, "until {}", to_second(*end))?,
            None => f.write_str("without an end")?,
        }
        match groups {
            Some(groups) if groups.is_empty() && !asked.groups.is_empty() => f.write_str(" in no group")?,
            Some(groups) => write!(f, "{groups}")?,
            None => {}
        }
        write!(f, " instead of {asked}")
    }
}
