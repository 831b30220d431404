//! The query of the page: what the reader wants to see of it, and the addresses of its other parts.

use chrono::TimeDelta;
use serde::Deserialize;

use super::layout::query_string;
use crate::store::Access;

/// What the reader wants to see; every part has a default.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How much of time is in view.
    #[serde(default)]
    #[param(inline, required = false)]
    range: Range,
    /// Only those who have access now, or everybody who has some within the stretch of time. If it is left out: everybody,
    /// if they fit on one page or are searched for.
    #[param(inline, nullable = false)]
    show: Option<Show>,
    /// Only people and resources with this text in their name.
    #[serde(default)]
    #[param(value_type = String, required = false, max_length = 100)]
    q: SearchText,
    /// Where the list of those with access goes on, as the link to its next page says.
    #[serde(default)]
    #[param(value_type = Option<String>, required = false, nullable = false,
        pattern = " ", example = "ana@example.com prod-postgres")]
    after: Option<Cursor>,
    /// The page of the rules.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 100_000, default = 1)]
    rules: PageNumber,
    /// The page of what is to be mended.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 100_000, default = 1)]
    findings: PageNumber,
    /// The pass whose report is open.
    #[serde(default)]
    #[param(required = false)]
    pass: String,
}

/// A text to search for, of bounded length.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct SearchText(String);

impl TryFrom<String> for SearchText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const LONGEST: usize = 100;
        if text.chars().count() > LONGEST { Err("at most 100 characters") } else { Ok(Self(text)) }
    }
}

/// A place in the list of those with access: after this one. An address has no blank.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Cursor(Access);

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (email, resource) =
            text.split_once(' ').ok_or("after must be as in the link to the next page")?;
        Ok(Self(Access { resource: resource.to_owned(), email: email.to_owned() }))
    }
}

/// The number of a page, from 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "u32")]
struct PageNumber(u32);

impl Default for PageNumber {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for PageNumber {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        const LAST: u32 = 100_000;
        if (1..=LAST).contains(&number) { Ok(Self(number)) } else { Err("pages are numbered from 1") }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
enum Range {
    #[serde(rename = "6h")]
    Hours6,
    #[default]
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "3d")]
    Days3,
    #[serde(rename = "7d")]
    Week,
}

/// Whose lanes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Show {
    /// Those who have access now.
    Now,
    /// Those who have access within the stretch of time in view.
    All,
}

impl Show {
    /// Both, with their words.
    pub(super) const BOTH: [(Self, &'static str); 2] =
        [(Self::Now, "Access now"), (Self::All, "Now or next")];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::All => "all",
        }
    }
}

/// A part of a list that is in memory as a whole, with what its neighbours need.
pub(super) struct Part<'i, T> {
    pub(super) items: &'i [T],
    pub(super) number: usize,
    pub(super) pages: usize,
    /// The entries before it.
    pub(super) before: usize,
}

impl<'i, T> Part<'i, T> {
    /// The page of this number; the last one, if there are fewer.
    fn of(all: &'i [T], number: PageNumber, size: usize) -> Self {
        let pages = all.len().div_ceil(size).max(1);
        let number = usize::try_from(number.0).unwrap_or(1).clamp(1, pages);
        let before = (number - 1) * size;
        Self { items: &all[before..all.len().min(before + size)], number, pages, before }
    }
}

impl PageQuery {
    /// The ranges that can be chosen, with their words.
    pub(super) const RANGES: [(&'static str, &'static str); 4] =
        [("6h", "6 hours"), ("24h", "1 day"), ("3d", "3 days"), ("7d", "1 week")];

    pub(super) fn range(&self) -> &'static str {
        match self.range {
            Range::Hours6 => "6h",
            Range::Day => "24h",
            Range::Days3 => "3d",
            Range::Week => "7d",
        }
    }

    pub(super) fn length(&self) -> TimeDelta {
        TimeDelta::hours(match self.range {
            Range::Hours6 => 6,
            Range::Day => 24,
            Range::Days3 => 72,
            Range::Week => 168,
        })
    }

    /// Whose lanes the reader chose, if there was a choice.
    pub(super) fn show(&self) -> Option<Show> {
        self.show
    }

    /// The text to search for; empty for everything.
    pub(super) fn search(&self) -> &str {
        self.q.0.trim()
    }

    /// Where the list of those with access goes on; none on its first page.
    pub(super) fn after(&self) -> Option<&Access> {
        self.after.as_ref().map(|Cursor(access)| access)
    }

    /// The part of the rules that is shown.
    pub(super) fn rules<'i, T>(&self, all: &'i [T], size: usize) -> Part<'i, T> {
        Part::of(all, self.rules, size)
    }

    /// The part of what is to be mended that is shown.
    pub(super) fn findings<'i, T>(&self, all: &'i [T], size: usize) -> Part<'i, T> {
        Part::of(all, self.findings, size)
    }

    /// Whether the report of this pass is open.
    pub(super) fn opens(&self, pass_id: &str) -> bool {
        self.pass == pass_id
    }

    /// The query with one thing changed.
    pub(super) fn query_with(&self, name: &str, value: &str) -> String {
        let mut pairs = vec![("range", self.range())];
        pairs.extend(self.show.map(|show| ("show", show.as_str())));
        pairs.push(("q", self.search()));
        pairs.retain(|(known, value)| *known != name && !value.is_empty());
        pairs.push((name, value));
        query_string(&pairs)
    }

    /// The address of this page with one thing changed, at one of its sections. What is found by the same search stays.
    pub(super) fn link(&self, name: &str, value: &str, section: &str) -> String {
        format!("./?{}#{section}", self.query_with(name, value))
    }
}

/// A place as [`Cursor`] reads it.
pub(super) fn cursor(access: &Access) -> String {
    format!("{} {}", access.email, access.resource)
}
