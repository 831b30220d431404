//! Resources: several types with fields of their own, and the fields that they share.

use serde::{Deserialize, Serialize};

use super::v1;
use v1::resource::Resource as Typed;

/// The type of a resource; each has its own number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A Kubernetes cluster.
    Kubernetes,
    /// A `MySQL` database.
    Mysql,
    /// A PostgreSQL database.
    Postgres,
    /// A Redis database.
    Redis,
    /// A server reached by SSH.
    Ssh,
    /// A type that no published client knows.
    Novel,
}

/// A resource as it travels.
#[derive(Clone, Debug)]
pub(crate) struct Resource(Typed);

/// Does the same with the message of any type.
macro_rules! each {
    ($resource:expr, $message:ident => $body:expr) => {
        match $resource {
            Typed::Kubernetes($message) => $body,
            Typed::Mysql($message) => $body,
            Typed::Postgres($message) => $body,
            Typed::Redis($message) => $body,
            Typed::Ssh($message) => $body,
            Typed::Novel($message) => $body,
        }
    };
}

impl Resource {
    /// A resource with private fields that clients have no use for.
    pub(crate) fn new(kind: ResourceKind, id: String, name: &str, tags: &[(&str, &str)]) -> Self {
        let (hostname, username) = (format!("{name}.internal.example"), "access".to_owned());
        let password = "never-to-be-shown".to_owned();
        let mut typed = match kind {
            ResourceKind::Kubernetes => {
                Typed::Kubernetes(v1::Kubernetes { hostname, port: 443, ..Default::default() })
            }
            ResourceKind::Mysql => {
                Typed::Mysql(v1::Mysql { hostname, username, password, port: 3306, ..Default::default() })
            }
            ResourceKind::Postgres => Typed::Postgres(v1::Postgres {
                hostname,
                username,
                password,
                database: "main".into(),
                port: 5432,
                override_database: true,
                ..Default::default()
            }),
            ResourceKind::Redis => {
                Typed::Redis(v1::Redis { hostname, username, password, port: 6379, ..Default::default() })
            }
            ResourceKind::Ssh => Typed::Ssh(v1::Ssh { hostname, username, port: 22, ..Default::default() }),
            ResourceKind::Novel => Typed::Novel(v1::Novel {
                endpoint: hostname,
                blob: vec![0, 255, 10],
                shard: -1,
                ..Default::default()
            }),
        };
        each!(&mut typed, message => {
            message.id = id;
            message.name = name.into();
            message.healthy = true;
            message.tags = Some(message_tags(tags));
        });
        Self(typed)
    }

    pub(crate) fn id(&self) -> &str {
        each!(&self.0, message => &message.id)
    }

    pub(crate) fn name(&self) -> &str {
        each!(&self.0, message => &message.name)
    }

    pub(crate) fn set_id(&mut self, id: String) {
        each!(&mut self.0, message => message.id = id);
    }

    pub(crate) fn set_tags(&mut self, tags: &[(&str, &str)]) {
        each!(&mut self.0, message => message.tags = Some(message_tags(tags)));
    }

    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        each!(&self.0, message => pairs(message.tags.as_ref()))
    }

    pub(crate) fn message(&self) -> v1::Resource {
        v1::Resource { resource: Some(self.0.clone()) }
    }

    /// The values of a filter field.
    pub(crate) fn values(&self, field: &str) -> Vec<String> {
        let (kind, hostname, port, username) = match &self.0 {
            Typed::Kubernetes(r) => ("kubernetes", &r.hostname, r.port, None),
            Typed::Mysql(r) => ("mysql", &r.hostname, r.port, Some(&r.username)),
            Typed::Postgres(r) => ("postgres", &r.hostname, r.port, Some(&r.username)),
            Typed::Redis(r) => ("redis", &r.hostname, r.port, Some(&r.username)),
            Typed::Ssh(r) => ("ssh", &r.hostname, r.port, Some(&r.username)),
            Typed::Novel(r) => ("novel", &r.endpoint, r.shard, None),
        };
        match field {
            "type" => vec![kind.into()],
            "id" => vec![self.id().into()],
            "name" => vec![self.name().into()],
            "hostname" => vec![hostname.clone()],
            "port" => vec![port.to_string()],
            "username" => username.cloned().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

/// The fields that a list of resources can be filtered by.
pub(crate) const FIELDS: [&str; 7] = ["type", "id", "name", "hostname", "port", "username", "tags"];

pub(crate) fn message_tags(tags: &[(&str, &str)]) -> v1::Tags {
    let pair = |(name, value): &(&str, &str)| v1::tags::Pair { name: (*name).into(), value: (*value).into() };
    v1::Tags { pairs: tags.iter().map(pair).collect() }
}

pub(crate) fn pairs(tags: Option<&v1::Tags>) -> Vec<(String, String)> {
    let pairs = tags.iter().flat_map(|tags| &tags.pairs);
    pairs.map(|pair| (pair.name.clone(), pair.value.clone())).collect()
}
