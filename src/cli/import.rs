//! `oncall-grants import`: takes over what another store knows, to move from one database to another.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{ExitStatus, print};
use crate::{
    clock,
    config::Store,
    model::{AuditAction, AuditOutcome, Grant, NewGrant, SeenName},
    store::{
        Address, AuditEntry, Duty, LOG_PAGE, Lease, LedgerEntry, OpenRows, SharedStore, State, UnreadableRow,
    },
    wiring,
};

/// If this dies, services on the stores wait for so long; while it works, it asks for more time.
const LEASE_TTL: Duration = Duration::from_secs(30);

/// No rule gives access because of an incident for longer.
const LONGEST_ACCESS: TimeDelta = TimeDelta::hours(24);

/// Why an import breaks off.
const TAKEN: &str = "a service began to work on one of the stores; stop all of its replicas, and do it again";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The address of the old store, such as sqlite:oncall-grants.db; the configuration names the new one. A password is
    /// better kept in the variable, where other users do not see it
    #[arg(long, value_name = "URL", env = "ONCALL_GRANTS_IMPORT_FROM", hide_env_values = true)]
    from: SecretString,
}

/// Makes the grants that the old store knows ours in the new one. What is known there already is left alone, so that it
/// may be done again.
pub(super) async fn import(store: &Store, options: &Options) -> anyhow::Result<ExitStatus> {
    let from = Address::parse(options.from.expose_secret())
        .map_err(|error| anyhow::anyhow!("the address of the old store {error}"))?;
    if let Address::Sqlite { path } = &from {
        ensure!(path.exists(), "there is no store {}", path.display());
    }
    let old = wiring::open_store(&from).await?;
    let new = wiring::open_store(&store.address).await?;
    let imported = copy_under_leases(&old, &new).await;
    old.close().await;
    new.close().await;
    let Imported { taken_over, known, left_behind, log } = imported?;
    print(&format!(
        "taken over: {taken_over} grants, {known} were known already. Do not start the service on the old store again: \
         two would look after the same grants."
    ));
    if log == Carried::Nothing {
        tracing::warn!(
            "the audit of the old store stays behind, since the new one has entries of its own; keep what \
             `oncall-grants audit --format jsonl` and `oncall-grants audit checkpoint` print of the old one"
        );
    }
    for UnreadableRow { row, pair, error } in &left_behind {
        tracing::error!("row {} of the old store, for {pair}, was left behind: {error}", row.number());
    }
    Ok(if left_behind.is_empty() { ExitStatus::Done } else { ExitStatus::Incomplete })
}

/// How many grants were imported, how many the new store knew already, and what could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Imported {
    taken_over: usize,
    known: usize,
    left_behind: Vec<UnreadableRow>,
    log: Carried,
}

/// What became of the decision log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Carried {
    /// The new store goes on with it.
    Whole,
    /// It stays behind: the new store has entries of its own.
    #[default]
    Nothing,
}

async fn copy_under_leases(old: &SharedStore, new: &SharedStore) -> anyhow::Result<Imported> {
    // Whoever runs a pass on one of them changes what is copied; in a file, the lock has kept it out already.
    let old_lease = lease(old, Side::Old).await?;
    let copied = match lease(new, Side::New).await.context("is it the same one?") {
        Ok(new_lease) => {
            let copied = copy(old, &old_lease, new, &new_lease).await;
            new.release(&new_lease).await?;
            copied
        }
        Err(error) => Err(error),
    };
    old.release(&old_lease).await?;
    copied
}

async fn copy(
    old: &SharedStore,
    old_lease: &Lease,
    new: &SharedStore,
    new_lease: &Lease,
) -> anyhow::Result<Imported> {
    let there = new.ledger(clock::now()).await?;
    let OpenRows { entries, unreadable } = old.open_rows(clock::now()).await?;
    let mut imported = Imported { left_behind: unreadable, ..Imported::default() };
    // First: what is taken over is the next that happens.
    imported.log = carry_log(old, old_lease, new, new_lease).await?;
    for entry in entries {
        let held = old.renew(old_lease, LEASE_TTL).await? && new.renew(new_lease, LEASE_TTL).await?;
        ensure!(held, TAKEN);
        // What has no ID yet is known by all else.
        let is_there = |row: &LedgerEntry| row.own.grant == entry.own.grant && row.state == entry.state;
        if !there.iter().any(is_there) && take_over(new, new_lease, entry).await? {
            imported.taken_over += 1;
        } else {
            imported.known += 1;
        }
    }
    take_over_parts(old, new, new_lease).await?;
    take_over_names(old, new).await?;
    Ok(imported)
}

/// Takes over the names that the new store does not know.
async fn take_over_names(old: &SharedStore, new: &SharedStore) -> anyhow::Result<()> {
    let there: BTreeSet<_> = new.names_since(0).await?.into_iter().map(|stored| stored.seen.thing).collect();
    let missing = old.names_since(0).await?.into_iter().map(|stored| stored.seen);
    let missing: Vec<SeenName> = missing.filter(|seen| !there.contains(&seen.thing)).collect();
    if !missing.is_empty() {
        new.set_names(&missing, clock::now()).await?;
    }
    Ok(())
}

/// Goes on with the audit of the old store in the new one, if that has none of its own.
async fn carry_log(
    old: &SharedStore,
    old_lease: &Lease,
    new: &SharedStore,
    new_lease: &Lease,
) -> anyhow::Result<Carried> {
    let head = old.log_head().await?;
    loop {
        let size = new.log_head().await?.size;
        // The last entry that is there must be the same, or the new store went on by itself since an import before.
        let last = size.saturating_sub(1);
        let both = (old.leaves(last, 1).await?, new.leaves(last, 1).await?);
        if size > 0 && size <= head.size && both.0 != both.1 {
            return Ok(Carried::Nothing);
        }
        let part = old.log_page(size, LOG_PAGE).await?;
        if size > head.size || !new.carry(&head, &part).await? {
            let is_same = new.log_head().await?.store_id == head.store_id;
            return Ok(if is_same { Carried::Whole } else { Carried::Nothing });
        }
        if part.leaves.is_empty() {
            if let Some(newest) = old.newest_checkpoint().await? {
                new.add_checkpoint(&newest).await?;
            }
            return Ok(Carried::Whole);
        }
        let held = old.renew(old_lease, LEASE_TTL).await? && new.renew(new_lease, LEASE_TTL).await?;
        ensure!(held, TAKEN);
    }
}

/// Takes over what is remembered of people's parts in incidents: access because of them is limited from the first one on.
async fn take_over_parts(old: &SharedStore, new: &SharedStore, new_lease: &Lease) -> anyhow::Result<()> {
    let all = async |store: &SharedStore| store.incident_parts(DateTime::UNIX_EPOCH, &BTreeSet::new()).await;
    let there = all(new).await?;
    let missing = all(old).await?.into_iter().filter(|part| !there.iter().any(|one| one.key() == part.key()));
    let missing: Vec<_> = missing.map(|part| (part.clone(), part.over(LONGEST_ACCESS))).collect();
    new.remember_parts(new_lease, &missing).await?;
    Ok(())
}

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

async fn lease(store: &SharedStore, side: Side) -> anyhow::Result<Lease> {
    let which = match side {
        Side::Old => "old",
        Side::New => "new",
    };
    match store.try_lease(Duty::Passes, LEASE_TTL, "").await? {
        Some(lease) => Ok(lease),
        None => bail!(
            "a service runs a pass on the {which} store, or did until less than a minute ago; stop all of its replicas first"
        ),
    }
}

/// Writes an entry into the new store as if it had been made there; false if its grant is known.
async fn take_over(new: &SharedStore, lease: &Lease, entry: LedgerEntry) -> anyhow::Result<bool> {
    let LedgerEntry { own, state, intended_at } = entry;
    let (grant, causes) = (own.grant, own.causes);
    if let Some(id) = &grant.id
        && new.is_ours(id).await?
    {
        return Ok(false);
    }
    let intended = NewGrant { grant: Grant { id: None, ..grant.clone() }, causes };
    let Some(row) = new.intend_create(lease, &intended, intended_at).await? else {
        bail!("a service began to work on the new store; stop all of its replicas, and do it again");
    };
    match (&grant.id, state) {
        (Some(id), State::Live | State::Revoking) => {
            let audit = AuditEntry {
                at: clock::now(),
                action: AuditAction::Adopt,
                outcome: AuditOutcome::Done,
                grant: grant.clone(),
                reason: "imported from another store".to_owned(),
                trigger: "command".to_owned(),
                pass_id: String::new(),
            };
            new.settle_created(row, id, &grant.terms(), &audit).await?;
            if state == State::Revoking {
                new.intend_revoke(lease, row).await?;
            }
        }
        (_, State::Lost) => new.settle_lost(row).await?,
        // Nobody knows what came of it: the next pass looks.
        (_, State::Creating) => {}
        (None, State::Live | State::Revoking) | (_, State::Ended) => {
            new.settle_refused(row, None).await?;
            return Ok(false);
        }
    }
    Ok(true)
}
