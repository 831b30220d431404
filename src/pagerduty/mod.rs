//! What this program uses of PagerDuty: signed v3 webhooks as hints, and the REST API as the truth about on-calls.
//!
//! Nothing that a webhook says decides about access; it only says where to look. Every answer of the API is read
//! strictly: what is missing, cut off or contradicts itself is an [`Error`], never an empty list.
//!
//! See <https://developer.pagerduty.com/docs/webhooks-overview> and <https://developer.pagerduty.com/api-reference>.

pub mod event;
pub mod signature;

pub use self::{
    client::{
        Call, Client, Observer,
        directory::{PolicyInfo, User},
        http_client,
        subscriptions::{EVENTS, Filter, NewSubscription, Subscription},
    },
    error::Error,
    event::{Event, Hint},
};

mod client;
mod error;
mod wire;
