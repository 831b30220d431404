//! `oncall-grants webhook list`, `ping`, `enable` and `delete`.

use clap::Args;
use serde_json::json;

use super::{
    super::{Ending, Format, print},
    Which, create, meant, told,
};
use crate::{
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{our_url, state},
};

#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// How the list is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn list(config: &Config, client: &Client, options: ListOptions) -> anyhow::Result<Ending> {
    let listed = client.subscriptions().await.map_err(|error| told("list subscriptions", &error))?;
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
                    state(one).as_str().to_owned(),
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
        "state": state(subscription).as_str(),
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
    let seen = create::ping(config, client, &one.id, &print).await?;
    Ok(if seen == Some(false) { Ending::Incomplete } else { Ending::Done })
}

pub(super) async fn enable(config: &Config, client: &Client, which: Which) -> anyhow::Result<Ending> {
    let Some(one) = meant(config, client, which.id.as_deref()).await? else { return Ok(Ending::Misused) };
    client.enable_subscription(&one.id).await.map_err(|error| told("switch it on", &error))?;
    print(&format!(
        "{} is on; what happened while it was off was not delivered: POST /sync looks at everything now, the timer soon",
        one.id
    ));
    Ok(Ending::Done)
}

pub(super) async fn delete(config: &Config, client: &Client, which: Which) -> anyhow::Result<Ending> {
    let Some(one) = meant(config, client, which.id.as_deref()).await? else { return Ok(Ending::Misused) };
    client.delete_subscription(&one.id).await.map_err(|error| told("delete it", &error))?;
    print(&format!("deleted {}", one.id));
    Ok(Ending::Done)
}
