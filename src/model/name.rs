//! What people call the things of PagerDuty: schedules, escalation policies, services, persons. Names are other people's
//! data: no decision depends on them, and none is a label of a metric.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PolicyId, ScheduleId, ServiceId, Source, UserId};

/// The longest name that is kept, in characters.
const LONGEST: usize = 100;

/// A name that may be written to a page, a log and a terminal: one line of at most 100 characters, without control
/// characters and without those that hide or turn around the text beside them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(from = "String")]
#[schema(value_type = String, example = "Payments primary")]
pub struct Name(String);

impl Name {
    /// Cleans what somebody wrote as a name; none if nothing is left.
    pub fn new(raw: &str) -> Option<Self> {
        let name = Self(clean(raw));
        (!name.0.is_empty()).then_some(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As it was stored. Only [`Name::new`] refuses what nothing is left of.
impl From<String> for Name {
    fn from(raw: String) -> Self {
        Self(clean(&raw))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn clean(raw: &str) -> String {
    let mut name = String::new();
    let mut length = 0;
    let mut is_apart = false;
    // What is much too long is not read to its end.
    for c in raw.chars().take(100 * LONGEST).filter(|c| !is_invisible(*c)) {
        if c.is_whitespace() || c.is_control() {
            is_apart = length > 0;
            continue;
        }
        let needed = 1 + usize::from(is_apart);
        if length + needed > LONGEST {
            name = name.chars().take(LONGEST - 1).collect();
            name.push('…');
            break;
        }
        if is_apart {
            name.push(' ');
        }
        name.push(c);
        length += needed;
        is_apart = false;
    }
    name
}

/// Characters that show nothing and change what is beside them: marks and overrides of the direction, joiners, fillers,
/// tags, selectors of variants.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Something of PagerDuty that has a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A schedule.
    Schedule(ScheduleId),
    /// An escalation policy.
    Policy(PolicyId),
    /// A service.
    Service(ServiceId),
    /// A person.
    User(UserId),
}

impl Thing {
    /// The thing of this kind and ID, as [`Thing::kind`] and [`Thing::id`] tell them; none of a kind that only another
    /// version knows.
    pub fn of_kind(kind: &str, id: &str) -> Option<Self> {
        Some(match kind {
            "schedule" => Self::Schedule(id.into()),
            "escalation_policy" => Self::Policy(id.into()),
            "service" => Self::Service(id.into()),
            "user" => Self::User(id.into()),
            _ => return None,
        })
    }

    /// The word for its kind in the store.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Schedule(_) => "schedule",
            Self::Policy(_) => "escalation_policy",
            Self::Service(_) => "service",
            Self::User(_) => "user",
        }
    }

    /// Its ID, as PagerDuty has it.
    pub fn id(&self) -> &str {
        match self {
            Self::Schedule(id) => id.as_str(),
            Self::Policy(id) => id.as_str(),
            Self::Service(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }
}

impl From<&Source> for Thing {
    fn from(source: &Source) -> Self {
        match source {
            Source::Schedule(id) => Self::Schedule(id.clone()),
            Source::Policy(id) => Self::Policy(id.clone()),
            Source::Service(id) => Self::Service(id.clone()),
        }
    }
}

/// A name that an answer carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenName {
    /// Whose.
    pub thing: Thing,
    /// The name.
    pub name: Name,
    /// A person's login e-mail in PagerDuty, if the answer carried it. Unchecked text.
    pub address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_bounded_line_without_anything_that_shows_nothing() {
        for (raw, expected) in [
            ("Payments primary", "Payments primary"),
            ("  Ana \t\r\n Lima  ", "Ana Lima"),
            ("Cem Öz 李 אבג", "Cem Öz 李 אבג"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred [0m"),
            ("a\u{202e}dmin\u{2066}x\u{200b}\u{feff}y", "adminxy"),
            ("line\u{2028}next\u{85}last", "line next last"),
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ] {
            assert_eq!(Name::new(raw).unwrap().as_str(), expected, "{raw:?}");
        }
        for nothing in ["", " \n", "\u{202e}\u{200d}", "\u{0}"] {
            assert_eq!(Name::new(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_says_so() {
        let exact = "é".repeat(LONGEST);
        assert_eq!(Name::new(&exact).unwrap().as_str(), exact);
        let long = Name::new(&"x".repeat(10_000)).unwrap();
        assert_eq!(long.as_str(), "x".repeat(LONGEST - 1) + "…");
        let words = Name::new(&"word ".repeat(2_000)).unwrap();
        assert!(words.as_str().chars().count() <= LONGEST && words.as_str().ends_with('…'), "{words}");
        assert_eq!(Name::from(long.as_str().to_owned()), long, "what is clean stays as it is");
    }

    #[test]
    fn a_thing_is_found_again_by_its_kind_and_id() {
        let things = [
            Thing::Schedule("P1".into()),
            Thing::Policy("P2".into()),
            Thing::Service("P3".into()),
            Thing::User("P4".into()),
        ];
        for thing in things {
            assert_eq!(Thing::of_kind(thing.kind(), thing.id()), Some(thing));
        }
        assert_eq!(Thing::of_kind("team", "P5"), None);
    }
}
