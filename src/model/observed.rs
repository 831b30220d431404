//! What was seen, and what could not be seen.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What was seen, or why it could not be seen. Unknown is never read as empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Why something could not be seen or done, and what mends it. Written as one text, which is read back as the error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
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

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { error, remedy } = self;
        f.write_str(error)?;
        if remedy.is_empty() { Ok(()) } else { write!(f, "; {remedy}") }
    }
}
