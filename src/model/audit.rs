//! The words of the audit: what was done to a grant, and what came of it.

use std::fmt;

use serde::{Serialize, Serializer};

/// Defines an enum whose values stand in the store and the API as fixed words. Those of reports have an `Other` for every
/// word of another version; an audit passes such a word on, as [`Recorded`].
macro_rules! audit_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$meaning])* $variant,)+
        }

        impl $name {
            /// The word for it in the store and the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<String> for Recorded<$name> {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::Known($name::$variant),)+
                    _ => Self::Other(word),
                }
            }
        }
    };
}

audit_words! {
    /// What was done to a grant, or tried.
    AuditAction {
        /// It was made in strongDM.
        Create = "create",
        /// It was removed from strongDM before its end.
        Revoke = "revoke",
        /// It became ours without an answer to the call that made it, or from another store.
        Adopt = "adopt",
        /// strongDM has it no longer, and we did not remove it.
        Vanish = "vanish",
        /// strongDM has it with another window than we knew.
        Alter = "alter",
    }
}

audit_words! {
    /// What came of it.
    AuditOutcome {
        /// strongDM confirmed it.
        Done = "done",
        /// strongDM refused it because of another grant.
        Refused = "refused",
        /// strongDM refused it, or could not be reached.
        Failed = "failed",
        /// No answer says whether it was done; a later entry does.
        Unclear = "unclear",
    }
}

/// A word that was read from the store: one of ours, or one that another version wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded<W> {
    /// A word that this version writes as well.
    Known(W),
    /// Any other; it is passed on as it is.
    Other(String),
}

impl<W: Copy + PartialEq> Recorded<W> {
    /// The word, if this version knows it.
    pub fn known(&self) -> Option<W> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Other(_) => None,
        }
    }

    /// Whether it is this word.
    pub fn is(&self, word: W) -> bool {
        self.known() == Some(word)
    }
}

impl<W: fmt::Display> fmt::Display for Recorded<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Other(word) => f.write_str(word),
        }
    }
}

impl<W: fmt::Display> Serialize for Recorded<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back_and_one_of_another_version_is_passed_on() {
        for word in ["create", "revoke", "adopt", "vanish", "extend"] {
            let read = Recorded::<AuditAction>::from(word.to_owned());
            assert_eq!(read.to_string(), word);
            assert_eq!(read.known().is_some(), word != "extend");
        }
        assert!(Recorded::<AuditOutcome>::from("unclear".to_owned()).is(AuditOutcome::Unclear));
    }
}
