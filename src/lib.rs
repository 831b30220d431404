//! Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.

pub mod clock;
pub mod config;
pub mod metrics;
pub mod model;
pub mod pagerduty;
pub mod reconcile;
pub mod store;
pub mod strongdm;
pub mod tls;
