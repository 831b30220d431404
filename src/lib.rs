//! Gives whoever is on call in PagerDuty the strongDM access they need, exactly while they need it.

pub mod model;
pub mod strongdm;
pub mod tls;
