//! Questions without an answer.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{
    Email, Fault, IncidentId, Name, Names, NamesBeside, Pair, PolicyId, ScheduleId, ServiceId, Source, Thing,
    UserId,
};

/// Something that could not be observed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Unknown {
    /// What was asked.
    #[serde(flatten, deserialize_with = "Asked::or_other")]
    pub about: Asked,
    /// What went wrong, and what mends it where somebody must.
    #[schema(value_type = String)]
    pub error: Fault,
    /// What that is called, where it is told to people; nothing is decided by it.
    #[serde(flatten)]
    pub names: NamesBeside,
}

impl Unknown {
    /// A question that found no answer, without names.
    pub fn new(about: impl Into<Asked>, error: impl Into<Fault>) -> Self {
        Self { about: about.into(), error: error.into(), names: NamesBeside::default() }
    }

    /// The same with the name of what it is about, for whoever reads it.
    #[must_use]
    pub fn named(self, names: &Names) -> Self {
        let person = |name: Option<&Name>| NamesBeside { name: name.cloned(), ..NamesBeside::default() };
        let beside = match &self.about {
            Asked::User(user) => person(names.of(Thing::User(user.clone()))),
            Asked::Account(email) => person(names.person(email.as_str())),
            about => about.source().map(|source| names.beside(&source)).unwrap_or_default(),
        };
        Self { names: if beside == NamesBeside::default() { self.names } else { beside }, ..self }
    }
}

/// What an unanswered question was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UnknownSubject)]
pub enum Asked {
    /// The on-calls of a schedule.
    Schedule(ScheduleId),
    /// The on-calls of an escalation policy.
    #[serde(rename = "escalation_policy")]
    Policy(PolicyId),
    /// The open incidents of a service, or who may be given access because of them.
    Service(ServiceId),
    /// What became of an incident.
    Incident(IncidentId),
    /// A PagerDuty user's e-mail address.
    User(UserId),
    /// The strongDM account of an e-mail address.
    Account(Email),
    /// The resources of a name or filter.
    Resource(String),
    /// What became of an earlier write, by account and resource.
    #[serde(rename = "grant")]
    #[schema(value_type = String)]
    Write(Pair),
    /// A list of strongDM.
    #[serde(rename = "strongdm")]
    List(StrongDmList),
    /// Something that only another version has a name for, in words.
    #[serde(rename = "about")]
    Other(String),
}

/// A list that strongDM keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StrongDmList {
    /// All grants.
    Grants,
}

impl Asked {
    /// The schedule, policy or service that was asked about, if one was.
    pub fn source(&self) -> Option<Source> {
        match self {
            Self::Schedule(id) => Some(Source::Schedule(id.clone())),
            Self::Policy(id) => Some(Source::Policy(id.clone())),
            Self::Service(id) => Some(Source::Service(id.clone())),
            Self::Incident(_)
            | Self::User(_)
            | Self::Account(_)
            | Self::Resource(_)
            | Self::Write(_)
            | Self::List(_)
            | Self::Other(_) => None,
        }
    }

    /// Reads the key that says what was asked; one that only another version knows is no error.
    fn or_other<'de, D: Deserializer<'de>>(record: D) -> Result<Self, D::Error> {
        let known = Option::<Self>::deserialize(record)?;
        Ok(known.unwrap_or_else(|| Self::Other("a question of another version".to_owned())))
    }
}

impl From<Source> for Asked {
    /// The question who is on call.
    fn from(source: Source) -> Self {
        match source {
            Source::Schedule(id) => Self::Schedule(id),
            Source::Policy(id) => Self::Policy(id),
            Source::Service(id) => Self::Service(id),
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, error, names: _ } = self;
        write!(f, "{about}: {error}")
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Policy(id) => write!(f, "escalation policy {id}"),
            Self::Service(id) => write!(f, "service {id}"),
            Self::Incident(id) => write!(f, "incident {id}"),
            Self::User(user) => write!(f, "PagerDuty user {user}"),
            Self::Account(email) => write!(f, "strongDM account of {email}"),
            Self::Resource(text) | Self::Other(text) => f.write_str(text),
            Self::Write(pair) => pair.fmt(f),
            Self::List(StrongDmList::Grants) => f.write_str("strongDM's list of grants"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(written: &Value) -> Unknown {
        serde_json::from_value(written.clone()).unwrap()
    }

    #[test]
    fn every_question_is_written_under_its_own_key_and_read_back() {
        let pair = Pair { account: "a-1".into(), resource: "rs-1".into() };
        for (about, key, text) in [
            (Asked::Schedule("P1".into()), "schedule", "P1"),
            (Asked::Policy("P2".into()), "escalation_policy", "P2"),
            (Asked::User("P3".into()), "user", "P3"),
            (Asked::Service("P4".into()), "service", "P4"),
            (Asked::Incident("Q5".into()), "incident", "Q5"),
            (Asked::Account("ana@example.com".parse().unwrap()), "account", "ana@example.com"),
            (Asked::Resource("resource \"db\"".to_owned()), "resource", "resource \"db\""),
            (Asked::Write(pair), "grant", "a-1 on rs-1"),
            (Asked::List(StrongDmList::Grants), "strongdm", "grants"),
        ] {
            let unknown = Unknown::new(about, "502");
            let written = json!({(key): text, "error": "502"});
            assert_eq!(serde_json::to_value(&unknown).unwrap(), written);
            assert_eq!(read(&written), unknown);
        }
    }

    #[test]
    fn what_mends_it_is_told_with_the_error() {
        let error = Fault { error: "refused".to_owned(), remedy: "turn the key".to_owned() };
        let unknown = Unknown::new(Asked::Schedule("P1".into()), error);
        let written = json!({"schedule": "P1", "error": "refused; turn the key"});
        assert_eq!(serde_json::to_value(&unknown).unwrap(), written);
        assert_eq!(read(&written).to_string(), unknown.to_string());
    }

    #[test]
    fn what_only_a_newer_version_asks_is_read_all_the_same() {
        let named = read(&json!({"schedule": "P1", "schedule_name": "Day", "error": "502"}));
        assert_eq!(named.about, Asked::Schedule("P1".into()));
        assert_eq!(named.names.schedule_name, Name::new("Day"));
        for written in [json!({"tenant": "Q1", "error": "502"}), json!({"strongdm": "logs", "error": "502"})]
        {
            let unknown = read(&written);
            assert!(matches!(unknown.about, Asked::Other(_)), "{unknown}");
            assert_eq!(read(&serde_json::to_value(&unknown).unwrap()), unknown);
        }
    }
}
