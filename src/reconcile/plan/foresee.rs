//! What would come of a plan, for whoever only wants to see it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Action, Plan, Released, Settings, plan};
use crate::{
    model::{BETWEEN_LOOKS, DueRevocation, FOREVER, LedgerRow, OwnGrant, Window, later},
    reconcile::world::World,
};

/// The plan of a pass in which every write succeeds and every second look agrees with the first.
pub(crate) fn foresee(now: DateTime<Utc>, settings: &Settings, world: &World, released: Released) -> Plan {
    let first = plan(now, settings, world, released);
    if first.awaiting.is_empty() {
        return first;
    }
    let mut world = world.clone();
    let rows = (world.recorded.ledger.iter().map(|own| own.row.number()).max().unwrap_or_default() + 1..)
        .map(LedgerRow::from);
    let made: Vec<OwnGrant> =
        rows.zip(first.actions()).filter_map(|(row, action)| made(row, action)).collect();
    let gone: BTreeSet<LedgerRow> = first.actions().filter_map(revoked).collect();
    world.recorded.ledger.retain(|own| !gone.contains(&own.row));
    let unchanged_more = made.len();
    world.recorded.ledger.extend(made);
    world.recorded.due = first.due.clone();
    let since = later(world.asked_at, -BETWEEN_LOOKS);
    for DueRevocation { since: looked, lost, .. } in world.recorded.due.due.values_mut() {
        *looked = since.min(*looked);
        *lost = Window::new(since, FOREVER).into_iter().collect();
    }
    let mut second = plan(now, settings, &world, released);
    second.unchanged -= unchanged_more;
    second.pairs = first.pairs.into_iter().chain(second.pairs).collect();
    second
}

/// The grant that a write makes, if it makes one.
fn made(row: LedgerRow, action: &Action) -> Option<OwnGrant> {
    match action {
        Action::Create(new) => Some(OwnGrant { row, grant: new.grant.clone(), causes: new.causes.clone() }),
        Action::Revoke(_) => None,
    }
}

fn revoked(action: &Action) -> Option<LedgerRow> {
    match action {
        Action::Create(_) => None,
        Action::Revoke(revocation) => Some(revocation.row),
    }
}
