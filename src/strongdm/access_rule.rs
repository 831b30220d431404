//! A grant's access rule, which is JSON text within the message: we know the Kubernetes groups of it. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::KubernetesGroups;

/// What we send, and what we read of an answer: others may give resources, tags and groups of other kinds as well.
#[derive(Debug, Default, Serialize, Deserialize)]
struct AccessRule {
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    privileges: Option<Privileges>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Privileges {
    #[serde(default)]
    k8s: Option<Kubernetes>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kubernetes {
    #[serde(default)]
    groups: Option<KubernetesGroups>,
}

/// The access rule of a grant with these groups, as the official clients write it: `{}` without any. `ids` are the resources
/// that it names, if it does.
pub(super) fn write(groups: &KubernetesGroups, ids: Option<Vec<String>>) -> String {
    let k8s = || Kubernetes { groups: Some(groups.clone()) };
    let privileges = (!groups.is_empty()).then(|| Privileges { k8s: Some(k8s()) });
    serde_json::to_string(&AccessRule { ids, privileges }).expect("plain data always serialises")
}

/// The groups of an access rule; none if it is no such JSON. An empty text is what old grants have.
pub(super) fn read(rule: &str) -> Option<KubernetesGroups> {
    if rule.trim().is_empty() {
        return Some(KubernetesGroups::default());
    }
    let object: Map<String, Value> = serde_json::from_str(rule).ok()?;
    let AccessRule { privileges, .. } = serde_json::from_value(Value::Object(object)).ok()?;
    let kubernetes = privileges.and_then(|privileges| privileges.k8s);
    Some(kubernetes.and_then(|kubernetes| kubernetes.groups).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_written_as_the_official_clients_do() {
        assert_eq!(write(&KubernetesGroups::default(), None), "{}");
        let groups = ["viewer", "admin \"x\""].into_iter().collect();
        assert_eq!(write(&groups, None), r#"{"privileges":{"k8s":{"groups":["admin \"x\"","viewer"]}}}"#);
        let naming = write(&groups, Some(vec!["rs-1".to_owned()]));
        assert_eq!(naming, r#"{"ids":["rs-1"],"privileges":{"k8s":{"groups":["admin \"x\"","viewer"]}}}"#);
        assert_eq!(read(&naming), Some(groups));
    }

    #[test]
    fn what_others_wrote_is_read_as_well() {
        let one = Some(["a"].into_iter().collect());
        for rule in [
            r#"{"ids":["rs-1"],"privileges":{"k8s":{"groups":["a","a"]},"oktaGroups":{"groups":["b"]}}}"#,
            r#"{"privileges":{"entraGroups":null,"k8s":{"groups":["a"]}},"type":"cluster"}"#,
        ] {
            assert_eq!(read(rule), one, "{rule}");
        }
        for rule in ["", " ", "{}", r#"{"privileges":{}}"#, r#"{"privileges":{"k8s":{"groups":null}}}"#] {
            assert_eq!(read(rule), Some(KubernetesGroups::default()), "{rule}");
        }
        for rule in ["no JSON", "[]", "[1]", r#"{"privileges":{"k8s":{"groups":"a"}}}"#] {
            assert_eq!(read(rule), None, "{rule}");
        }
    }
}
