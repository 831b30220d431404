//! Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.

pub mod config;
pub mod model;
pub mod reconcile;
pub mod store;
