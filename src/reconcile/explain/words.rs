//! The answer for people.

use std::fmt;

use super::{
    answer::{Answer, Explanation},
    chain::Chain,
    link::{LinkState, stretch},
    question::Past,
    verdict::Access,
};
use crate::model::{Grant, instant::to_second, name_and_id};

impl Access {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Expected => "not yet",
            Self::Unknown => "unknown",
            Self::No => "no",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { email, name, account_email, at, checked_at: _, account, access: _, resources, history } =
            self;
        write!(f, "{} at {}", name_and_id(name.as_ref(), email.as_str()), to_second(*at))?;
        if email != account_email {
            write!(f, " (in strongDM: {account_email})")?;
        }
        let id = account.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        writeln!(f, "; strongDM account: {}{id}", account.status)?;
        // Resources with the same story are told of together.
        let mut told: Vec<&Answer> = Vec::new();
        for answer in resources {
            if told.iter().any(|other| other.tells_the_same(answer)) {
                continue;
            }
            told.push(answer);
            let alike = resources.iter().filter(|other| other.tells_the_same(answer));
            let names: Vec<&str> = alike.map(|other| other.resource.as_str()).collect();
            write!(f, "\n{}: {} - ", names.join(", "), answer.access.as_str())?;
            answer.fmt(f)?;
        }
        if !history.is_empty() {
            writeln!(f, "\nWhat was done lately:")?;
        }
        for Past { at, action, outcome, reason, resource, resource_id: _, grant_id, window } in
            history.iter().take(5)
        {
            let grant = grant_id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
            let when = window.map(|window| format!(" {}", stretch(Some(window)))).unwrap_or_default();
            writeln!(f, "  {}  {action} {resource}{grant}{when} {outcome}: {reason}", to_second(*at))?;
        }
        Ok(())
    }
}

impl Answer {
    /// Whether two answers differ in the resource alone.
    fn tells_the_same(&self, other: &Self) -> bool {
        let story = |answer: &Self| {
            answer.message.replace(&answer.resource, "")
                + answer.chains.first().map_or("", |chain| &chain.rule)
        };
        let grant = |answer: &Self| answer.grant.as_ref().map(Grant::terms);
        self.access == other.access
            && self.remedy == other.remedy
            && grant(self) == grant(other)
            && story(self) == story(other)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        if !self.remedy.is_empty() {
            writeln!(f, "  -> {}", self.remedy)?;
        }
        for chain in &self.chains {
            chain.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = name_and_id(self.names.of(&self.source), self.source.id());
        writeln!(f, "  by rule {:?} and {} {source}:", self.rule, self.source.kind())?;
        for link in &self.links {
            let mark = match link.state {
                LinkState::Ok => "ok",
                LinkState::Pending => "wait",
                LinkState::Unknown => "?",
                LinkState::Missing => "no",
            };
            writeln!(f, "    {mark:<4}  {:<8}  {}", link.kind.as_str(), link.message)?;
        }
        Ok(())
    }
}
