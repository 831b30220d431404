//! Whether the OAuth app may do what a command takes, before anything is done.

use anyhow::ensure;

use super::{
    Command,
    call::{Request, call},
};
use crate::{
    cli::print_to_stderr,
    config::{Config, Credentials},
    pagerduty::{Client, Scope},
};

/// Fails if the app lacks a scope that the command needs. An API key is tried.
pub(super) async fn require(config: &Config, client: &Client, command: &Command) -> anyhow::Result<()> {
    let Credentials::App(_) = &config.pagerduty.credentials else { return Ok(()) };
    let Some(granted) = call(Request::List, client.granted_scopes()).await? else { return Ok(()) };
    let lacks = |scope: &Scope| !granted.contains(scope.name());
    let needed: &[Scope] = match command {
        Command::List(_) => &[Scope::ReadSubscriptions],
        Command::Create(_)
        | Command::Rotate(_)
        | Command::Ping(_)
        | Command::Enable(_)
        | Command::Delete(_) => &[Scope::ReadSubscriptions, Scope::WriteSubscriptions],
    };
    let missing: Vec<&str> = needed.iter().filter(|scope| lacks(scope)).map(|scope| scope.name()).collect();
    ensure!(
        missing.is_empty(),
        "the OAuth app is not granted {}, which this command needs; grant it in PagerDuty (Integrations, App Registration)",
        missing.join(" and ")
    );
    if matches!(command, Command::Create(_) | Command::Rotate(_)) {
        for scope in [Scope::ReadIncidents, Scope::ReadServices].iter().filter(|scope| lacks(scope)) {
            print_to_stderr(&format!(
                "warning: the OAuth app is not granted {scope}: PagerDuty may refuse to deliver such events"
            ));
        }
    }
    Ok(())
}
