//! The access rule of a grant: JSON text of one rule, as strict as the official clients read it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which resources a rule means, and what people may do there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AccessRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Vec<String>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    privileges: Option<Privileges>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Privileges {
    #[serde(skip_serializing_if = "Option::is_none")]
    k8s: Option<Groups>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entra_groups: Option<Groups>,
    #[serde(skip_serializing_if = "Option::is_none")]
    okta_groups: Option<Groups>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Groups {
    groups: Option<Vec<String>>,
}

/// What becomes of the Kubernetes groups that a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredGroups {
    /// Stores them.
    #[default]
    AsAsked,
    /// Forgets them.
    Dropped,
    /// Stores this one as well, or alone.
    With(String),
}

/// Whether privileges are taken only with the resource's ID in the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivilegesNeed {
    /// They are taken as they are.
    #[default]
    Nothing,
    /// They are refused without it.
    Ids,
}

/// The text that is stored for what a request has. Fails with what is wrong with it.
pub(super) fn stored(
    asked: &str,
    groups: &StoredGroups,
    need: PrivilegesNeed,
) -> Result<String, &'static str> {
    if asked.is_empty() {
        return Ok("{}".into());
    }
    let object: Result<Map<String, Value>, _> = serde_json::from_str(asked);
    let rule = object.and_then(|object| serde_json::from_value(Value::Object(object)));
    let mut rule: AccessRule = rule.map_err(|_| "access_rule is not valid")?;
    if rule.query.is_some() && (rule.ids.is_some() || rule.kind.is_some() || rule.tags.is_some()) {
        return Err("access_rule has a query beside something else");
    }
    if rule.privileges.is_some() && rule.ids.is_none() && need == PrivilegesNeed::Ids {
        return Err("access_rule has privileges for no resource");
    }
    match groups {
        StoredGroups::AsAsked => return Ok(asked.into()),
        StoredGroups::Dropped => rule.privileges = None,
        StoredGroups::With(group) => {
            let k8s = rule.privileges.get_or_insert_default().k8s.get_or_insert_default();
            k8s.groups.get_or_insert_default().push(group.clone());
        }
    }
    Ok(serde_json::to_string(&rule).expect("plain data always serialises"))
}

/// The Kubernetes groups of a stored rule.
pub(super) fn groups(rule: &str) -> BTreeSet<String> {
    let rule: AccessRule = serde_json::from_str(rule).unwrap_or_default();
    let k8s = rule.privileges.and_then(|privileges| privileges.k8s);
    k8s.and_then(|k8s| k8s.groups).unwrap_or_default().into_iter().collect()
}
