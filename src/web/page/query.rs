//! The query of the page: what the reader wants to see of it.

use chrono::TimeDelta;
use serde::Deserialize;

/// What the reader wants to see; every part has a default.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How much of time is in view.
    #[serde(default)]
    #[param(inline, required = false)]
    range: Range,
    /// Only people and resources with this text in their name.
    #[serde(default)]
    #[param(value_type = String, required = false, max_length = 100)]
    q: SearchText,
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

    /// The text to search for; empty for everything.
    pub(super) fn search(&self) -> &str {
        self.q.0.trim()
    }

    /// Whether the report of this pass is open.
    pub(super) fn opens(&self, pass_id: &str) -> bool {
        self.pass == pass_id
    }
}
