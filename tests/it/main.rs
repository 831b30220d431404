//! The real binary between a stand-in PagerDuty and a stand-in strongDM, on the real wire formats.
//!
//! A test gives [`support::Scene`] a configuration, changes the world on either side, and looks at what became of it:
//! the grants in strongDM, the answers of the HTTP API, the exit code.

mod support;

mod admin;
mod altered;
mod architecture;
mod budget;
mod check;
mod comparison;
mod crash;
mod database;
mod deliveries;
mod deployment;
mod documents;
mod endpoints;
mod evidence;
mod explain;
mod first_day;
mod full_disk;
mod generated;
mod grants;
mod guard;
mod hostile;
mod housekeeping;
mod import;
mod incident_views;
mod incidents;
mod intake;
mod kubernetes_groups;
mod listings;
mod metrics;
mod names;
mod network;
mod notices;
mod oauth;
mod official_clients;
mod page;
mod people;
mod probe;
mod process;
mod replicas;
mod report;
mod schemathesis;
mod second_grant;
mod simulate;
mod slow_parts;
mod sources;
mod standby;
mod subscription_watch;
mod tls;
mod trigger;
mod turns;
mod two_looks;
mod unknown;
mod unreadable;
mod upgrade;
mod upstream_proxy;
mod urgency;
mod webhook_command;
mod writes;
