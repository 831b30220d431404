//! What is wrong with a configuration, said so that an operator can put it right. Never carries a secret's value.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Every mistake that was found; prints one a line, in the order of the file.
#[derive(Debug)]
pub struct Error {
    file: Option<PathBuf>,
    mistakes: Vec<Mistake>,
}

/// One thing to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Where a setting stands. The environment sorts before the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// No setting in particular: the file is not there, or cannot be read.
    Nowhere,
    /// An environment variable.
    Variable {
        /// Its name.
        name: &'static str,
        /// The key that it stands for.
        key: String,
    },
    /// A line of the file.
    Line {
        /// Counted from 1.
        line: usize,
        /// The key, such as `rules[2].escalation_levels`; empty where the line itself is the mistake.
        key: String,
    },
}

impl Error {
    /// The mistakes found in `file`; at least one.
    pub(super) fn new(file: &Path, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        Self { file: Some(file.to_owned()), mistakes }
    }

    /// One mistake that no key is to blame for.
    pub(super) fn at_file(file: &Path, line: usize, message: String) -> Self {
        Self::new(file, vec![Mistake { place: Place::Line { line, key: String::new() }, message }])
    }

    /// The file cannot be read.
    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        Self::new(file, vec![Mistake { place: Place::Nowhere, message }])
    }

    /// There is no file to speak of.
    pub(super) fn without_file(message: String) -> Self {
        Self { file: None, mistakes: vec![Mistake { place: Place::Nowhere, message }] }
    }

    /// The file, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Each mistake with the line that tells it.
    pub(super) fn told(&self) -> impl Iterator<Item = (&Mistake, String)> {
        self.mistakes.iter().map(|mistake| {
            let one = Self { file: self.file.clone(), mistakes: vec![mistake.clone()] };
            (mistake, one.to_string())
        })
    }

    /// The mistakes in the order of the file.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, mistakes } = self;
        for (index, Mistake { place, message }) in mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match place {
                Place::Nowhere => {
                    if let Some(file) = file {
                        write!(f, "{}: ", file.display())?;
                    }
                }
                Place::Variable { name, key } => write!(f, "environment variable {name} ({key}): ")?,
                Place::Line { line, key } => {
                    if let Some(file) = file {
                        write!(f, "{}:", file.display())?;
                    }
                    write!(f, "{line}: ")?;
                    if !key.is_empty() {
                        write!(f, "{key}: ")?;
                    }
                }
            }
            f.write_str(message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
