//! What all tests share: a scene with both stand-ins and the service, and patience with a bound.

mod command;
mod config;
mod http;
mod postgres;
mod proxy;
pub(crate) mod python;
mod replicas;
mod scene;
mod service;
mod subscription;

use std::time::{Duration, Instant};

pub(crate) use self::{
    command::{code, command, err, out, output},
    config::{ADMIN_TOKEN, Config, rule},
    http::{Answer, PLAIN},
    postgres::{Database, free_port},
    proxy::Proxy,
    replicas::{Replica, Replicas, TAKE_OVER, send},
    scene::{ANA, BO, CEM, DENIZ, Person, Scene},
};

/// Longer than anything that is waited for without a bound of its own takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a state is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `look` finds something, and answers how long that took.
///
/// # Panics
/// If it takes too long; `what` says what was waited for.
pub(crate) async fn wait_until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    wait_for(PATIENCE, what, look).await
}

/// The same with a bound of its own.
pub(crate) async fn wait_for<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> (T, Duration) {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < patience, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
