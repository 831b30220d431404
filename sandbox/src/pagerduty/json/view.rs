//! The part of a schedule's entries that a request asks for.

use serde_json::{Value, json};

use super::reference::user_reference;
use crate::pagerduty::account::Account;
use crate::pagerduty::render::Range;
use crate::pagerduty::schedule::Shift;
use crate::pagerduty::time::Zone;

/// How a request wants to see a schedule's entries.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) range: Option<Range>,
    pub(crate) overflow: bool,
    pub(crate) zone: Zone,
}

impl View {
    pub(super) fn pick(&self, entries: Vec<Shift>) -> Vec<Shift> {
        let Some(range) = self.range else { return Vec::new() };
        let seen = entries.into_iter().filter(|entry| range.overlaps(entry));
        // What an endless shift looks like with `overflow` is not documented; here it ends with the range.
        seen.map(|entry| if self.overflow && entry.end.is_some() { entry } else { range.cut(&entry) })
            .collect()
    }

    pub(super) fn entries(&self, account: &Account, entries: &[Shift]) -> Vec<Value> {
        let rendered = entries.iter().map(|entry| {
            json!({
                "start": self.zone.render(entry.start),
                "end": entry.end.map(|end| self.zone.render(end)),
                "user": entry.user.as_ref().map(|id| user_reference(account, id)),
            })
        });
        rendered.collect()
    }

    /// The covered part of the range in percent; null without a range.
    pub(super) fn coverage(&self, entries: &[Shift]) -> Value {
        let Some(range) = self.range else { return Value::Null };
        let whole = (range.until - range.since).num_seconds();
        let (mut covered, mut reached) = (0, range.since);
        for entry in entries {
            let cut = range.cut(entry);
            let (start, end) = (cut.start.max(reached), cut.end.unwrap_or(range.until));
            if entry.user.is_some() && start < end {
                covered += (end - start).num_seconds();
                reached = end;
            }
        }
        // One decimal place, as the API shows it.
        let per_mille = if whole == 0 { 0 } else { covered * 1000 / whole };
        json!(f64::from(i32::try_from(per_mille).unwrap_or(i32::MAX)) / 10.0)
    }
}
