//! Teams and priorities.

use serde::{Deserialize, Serialize};

/// A team and its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Such as `PT3AMPY`.
    pub id: String,
    /// The name.
    pub name: String,
    /// Who belongs to it, on call or not.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// A user's place in a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The ID of the user.
    pub user: String,
    /// Such as `manager`, `responder` or `observer`.
    pub role: String,
}

/// A priority; the account lists them with the most severe first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priority {
    /// Such as `PPRIO01`.
    pub id: String,
    /// Such as `P1`.
    pub name: String,
}

impl Team {
    /// A team of these users, all of them responders.
    pub fn new(id: &str, name: &str, members: &[&str]) -> Self {
        let member = |user: &&str| Member { user: (*user).into(), role: "responder".into() };
        Self { id: id.into(), name: name.into(), members: members.iter().map(member).collect() }
    }

    /// Whether the user belongs to it.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.members.iter().any(|member| member.user == user)
    }
}

impl Priority {
    /// A priority.
    pub fn new(id: &str, name: &str) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}
