//! The findings as text for people and as JSON for machines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use anstyle::AnsiColor;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cli::counted,
    config::Config,
    model::{Finding, Names, NamesBeside, Severity, instant::to_second},
    reconcile::plan::{Action, Plan},
};

/// How far `check` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It reads the configuration only.
    Offline,
    /// It asks the store and both upstreams as well.
    Online,
}

/// Everything that `check` found.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    rules: usize,
    mode: Mode,
    pub(super) findings: Vec<Finding>,
    on_calls: usize,
    access: BTreeMap<String, Access>,
    pub(super) names: Arc<Names>,
}

/// A finding as JSON shows it.
#[derive(Debug, Serialize)]
struct NamedFinding<'f> {
    #[serde(flatten)]
    finding: &'f Finding,
    #[serde(flatten)]
    names: NamesBeside,
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
    pub(super) fn new(config: &Config, mode: Mode) -> Self {
        Self {
            file: config.file.display().to_string(),
            rules: config.rules.len(),
            mode,
            findings: Vec::new(),
            on_calls: 0,
            access: BTreeMap::new(),
            names: Arc::default(),
        }
    }

    /// Records who gets what by this plan, which was made without a ledger.
    pub(super) fn record_access(&mut self, plan: &Plan) {
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
                "name": self.names.person(email),
                "resources": resources,
                "from": from.map(to_second),
                "until": until.map(to_second),
                "grants": windows,
            })
        });
        json!({
            "config": self.file,
            "rules": self.rules,
            "offline": self.mode == Mode::Offline,
            "problems": self.count(Severity::Problem),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "oncalls": self.on_calls,
            "findings": self.findings.iter().map(|finding| self.finding(finding)).collect::<Vec<_>>(),
            "access": access.collect::<Vec<_>>(),
        })
    }

    /// A finding with names beside the IDs that it is about.
    fn finding<'f>(&self, finding: &'f Finding) -> NamedFinding<'f> {
        NamedFinding { finding, names: self.names.beside_text(&finding.subject) }
    }

    /// Coloured, for [`print`](super::print).
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.file, counted(self.rules, "rule"));
        for (severity, title, colour) in [
            (Severity::Problem, "Problems", AnsiColor::Red),
            (Severity::Warning, "Warnings", AnsiColor::Yellow),
            (Severity::Note, "Notes", AnsiColor::Cyan),
        ] {
            self.write_group(&mut text, severity, &bold(title, colour));
        }
        if !self.access.is_empty() {
            let _ = writeln!(text, "\n{}", bold("Access within the horizon", AnsiColor::Green));
            let people = self.access.iter().map(|(email, access)| (self.names.person_text(email), access));
            let people: Vec<_> = people.collect();
            let width = people.iter().map(|(email, _)| email.chars().count()).max().unwrap_or(0);
            for (email, access) in people {
                let _ = writeln!(text, "  {email:width$}  {}", access.summary());
            }
        }
        let [problems, warnings, notes] =
            [(Severity::Problem, "problem"), (Severity::Warning, "warning"), (Severity::Note, "note")]
                .map(|(severity, word)| counted(self.count(severity), word));
        let _ = write!(text, "\n{problems}, {warnings}, {notes}");
        match self.mode {
            Mode::Online => {
                let (people, on_calls) = (self.access.len(), counted(self.on_calls, "on-call"));
                let _ = write!(text, "; {on_calls} seen, access for {}", counted(people, "account"));
            }
            Mode::Offline => text.push_str("; nobody was asked (--offline)"),
        }
        text
    }

    fn write_group(&self, text: &mut String, severity: Severity, title: &str) {
        let group = self.findings.iter().filter(|finding| finding.severity == severity);
        let told = |text: &str| self.names.tell(text);
        let group: Vec<(String, &Finding)> = group.map(|finding| (told(&finding.subject), finding)).collect();
        if group.is_empty() {
            return;
        }
        let width = group.iter().map(|(subject, _)| subject.chars().count()).max().unwrap_or(0).min(40);
        let _ = writeln!(text, "\n{title}");
        for (subject, Finding { message, remedy, .. }) in group {
            let message = told(message);
            let _ = writeln!(text, "  {subject:width$}  {message}");
            if !remedy.is_empty() {
                let _ = writeln!(text, "  {:width$}  -> {remedy}", "");
            }
        }
    }
}

impl Access {
    fn summary(&self) -> String {
        /// So many names fit on a line.
        const NAMED: usize = 5;
        let Self { resources, from, until, windows } = self;
        let named: Vec<&str> = resources.iter().take(NAMED).map(String::as_str).collect();
        let more = resources.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (from, until) =
            (from.map(to_second).unwrap_or_default(), until.map(to_second).unwrap_or_default());
        let windows = counted(*windows, "grant");
        format!("{}{more}: {windows} between {from} and {until}", named.join(", "))
    }
}

fn bold(text: &str, colour: AnsiColor) -> String {
    let style = colour.on_default().bold();
    format!("{style}{text}{style:#}")
}
