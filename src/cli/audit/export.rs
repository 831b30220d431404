//! `oncall-grants audit`: exports what was decided and done.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, ValueEnum};

use super::{ocsf, open};
use crate::{
    cli::{ExitStatus, print_part},
    clock,
    config::Store,
    evidence::origin,
    model::Grant,
    store::{AuditRow, LOG_PAGE, SharedStore},
};

#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Only what was done since then: an instant such as 2026-11-22T13:00:00Z, or how long ago, such as 24h
    #[arg(long, value_name = "T", value_parser = since)]
    since: Option<Since>,
    /// How entries are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How the export is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line per entry, for people.
    #[default]
    Text,
    /// A JSON object per line: the texts that the hashes of the audit are made of, each with its number.
    Jsonl,
    /// An event of the Open Cybersecurity Schema Framework per line: class 3007, user management.
    Ocsf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Instant(DateTime<Utc>),
    Ago(TimeDelta),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Since::Instant(at.to_utc()));
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.map(Since::Ago).ok_or_else(|| "write an instant such as 2026-11-22T13:00:00Z, or 24h".to_owned())
}

impl Since {
    /// What lies before all times that can be written is the beginning.
    fn instant(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Instant(at) => at,
            Self::Ago(ago) => now.checked_sub_signed(ago).unwrap_or_default(),
        }
    }
}

pub(super) async fn export(store: &Store, options: Selection) -> anyhow::Result<ExitStatus> {
    let store = open(store).await?;
    let since = options.since.map(|since| since.instant(clock::now())).unwrap_or_default();
    let printed = print_all(&store, since, options.format).await;
    let waiting = store.log_head().await.map_or(0, |head| head.waiting);
    store.close().await;
    printed?;
    if waiting > 0 {
        tracing::warn!(
            "{waiting} entries that an earlier version wrote are left out: they have no number yet; a running service of \
             this version gives it to them within a minute"
        );
    }
    Ok(ExitStatus::Done)
}

async fn print_all(store: &SharedStore, since: DateTime<Utc>, format: Format) -> anyhow::Result<()> {
    let log = origin(&store.log_head().await?.store_id);
    let mut next = 0;
    loop {
        let entries = store.log_entries(LOG_PAGE, next, since).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        next = last.number + 1;
        for entry in entries {
            let line = match format {
                Format::Text => line_of(&entry.read()?)?,
                Format::Jsonl => entry.text,
                Format::Ocsf => ocsf::event(&log, entry.number, &entry.read()?),
            };
            if print_part(&line).is_break() {
                return Ok(());
            }
        }
    }
}

/// An entry for people: when, what, to whom and what, for how long, why, and in which pass.
fn line_of(row: &AuditRow) -> anyhow::Result<String> {
    let AuditRow { seq: _, at, action, outcome, grant, reason, trigger, pass_id } = row;
    let grant: Grant = serde_json::from_str(grant.get())?;
    let (whose, Grant { id, resource, window, kubernetes_groups, .. }) = (grant.whose(), grant);
    let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let id = id.map(|id| format!(" [{id}]")).unwrap_or_default();
    let text = format!(
        "{at}  {action} {outcome}  {whose} on {resource}{kubernetes_groups} {window}{id}: {reason} ({trigger} pass \
         {pass_id})"
    );
    // One line per entry, whatever a remote error says.
    Ok(text.replace(|c: char| c.is_control(), " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_instant_or_a_while_ago() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let instant = |text| since(text).map(|since| since.instant(now).timestamp() - now.timestamp());
        assert_eq!(instant("2027-01-15T08:00:01Z"), Ok(1));
        assert_eq!(instant("2027-01-15T09:00:00+01:00"), Ok(0));
        assert_eq!(instant("24h"), Ok(-86_400));
        assert_eq!(instant("1d 1s"), Ok(-86_401));
        assert!(instant("yesterday").is_err());
        assert!(instant("2027-01-15").is_err());
    }
}
