//! The client against a small server on the loopback interface that answers as each test says.

mod directory;
mod hostile;
mod oauth;
mod on_calls;
mod requests;
mod schedules;
mod server;
mod subscriptions;

use crate::model::Window;

fn sample(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pagerduty/rest");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn week() -> Window {
    Window::new("2026-11-01T00:00:00Z".parse().unwrap(), "2026-11-08T00:00:00Z".parse().unwrap()).unwrap()
}
