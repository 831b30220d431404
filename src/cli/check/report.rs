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

use super::guide::{Guide, Step};
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
pub(super) struct Report<'c> {
    guide: Guide<'c>,
    file: String,
    rules: usize,
    mode: Mode,
    pub(super) findings: Vec<Finding>,
    on_calls: usize,
    access: BTreeMap<String, Access>,
    pub(super) names: Arc<Names>,
    /// Whether a service, or a `sync`, has run passes on the store.
    pub(super) passes_run: bool,
}

/// A finding as JSON shows it.
#[derive(Debug, Serialize)]
struct NamedFinding<'f> {
    #[serde(flatten)]
    finding: &'f Finding,
    #[serde(flatten)]
    names: NamesBeside,
    /// What to write and to run.
    steps: Vec<Step>,
}

/// What one person gets within the horizon.
#[derive(Debug, Default)]
struct Access {
    resources: BTreeSet<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    windows: usize,
}

impl<'c> Report<'c> {
    pub(super) fn new(config: &'c Config, mode: Mode) -> Self {
        Self {
            guide: Guide::new(config),
            file: config.file.display().to_string(),
            rules: config.rules.len(),
            mode,
            findings: Vec::new(),
            on_calls: 0,
            access: BTreeMap::new(),
            names: Arc::default(),
            passes_run: false,
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
            "next": self.next(),
        })
    }

    /// A finding with names beside the IDs that it is about.
    fn finding<'f>(&self, finding: &'f Finding) -> NamedFinding<'f> {
        let names = self.names.beside_text(&finding.subject);
        NamedFinding { finding, names, steps: self.guide.steps(finding) }
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
        let is_mended = self.count(Severity::Problem) == 0;
        let when = if is_mended { "Next" } else { "Next, when the problems are mended" };
        let _ = write!(text, "\n{when}: {}", self.next());
        text
    }

    /// The command to run next.
    fn next(&self) -> String {
        if self.count(Severity::Problem) > 0 {
            return self.guide.command(if self.mode == Mode::Offline { "check --offline" } else { "check" });
        }
        match (self.mode, self.passes_run, self.access.keys().next()) {
            (Mode::Offline, ..) => self.guide.command("check"),
            (Mode::Online, true, Some(email)) => self.guide.command(&format!("explain --email {email}")),
            (Mode::Online, ..) => self.guide.command("sync --dry-run"),
        }
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
        for (subject, finding) in group {
            let Finding { message, remedy, .. } = finding;
            let message = told(message);
            let _ = writeln!(text, "  {subject:width$}  {message}");
            if !remedy.is_empty() {
                let _ = writeln!(text, "  {:width$}  -> {remedy}", "");
            }
            for step in self.guide.steps(finding) {
                let _ = writeln!(text, "  {:width$}     {step}", "");
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
