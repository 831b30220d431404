//! Marks, which events leave: what must be looked at again.

use std::{collections::BTreeSet, fmt, str::FromStr};

use super::{PolicyId, ScheduleId, Source};

/// Something that must be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// All rules.
    Everything,
    /// The rules that name this schedule, escalation policy or service.
    Source(Source),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Source(Source::Schedule(id)) => write!(f, "schedule:{id}"),
            Self::Source(Source::Policy(id)) => write!(f, "policy:{id}"),
            Self::Source(Source::Service(id)) => write!(f, "service:{id}"),
        }
    }
}

impl FromStr for Mark {
    type Err = std::convert::Infallible;

    /// Reads what [`Display`](fmt::Display) wrote; anything else means everything, which is always safe.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once(':') {
            Some(("schedule", id)) => Self::Source(Source::Schedule(id.into())),
            Some(("policy", id)) => Self::Source(Source::Policy(id.into())),
            Some(("service", id)) => Self::Source(Source::Service(id.into())),
            _ => Self::Everything,
        })
    }
}

/// Which schedules were seen under which escalation policies in the last on-call answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeSet<(ScheduleId, PolicyId)>);

impl Links {
    /// Each schedule beside a policy that it was seen under, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(ScheduleId, PolicyId)> {
        self.0.iter()
    }
}

impl FromIterator<(ScheduleId, PolicyId)> for Links {
    fn from_iter<I: IntoIterator<Item = (ScheduleId, PolicyId)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}
