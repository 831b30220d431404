//! The findings as text for people and as JSON for machines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use anstyle::AnsiColor;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{
    cli::counted,
    config::Config,
    model::{Finding, Severity},
    reconcile::plan::{Action, Plan},
};

/// Everything that `check` found.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    rules: usize,
    /// Whether the upstreams were asked.
    pub(super) asked: bool,
    pub(super) findings: Vec<Finding>,
    on_calls: usize,
    access: BTreeMap<String, Access>,
}

/// What one person gets within the horizon.
#[derive(Debug, Default)]
struct Access {
    resources: BTreeSet<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    windows: usize,
}

impl Report {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            file: config.file.display().to_string(),
            rules: config.rules.len(),
            asked: false,
            findings: Vec::new(),
            on_calls: 0,
            access: BTreeMap::new(),
        }
    }

    /// Takes over who gets what by this plan of an empty store.
    pub(super) fn take_access(&mut self, plan: &Plan) {
        self.on_calls = plan.on_calls;
        for grant in plan.actions().map(Action::grant) {
            let access = self.access.entry(grant.email.to_string()).or_default();
            access.resources.insert(grant.resource.clone());
            let (start, end) = (grant.window.start(), grant.window.end());
            access.from = Some(access.from.map_or(start, |from| from.min(start)));
            access.until = Some(access.until.map_or(end, |until| until.max(end)));
            access.windows += 1;
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    pub(super) fn json(&self) -> Value {
        let access = self.access.iter().map(|(email, access)| {
            let Access { resources, from, until, windows } = access;
            json!({
                "email": email,
                "resources": resources,
                "from": from.map(second),
                "until": until.map(second),
                "grants": windows,
            })
        });
        json!({
            "config": self.file,
            "rules": self.rules,
            "offline": !self.asked,
            "problems": self.count(Severity::Problem),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "oncalls": self.on_calls,
            "findings": self.findings,
            "access": access.collect::<Vec<_>>(),
        })
    }

    /// Coloured, for [`print`](super::print).
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.file, counted(self.rules, "rule"));
        for (severity, title, colour) in [
            (Severity::Problem, "Problems", AnsiColor::Red),
            (Severity::Warning, "Warnings", AnsiColor::Yellow),
            (Severity::Note, "Notes", AnsiColor::Cyan),
        ] {
            self.write_group(&mut text, severity, &painted(title, colour));
        }
        if !self.access.is_empty() {
            let _ = writeln!(text, "\n{}", painted("Access within the horizon", AnsiColor::Green));
            let width = self.access.keys().map(|email| email.chars().count()).max().unwrap_or(0);
            for (email, access) in &self.access {
                let _ = writeln!(text, "  {email:width$}  {}", access.words());
            }
        }
        let [problems, warnings, notes] =
            [(Severity::Problem, "problem"), (Severity::Warning, "warning"), (Severity::Note, "note")]
                .map(|(severity, word)| counted(self.count(severity), word));
        let _ = write!(text, "\n{problems}, {warnings}, {notes}");
        if self.asked {
            let (people, on_calls) = (self.access.len(), self.on_calls);
            let on_calls = counted(on_calls, "on-call");
            let _ = write!(text, "; {on_calls} seen, access for {}", counted(people, "account"));
        } else {
            text.push_str("; nobody was asked (--offline)");
        }
        text
    }

    fn write_group(&self, text: &mut String, severity: Severity, title: &str) {
        let group: Vec<&Finding> =
            self.findings.iter().filter(|finding| finding.severity == severity).collect();
        if group.is_empty() {
            return;
        }
        let width = group.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0).min(40);
        let _ = writeln!(text, "\n{title}");
        for Finding { subject, message, remedy, .. } in group {
            let _ = writeln!(text, "  {subject:width$}  {message}");
            if !remedy.is_empty() {
                let _ = writeln!(text, "  {:width$}  -> {remedy}", "");
            }
        }
    }
}

impl Access {
    fn words(&self) -> String {
        /// So many names fit on a line.
        const NAMED: usize = 5;
        let Self { resources, from, until, windows } = self;
        let named: Vec<&str> = resources.iter().take(NAMED).map(String::as_str).collect();
        let more = resources.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (from, until) = (from.map(second).unwrap_or_default(), until.map(second).unwrap_or_default());
        let windows = counted(*windows, "grant");
        format!("{}{more}: {windows} between {from} and {until}", named.join(", "))
    }
}

fn painted(text: &str, colour: AnsiColor) -> String {
    let style = colour.on_default().bold();
    format!("{style}{text}{style:#}")
}

fn second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
