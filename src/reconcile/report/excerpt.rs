//! What the store keeps of a report: the first entries of each list, and how many more there were. A pass about many
//! thousand grants leaves no more behind than one about a hundred.

use super::pass_report::{PassReport, Unreported};
use crate::model::{Grant, Skipped};

/// The entries of each list that the store keeps.
pub(crate) const KEPT: usize = 50;
/// The rules that are kept of each entry.
const RULES: usize = 10;

impl PassReport {
    /// The report with the first entries of each list.
    pub(crate) fn excerpt(&self) -> Self {
        let mut left_out = self.left_out;
        Self {
            pass_id: self.pass_id.clone(),
            trigger: self.trigger,
            dry_run: self.dry_run,
            started_at: self.started_at,
            finished_at: self.finished_at,
            oncalls: self.oncalls,
            created: grants(&self.created, &mut left_out.created),
            revoked: grants(&self.revoked, &mut left_out.revoked),
            unchanged: self.unchanged,
            held: grants(&self.held, &mut left_out.held),
            deferred: grants(&self.deferred, &mut left_out.deferred),
            skipped: first(&self.skipped, &mut left_out.skipped).into_iter().map(fewer_rules).collect(),
            unknown: first(&self.unknown, &mut left_out.unknown),
            failed: first(&self.failed, &mut left_out.failed),
            calls: self.calls.clone(),
            left_out,
            unreported: Unreported::default(),
        }
    }
}

/// The first entries of a list; counts the others.
fn first<T: Clone>(all: &[T], left_out: &mut usize) -> Vec<T> {
    *left_out += all.len().saturating_sub(KEPT);
    all.iter().take(KEPT).cloned().collect()
}

fn grants(all: &[Grant], left_out: &mut usize) -> Vec<Grant> {
    let mut grants = first(all, left_out);
    for grant in &mut grants {
        grant.rules.truncate(RULES);
    }
    grants
}

fn fewer_rules(skipped: Skipped) -> Skipped {
    Skipped { rules: skipped.rules.into_iter().take(RULES).collect(), ..skipped }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{SkipReason, Subject},
        reconcile::report::Trigger,
    };

    fn report(skipped: usize) -> PassReport {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let person = |number| Skipped {
            subject: Subject::Email(format!("person.{number}@example.com")),
            name: None,
            reason: SkipReason::NoAccount,
            rules: (0..skipped / 100 + RULES).map(|number| format!("rule {number:04}")).collect(),
            first_shift: Some(at),
        };
        let skipped = (0..skipped).map(person).collect();
        PassReport { skipped, ..PassReport::begin("p".to_owned(), Trigger::Start, at) }
    }

    fn json_of(report: &PassReport) -> Value {
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn what_is_kept_of_a_report_does_not_grow_and_counts_the_rest() {
        let (many, more) = (report(1_000).excerpt(), report(10_000).excerpt());
        assert_eq!((many.skipped.len(), json_of(&many)["left_out"].clone()), (KEPT, json!({"skipped": 950})));
        let size = |report: &PassReport| json_of(report).to_string().len();
        assert!(size(&more) <= size(&many) + 1, "{} and {}", size(&many), size(&more));
        let again: PassReport = serde_json::from_value(json_of(&many)).unwrap();
        assert_eq!(json_of(&again.excerpt()), json_of(&many), "what was left out stays counted");
    }

    #[test]
    fn a_short_report_is_kept_as_it_is() {
        let short = report(KEPT);
        assert_eq!(json_of(&short.excerpt()), json_of(&short));
        assert!(
            json_of(&short).get("left_out").is_none(),
            "an answer that lacks nothing does not speak of it"
        );
    }
}
