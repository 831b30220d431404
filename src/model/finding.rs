//! What will break, or is broken: data that `check` prints, the service counts, and machines read.

use serde::{Deserialize, Serialize};

use crate::model::Window;

/// Something that an operator should know, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is: one of a few fixed words, for metrics and filters.
    pub kind: &'static str,
    /// Whom or what it is about.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty if nothing needs to be done.
    pub remedy: String,
    /// The stretches of time that it is about, where it is about some.
    #[serde(skip)]
    pub stretches: Vec<Window>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody lacks access, or nothing works, until it is mended.
    Problem,
    /// It may be meant, or may break later.
    Warning,
    /// Good to know; also what another version has another word for.
    #[serde(other)]
    Note,
}

impl Finding {
    /// Something that must be mended.
    pub fn problem(kind: &'static str, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Problem, kind, subject, message)
    }

    /// Something that may be meant.
    pub fn warning(kind: &'static str, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Warning, kind, subject, message)
    }

    /// Something that is good to know.
    pub fn note(kind: &'static str, subject: impl ToString, message: impl ToString) -> Self {
        Self::new(Severity::Note, kind, subject, message)
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers give texts, numbers and errors alike")]
    fn new(severity: Severity, kind: &'static str, subject: impl ToString, message: impl ToString) -> Self {
        let (subject, message) = (subject.to_string(), message.to_string());
        Self { severity, kind, subject, message, remedy: String::new(), stretches: Vec::new() }
    }

    /// The same with what to do about it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "as above")]
    pub fn mended_by(self, remedy: impl ToString) -> Self {
        Self { remedy: remedy.to_string(), ..self }
    }

    /// Whether `known` already told of this. What is about stretches of time is new with each stretch.
    pub fn is_among(&self, known: &[Self]) -> bool {
        let same = known.iter().filter(|one| one.kind == self.kind && one.subject == self.subject);
        let same: Vec<&Self> = same.collect();
        let told = |stretch: &Window| {
            same.iter().any(|one| one.stretches.iter().any(|other| other.overlaps(stretch)))
        };
        !same.is_empty() && self.stretches.iter().all(told)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
