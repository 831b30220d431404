//! Stand-ins for PagerDuty and strongDM.
