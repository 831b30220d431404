//! Makes notices of entries of the decision log: one for each person, pass and kind.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::words::{self, Data, ResourceFor};
use crate::{
    model::{AuditAction, AuditOutcome, Grant, Name, Names, NewNotice, NoticeKind},
    store::{AuditRow, Error, SharedStore},
};

/// So many entries are looked at together; a pass rarely writes more.
const ENTRIES: u32 = 5_000;
/// A pass that has not ended by then was killed.
const LONGEST_PASS: TimeDelta = TimeDelta::minutes(2);
/// What is older is no news, as after a long time in which nobody was told anything.
pub(super) const NEWS_FOR: TimeDelta = TimeDelta::hours(24);

/// Makes notices of all entries whose pass is over.
pub(super) async fn fold(store: &SharedStore, names: &Names, now: DateTime<Utc>) -> Result<(), Error> {
    loop {
        let from = store.folded().await?;
        // Asked for first: whatever comes later is no part of what is skipped.
        let size = store.log_head().await?.size;
        let entries = store.log_entries(ENTRIES, from, now - NEWS_FOR).await?;
        let full = entries.len() >= ENTRIES as usize;
        let Some(last) = entries.last() else {
            // What is there is no news.
            if size > from {
                store.add_folded(from, size, &[]).await?;
            }
            return Ok(());
        };
        let mut end = last.number + 1;
        let mut rows = Vec::new();
        for entry in entries {
            let number = entry.number;
            // One that cannot be read hides no other.
            rows.extend(entry.read().ok().map(|row| (number, row)));
        }
        let passes: BTreeSet<&String> = rows.iter().map(|(_, row)| &row.pass_id).collect();
        let over = store.passes_over(&passes.into_iter().cloned().collect::<Vec<_>>()).await?;
        let is_under_way = |row: &AuditRow| {
            !row.pass_id.is_empty() && !over.contains(&row.pass_id) && now - row.at < LONGEST_PASS
        };
        if let Some((number, _)) = rows.iter().find(|(_, row)| is_under_way(row)) {
            end = *number;
        }
        rows.retain(|(number, _)| *number < end);
        if end == from {
            return Ok(());
        }
        let rows: Vec<AuditRow> = rows.into_iter().map(|(_, row)| row).collect();
        if !store.add_folded(from, end, &notices(&rows, names)).await? || !full {
            return Ok(());
        }
    }
}

/// What one notice is about.
type Key = (String, NoticeKind, String);

/// The notices of these entries, in the order of the first entry of each.
pub(super) fn notices(rows: &[AuditRow], names: &Names) -> Vec<NewNotice> {
    let mut order: Vec<Key> = Vec::new();
    let mut groups: BTreeMap<Key, Vec<(&AuditRow, Grant)>> = BTreeMap::new();
    for row in rows {
        let (Some(kind), Ok(grant)) = (kind_of(row), serde_json::from_str::<Grant>(row.grant.get())) else {
            continue;
        };
        let key = (row.pass_id.clone(), kind, grant.email.to_string());
        if !groups.contains_key(&key) {
            order.push(key.clone());
        }
        groups.entry(key).or_default().push((row, grant));
    }
    let mut notices = Vec::new();
    for key in order {
        let (pass, kind, email) = &key;
        let given = groups.get(&(pass.clone(), NoticeKind::Granted, email.clone()));
        let is_replaced = |grant: &Grant| {
            let mut given = given.into_iter().flatten();
            given.any(|(_, other)| other.joins(&grant.pair()) && other.window.overlaps(&grant.window))
        };
        let mut group: Vec<&(&AuditRow, Grant)> = groups[&key].iter().collect();
        if *kind == NoticeKind::Revoked {
            // Whoever gets another window instead has lost nothing.
            group.retain(|(_, grant)| !is_replaced(grant));
        }
        notices.extend(notice(*kind, &group, names));
    }
    notices
}

fn kind_of(row: &AuditRow) -> Option<NoticeKind> {
    // What was imported from another store changes nobody's access.
    if row.pass_id.is_empty() || !row.outcome.is(AuditOutcome::Done) {
        return None;
    }
    match row.action.known()? {
        AuditAction::Create | AuditAction::Adopt | AuditAction::Alter => Some(NoticeKind::Granted),
        AuditAction::Revoke | AuditAction::Vanish => Some(NoticeKind::Revoked),
    }
}

fn notice<'g>(kind: NoticeKind, group: &[&'g (&AuditRow, Grant)], names: &Names) -> Option<NewNotice> {
    let (first, grant) = group.first()?;
    let grants: Vec<&Grant> = group.iter().map(|(_, grant)| grant).collect();
    let rules: BTreeSet<&str> = grants.iter().flat_map(|grant| &grant.rules).map(String::as_str).collect();
    let mut reasons: Vec<&str> = Vec::new();
    for (row, _) in group {
        if !reasons.contains(&row.reason.as_str()) {
            reasons.push(&row.reason);
        }
    }
    let reason = reasons.join("; ");
    let text = match kind {
        NoticeKind::Granted => words::granted(names, &grants, &reason, first.at),
        _ => words::revoked(names, &grants, &reason, first.at),
    };
    let name = grant.name.as_ref().or_else(|| names.person(grant.email.as_str()));
    let resource = |grant: &&'g Grant| ResourceFor { resource: &grant.resource, window: grant.window };
    let data = Data {
        email: grant.email.as_str(),
        name: name.map(Name::as_str),
        resources: grants.iter().map(resource).collect(),
        rules,
        reason: &reason,
        trigger: &first.trigger,
        pass_id: &first.pass_id,
    };
    Some(NewNotice { kind, at: first.at, data: data.to_json(), text })
}
