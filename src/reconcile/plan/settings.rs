//! What the operator decides beforehand.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::model::{Aliases, Rule};

/// The operator's part of the decision.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Which on-calls give access to what.
    pub(crate) rules: Vec<Rule>,
    /// Whose strongDM address differs from the one in PagerDuty.
    pub(crate) aliases: Aliases,
    /// How far ahead shifts are granted.
    pub(crate) horizon: TimeDelta,
    /// How many grants in force one pass may revoke.
    pub(crate) max_revocations: usize,
}

/// The safety limit on revocations. Written as `allow_mass_revocation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum Guard {
    /// If a plan would revoke more grants in force than `max_revocations`, it revokes none.
    #[default]
    On,
    /// Somebody confirmed that this plan may revoke any number.
    Lifted,
}

impl From<bool> for Guard {
    fn from(allow_mass_revocation: bool) -> Self {
        if allow_mass_revocation { Self::Lifted } else { Self::On }
    }
}

impl From<Guard> for bool {
    fn from(guard: Guard) -> Self {
        guard == Guard::Lifted
    }
}
