//! The JSON of references and resources, in the answers of the REST API and in webhooks.

pub(crate) mod incident;
pub(crate) mod incident_data;
pub(crate) mod policy;
pub(crate) mod reference;
pub(crate) mod schedule;
pub(crate) mod subscription;
pub(crate) mod team;
pub(crate) mod user;
pub(crate) mod view;
