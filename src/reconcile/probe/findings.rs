//! What a probe found, free of names, IDs and secrets: fit for a bug report.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{SecondGrant, instant::to_second},
    strongdm::Error,
};

/// What strongDM said to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It made the grant.
    Taken,
    /// There is one already.
    AlreadyExists,
    /// The request is wrong.
    InvalidArgument,
    /// It failed otherwise; the name of the failure.
    Failed(String),
    /// It was not asked.
    #[default]
    NotAsked,
}

impl Answer {
    /// What a failure says, if it is an answer at all.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::AlreadyExists(_) => Some(Self::AlreadyExists),
            Error::InvalidArgument(_) => Some(Self::InvalidArgument),
            Error::NotFound(_) => Some(Self::Failed("not_found".to_owned())),
            Error::Unauthenticated(_)
            | Error::PermissionDenied { .. }
            | Error::RateLimited { .. }
            | Error::Unavailable(_)
            | Error::Unclear(_)
            | Error::Invalid(_)
            | Error::TooMany { .. }
            | Error::Refused(_) => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "taken",
            Self::AlreadyExists => "refused: it already exists",
            Self::InvalidArgument => "refused: the request is wrong",
            Self::Failed(how) => return write!(f, "failed: {how}"),
            Self::NotAsked => "not asked",
        })
    }
}

/// What became of what a grant was asked to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept {
    AsAsked,
    /// A start in the past became now.
    MovedToNow,
    Changed,
    #[default]
    NotAsked,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsAsked => "stored as asked",
            Self::MovedToNow => "moved to now",
            Self::Changed => "stored otherwise",
            Self::NotAsked => "not asked",
        })
    }
}

/// What strongDM did with one size of page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageSize {
    /// How many items were asked for.
    pub(crate) asked: i32,
    /// How many came.
    pub(crate) came: usize,
    /// Whether there are more.
    pub(crate) more: bool,
    /// Whether it was taken at all.
    pub(crate) answer: Answer,
}

/// Everything that a probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Findings {
    /// Of this program.
    pub(crate) version: String,
    /// When it was over.
    pub(crate) at: DateTime<Utc>,
    /// A window of next year.
    pub(crate) window: Kept,
    /// A second grant whose window overlaps that of the first.
    pub(crate) overlapping: Answer,
    /// One that begins when the first ends.
    pub(crate) touching: Answer,
    /// One hours later.
    pub(crate) apart: Answer,
    /// One for the same window.
    pub(crate) same_again: Answer,
    /// An access rule with a Kubernetes group.
    pub(crate) privileges: Answer,
    /// Whether its group was stored.
    pub(crate) privileges_kept: Kept,
    /// The same with the resource's ID in the rule; asked where it is refused without.
    pub(crate) privileges_with_ids: Answer,
    /// A start in the past.
    pub(crate) past_start: Answer,
    /// What became of it.
    pub(crate) past_start_kept: Kept,
    /// Whether the list shows a grant that has ended.
    pub(crate) lists_ended: Option<bool>,
    /// Pages of the list of grants.
    pub(crate) pages: Vec<PageSize>,
    /// By how many seconds strongDM's clock is ahead of this machine's.
    pub(crate) clock_ahead_seconds: Option<i64>,
}

impl Findings {
    /// The same in words.
    pub(crate) fn lesson(&self) -> &'static str {
        match self.second_grant() {
            Some(SecondGrant::Taken) => "any second grant is taken",
            Some(SecondGrant::RefusedIfOverlapping) => "a second grant is refused if it overlaps",
            Some(SecondGrant::Refused) => "any second grant is refused",
            None => "nothing about second grants; refusals teach it as before",
        }
    }

    /// What strongDM does with a second grant, if all of it was answered. What touches counts like what lies apart, since
    /// neighbouring windows do touch; the same again like what overlaps.
    pub(crate) fn second_grant(&self) -> Option<SecondGrant> {
        let Self { overlapping, touching, apart, same_again, .. } = self;
        let refused = |answers: [&Answer; 2]| -> Option<bool> {
            let known = |answer: &&Answer| matches!(answer, Answer::Taken | Answer::AlreadyExists);
            answers.iter().all(known).then(|| answers.contains(&&Answer::AlreadyExists))
        };
        Some(match (refused([touching, apart])?, refused([overlapping, same_again])?) {
            (true, _) => SecondGrant::Refused,
            (false, true) => SecondGrant::RefusedIfOverlapping,
            (false, false) => SecondGrant::Taken,
        })
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |question: &str, answer: &dyn fmt::Display| writeln!(f, "{question:<52}  {answer}");
        row("a second grant that overlaps the first", &self.overlapping)?;
        row("one that begins when the first ends", &self.touching)?;
        row("one hours later", &self.apart)?;
        row("the same again", &self.same_again)?;
        row("a window of next year", &self.window)?;
        row("an access rule with a Kubernetes group", &self.privileges)?;
        row("  its group", &self.privileges_kept)?;
        row("  the same with the resource's ID in the rule", &self.privileges_with_ids)?;
        row("a start in the past (--in-force)", &self.past_start)?;
        row("  what became of it", &self.past_start_kept)?;
        let ended = match self.lists_ended {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not asked",
        };
        row("the list shows a grant that has ended (--in-force)", &ended)?;
        for PageSize { asked, came, more, answer } in &self.pages {
            let more = if *more { ", and there are more" } else { ", and these were all" };
            let came = match answer {
                Answer::Taken => format!("{came} came{more}"),
                other => other.to_string(),
            };
            row(&format!("a page of {asked} grants"), &came)?;
        }
        let clock = self.clock_ahead_seconds.map_or("not told".to_owned(), |seconds| format!("{seconds} s"));
        row("strongDM's clock is ahead of this machine's by", &clock)?;
        row("the service takes from this", &self.lesson())?;
        write!(f, "learned at {} by {}", to_second(self.at), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_for_second_grants() {
        use Answer::{AlreadyExists, InvalidArgument, NotAsked, Taken};
        let lesson = |overlapping: &Answer, touching: &Answer, apart: &Answer, same: &Answer| {
            let [overlapping, touching, apart, same_again] =
                [overlapping, touching, apart, same].map(Clone::clone);
            Findings { overlapping, touching, apart, same_again, ..Findings::default() }.second_grant()
        };
        assert_eq!(lesson(&Taken, &Taken, &Taken, &Taken), Some(SecondGrant::Taken));
        let overlaps = Some(SecondGrant::RefusedIfOverlapping);
        assert_eq!(lesson(&AlreadyExists, &Taken, &Taken, &AlreadyExists), overlaps);
        assert_eq!(lesson(&Taken, &Taken, &Taken, &AlreadyExists), overlaps);
        let any = Some(SecondGrant::Refused);
        assert_eq!(lesson(&AlreadyExists, &AlreadyExists, &Taken, &AlreadyExists), any);
        assert_eq!(lesson(&AlreadyExists, &AlreadyExists, &AlreadyExists, &AlreadyExists), any);
        assert_eq!(lesson(&AlreadyExists, &Taken, &NotAsked, &Taken), None);
        assert_eq!(lesson(&InvalidArgument, &Taken, &Taken, &Taken), None);
    }
}
