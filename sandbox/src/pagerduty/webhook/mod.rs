//! v3 webhooks: events, signatures, receivers, and the subscriptions that ask for events.

pub(crate) mod endpoint;
pub(crate) mod event;
mod signature;
pub(crate) mod subscription;

pub use endpoint::{Answer, Endpoint};
pub use event::Event;
pub use signature::sign;
pub use subscription::{Delivery, Outcome, Scope, Subscription};
