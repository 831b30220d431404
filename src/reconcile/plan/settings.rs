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
    /// How many grants may be revoked within a minute, without anybody in their place, before somebody looks.
    pub(crate) max_revocations: usize,
}

/// Whether somebody who asks for a pass confirms what the guard holds. Written as `allow_mass_revocation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum Guard {
    /// Nobody does: what is held stays held.
    #[default]
    On,
    /// What is held by now may go.
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

/// What a plan may revoke beyond `max_revocations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Released {
    /// Nothing: nobody confirmed anything.
    #[default]
    Nothing,
    /// Somebody confirmed what was held, which was this number of grants.
    Held(usize),
}

impl Released {
    /// Whether so many revocations are covered. A few more may have come due since somebody looked; more than twice as
    /// many are another matter, which nobody has confirmed.
    pub(super) fn covers(self, due: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::Held(held) => due <= held.saturating_mul(2),
        }
    }
}
