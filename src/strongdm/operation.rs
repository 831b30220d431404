//! The methods of strongDM's API that this program calls.

use std::fmt;

use http::uri::PathAndQuery;

/// One method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    ListAccounts,
    ListResources,
    CreateGrant,
    GetGrant,
    ListGrants,
    DeleteGrant,
}

/// What a method does to strongDM, which decides when it may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Changes nothing.
    Read,
    /// Twice is not the same as once.
    Create,
    /// Twice is the same as once.
    Delete,
}

impl Operation {
    /// The name as it is signed, logged and counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ListAccounts => "Accounts.List",
            Self::ListResources => "Resources.List",
            Self::CreateGrant => "AccountGrants.Create",
            Self::GetGrant => "AccountGrants.Get",
            Self::ListGrants => "AccountGrants.List",
            Self::DeleteGrant => "AccountGrants.Delete",
        }
    }

    /// The path as it is sent.
    pub(super) fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::ListAccounts => "/v1.Accounts/List",
            Self::ListResources => "/v1.Resources/List",
            Self::CreateGrant => "/v1.AccountGrants/Create",
            Self::GetGrant => "/v1.AccountGrants/Get",
            Self::ListGrants => "/v1.AccountGrants/List",
            Self::DeleteGrant => "/v1.AccountGrants/Delete",
        })
    }

    /// What the method does to strongDM.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::ListAccounts | Self::ListResources | Self::GetGrant | Self::ListGrants => Kind::Read,
            Self::CreateGrant => Kind::Create,
            Self::DeleteGrant => Kind::Delete,
        }
    }

    /// Whether it draws on the budget for writes.
    pub(crate) fn is_write(self) -> bool {
        self.kind() != Kind::Read
    }

    /// The right that the API key needs for it, as strongDM's Admin UI calls it.
    pub(super) fn right(self) -> &'static str {
        match self {
            Self::ListAccounts => "user:list",
            Self::ListResources => "datasource:list",
            Self::CreateGrant | Self::DeleteGrant => "grant:write",
            Self::GetGrant | Self::ListGrants => "grant:read",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_what_is_called() {
        use Operation::{CreateGrant, DeleteGrant, GetGrant, ListAccounts, ListGrants, ListResources};
        for operation in [ListAccounts, ListResources, CreateGrant, GetGrant, ListGrants, DeleteGrant] {
            let path = format!("/v1.{}", operation.name().replace('.', "/"));
            assert_eq!(operation.path().as_str(), path);
        }
    }
}
