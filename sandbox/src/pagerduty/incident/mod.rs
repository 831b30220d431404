//! Incidents: what is known of one, how one is opened, and what can happen to it.

pub(crate) mod change;
mod handle;
pub(crate) mod model;
pub(crate) mod opening;

pub use change::Change;
pub use handle::IncidentHandle;
pub use model::{Acknowledgement, Acknowledger, Assignment, Incident, Responder, Visibility};
pub use opening::NewIncident;
