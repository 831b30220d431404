//! What was seen, and what could not be seen.

use std::fmt;

/// What was seen, or why it could not be seen. Unknown is never read as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<T> {
    /// The answer.
    Known(T),
    /// No answer.
    Unknown(Fault),
}

impl<T> Observed<T> {
    /// Whether it was seen.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// Why something could not be seen or done, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// What went wrong.
    pub error: String,
    /// What somebody must do about it; empty if it may well pass by itself.
    pub remedy: String,
}

impl From<&str> for Fault {
    fn from(error: &str) -> Self {
        error.to_owned().into()
    }
}

impl From<String> for Fault {
    fn from(error: String) -> Self {
        Self { error, remedy: String::new() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, remedy } = self;
        f.write_str(error)?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {remedy}") }
    }
}
