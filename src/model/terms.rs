//! What a grant gives: when, and with which Kubernetes groups.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Window;

/// The Kubernetes groups in which a grant lets somebody act; none is usual, for every other kind of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct KubernetesGroups(BTreeSet<String>);

impl KubernetesGroups {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this group is among them.
    pub fn contain(&self, group: &str) -> bool {
        self.0.contains(group)
    }

    /// Whether all groups of `other` are among them.
    pub fn include(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Those that are also among `other`.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl<G: Into<String>> FromIterator<G> for KubernetesGroups {
    fn from_iter<I: IntoIterator<Item = G>>(groups: I) -> Self {
        Self(groups.into_iter().map(Into::into).collect())
    }
}

/// In words, such as ` in groups admin, viewer`, to be put behind a resource; empty without groups.
impl fmt::Display for KubernetesGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.iter().enumerate() {
            f.write_str(if index == 0 { " in groups " } else { ", " })?;
            f.write_str(group)?;
        }
        Ok(())
    }
}

/// When a grant gives access, and with which groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When.
    pub window: Window,
    /// With which Kubernetes groups, throughout.
    pub groups: KubernetesGroups,
}

impl Terms {
    /// The same groups in this window.
    #[must_use]
    pub fn over(&self, window: Window) -> Self {
        Self { window, groups: self.groups.clone() }
    }
}

impl From<Window> for Terms {
    /// Without groups.
    fn from(window: Window) -> Self {
        Self { window, groups: KubernetesGroups::default() }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window, groups } = self;
        write!(f, "{window}{groups}")
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn terms_are_told_as_a_window_and_its_groups() {
        let [start, end] =
            [0, 3600].map(|second| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap());
        let mut terms = Terms::from(Window::new(start, end).unwrap());
        assert_eq!(terms.to_string(), "from 2027-01-15T08:00:00Z until 2027-01-15T09:00:00Z");
        terms.groups = ["viewer", "admin"].into_iter().collect();
        assert_eq!(
            terms.to_string(),
            "from 2027-01-15T08:00:00Z until 2027-01-15T09:00:00Z in groups admin, viewer"
        );
    }
}
