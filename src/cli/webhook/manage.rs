//! `oncall-grants webhook list`, `ping`, `enable` and `delete`.

use clap::Args;
use serde_json::json;

use super::{
    Which, complain,
    create::{self, Arrival},
    meant, told,
};
use crate::{
    cli::{Ending, Format, print},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{READ_RIGHT, State, WRITE_RIGHT, our_url},
};

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// How the list is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn list(config: &Config, client: &Client, options: ListOptions) -> anyhow::Result<Ending> {
    let listed = told("list subscriptions", READ_RIGHT, client.subscriptions()).await?;
    let ours = our_url(config);
    let is_ours = |one: &Subscription| ours.is_some() && one.url == ours;
    match options.format {
        Format::Json => {
            let listed = listed.iter().map(|one| as_json(one, is_ours(one)));
            print(&serde_json::to_string_pretty(&listed.collect::<Vec<_>>())?);
        }
        Format::Text if listed.is_empty() => print("there is no webhook subscription"),
        Format::Text => {
            let row = |one: &Subscription| {
                let Subscription { id, url, events, filter, .. } = one;
                let mark = if is_ours(one) { "*" } else { " " };
                let filter = filter.as_ref().map_or("unknown".to_owned(), ToString::to_string);
                let url = url.as_ref().map_or("unreadable", |url| url.as_str());
                [
                    format!("{mark} {id}"),
                    State::of(one).as_str().to_owned(),
                    filter,
                    events.len().to_string(),
                    url.into(),
                ]
            };
            let head = ["  ID", "STATE", "FILTER", "EVENTS", "URL"].map(str::to_owned);
            print(&table(std::iter::once(head).chain(listed.iter().map(row)).collect()));
        }
    }
    Ok(Ending::Done)
}

fn as_json(subscription: &Subscription, ours: bool) -> serde_json::Value {
    let Subscription { id, url, description, events, filter, .. } = subscription;
    json!({
        "id": id,
        "state": State::of(subscription).as_str(),
        "ours": ours,
        "filter": filter.as_ref().map(ToString::to_string),
        "url": url,
        "description": description,
        "events": events,
    })
}

fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: [String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) async fn ping(config: &Config, client: &Client, which: Which) -> anyhow::Result<Ending> {
    let Some(one) = meant(config, client, which.id.as_deref()).await? else { return Ok(Ending::Misused) };
    // Nothing would be delivered.
    if let Some(off) = switched_off(&one) {
        print(&off);
        return Ok(Ending::Incomplete);
    }
    let arrival = create::ping(config, client, &one.id, &print).await?;
    Ok(if arrival == Arrival::Seen { Ending::Done } else { Ending::Incomplete })
}

/// That it is off, and what mends it; none if it is on.
pub(super) fn switched_off(one: &Subscription) -> Option<String> {
    let id = &one.id;
    match State::of(one) {
        State::TemporarilyDisabled => Some(format!(
            "{id} is switched off: PagerDuty did that for up to a day, because deliveries were refused; see that its secret \
             is configured, then: oncall-grants webhook enable {id}"
        )),
        State::Inactive => Some(format!(
            "{id} is switched off by its owner; switch it on in PagerDuty (Integrations, Generic Webhooks)"
        )),
        State::Active | State::Missing | State::Forbidden | State::Unknown => None,
    }
}

pub(super) async fn enable(config: &Config, client: &Client, which: Which) -> anyhow::Result<Ending> {
    let Some(one) = meant(config, client, which.id.as_deref()).await? else { return Ok(Ending::Misused) };
    let id = &one.id;
    match State::of(&one) {
        State::TemporarilyDisabled => {}
        State::Active => {
            print(&format!("{id} is on, and was not off"));
            return Ok(Ending::Done);
        }
        // To enable undoes what PagerDuty did, and nothing that people did.
        State::Inactive | State::Missing | State::Forbidden | State::Unknown => {
            print(&switched_off(&one).unwrap_or_default());
            return Ok(Ending::Incomplete);
        }
    }
    told("switch it on", WRITE_RIGHT, client.enable_subscription(id)).await?;
    print(&format!(
        "{id} is on; what happened while it was off was not delivered: POST /sync looks at everything now, the timer soon"
    ));
    Ok(Ending::Done)
}

#[derive(Debug, Args)]
pub(super) struct DeleteOptions {
    #[command(flatten)]
    which: Which,
    /// Also one that does not deliver to `server.public_url`, and so may be somebody else's
    #[arg(long, requires = "id")]
    force: bool,
}

pub(super) async fn delete(
    config: &Config,
    client: &Client,
    options: DeleteOptions,
) -> anyhow::Result<Ending> {
    let DeleteOptions { which, force } = options;
    let Some(one) = meant(config, client, which.id.as_deref()).await? else { return Ok(Ending::Misused) };
    let (id, ours) = (&one.id, our_url(config));
    if !force && (ours.is_none() || one.url != ours) {
        let url = one.url.as_ref().map_or("an unreadable URL", |url| url.as_str());
        let ours = ours.map_or("server.public_url is not set".to_owned(), |ours| format!("ours is {ours}"));
        complain(&format!(
            "{id} delivers to {url}, and {ours}: it may be somebody else's; to delete it nevertheless, add --force"
        ));
        return Ok(Ending::Misused);
    }
    told("delete it", WRITE_RIGHT, client.delete_subscription(id)).await?;
    print(&format!("deleted {id}"));
    Ok(Ending::Done)
}
