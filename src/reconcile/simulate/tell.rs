//! A simulation as a table.

use std::fmt;

use super::{
    Event, Forecast, Gap, Held, Simulation, Write,
    forecast::{Limit, ToldBy},
};
use crate::model::instant::{span, to_second};

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until, events, gaps, skipped, unknown, held, ignored_rules, forecast, grants: _ } =
            self;
        writeln!(
            f,
            "from {} until {} ({}), from an empty ledger",
            to_second(*from),
            to_second(*until),
            span(*until - *from)
        )?;
        for Event { at, action, grant, reason } in events {
            let what = match action {
                Write::Create => "grant",
                Write::Revoke => "revoke",
            };
            writeln!(f, "{}  {what:<7}  {grant}\n{:>29}  because of {reason}", to_second(*at), "")?;
        }
        for Gap { source, start, end, rules, names } in gaps {
            let name = names.schedule_name.as_ref().or(names.escalation_policy_name.as_ref());
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            writeln!(
                f,
                "{}  gap      nobody is on call through {source}{name} until {} (rules: {})",
                to_second(*start),
                to_second(*end),
                rules.join(", ")
            )?;
        }
        for Held { at, grant, .. } in held {
            writeln!(
                f,
                "{}  held     {grant}: more revocations at once than max_revocations allows",
                to_second(*at)
            )?;
        }
        for skipped in skipped {
            writeln!(f, "skipped   {skipped}")?;
        }
        for unknown in unknown {
            writeln!(f, "unknown   {unknown}")?;
        }
        for rule in ignored_rules {
            writeln!(f, "ignored   rule {rule:?} is about incidents, which nobody can foresee")?;
        }
        write!(f, "{forecast}")
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            grants_created,
            grants_revoked,
            passes,
            comparisons,
            pagerduty_calls,
            pagerduty_share,
            pagerduty_limit,
            writes_in_a_minute,
            strongdm_share,
            strongdm_limit,
        } = self;
        writeln!(
            f,
            "{grants_created} grants made, {grants_revoked} taken back before their end; at most {writes_in_a_minute} writes within a minute to strongDM ({:.1} % of {strongdm_limit})",
            strongdm_share * 100.0
        )?;
        write!(
            f,
            "{passes} full passes with at most {pagerduty_calls} requests to PagerDuty ({:.1} % of {pagerduty_limit}), {comparisons} comparisons with strongDM's list",
            pagerduty_share * 100.0
        )
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a_minute, told_by } = self;
        let how = match told_by {
            ToldBy::Answers => "its answers told",
            ToldBy::Documentation => "its documentation tells",
        };
        write!(f, "the {a_minute} a minute that {how}")
    }
}
