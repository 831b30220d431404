//! `oncall-grants webhook list`.

use clap::Args;
use serde_json::json;
use url::Url;

use super::call::{Request, call};
use crate::{
    cli::{ExitStatus, Format, print},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{State, our_url},
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How the list is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn list(config: &Config, client: &Client, options: Options) -> anyhow::Result<ExitStatus> {
    let listed = call(Request::List, client.subscriptions()).await?;
    let our_url = our_url(config);
    let our_url = our_url.as_ref();
    match options.format {
        Format::Json => {
            let listed: Vec<_> = listed.iter().map(|subscription| as_json(subscription, our_url)).collect();
            print(&serde_json::to_string_pretty(&listed)?);
        }
        Format::Text if listed.is_empty() => print("there is no webhook subscription"),
        Format::Text => {
            let head = ["  ID", "STATE", "FILTER", "EVENTS", "URL"].map(str::to_owned);
            let rows = listed.iter().map(|subscription| as_row(subscription, our_url));
            print(&table(std::iter::once(head).chain(rows).collect()));
        }
    }
    Ok(ExitStatus::Done)
}

fn is_ours(subscription: &Subscription, our_url: Option<&Url>) -> bool {
    our_url.is_some() && subscription.url.as_ref() == our_url
}

fn as_json(subscription: &Subscription, our_url: Option<&Url>) -> serde_json::Value {
    let Subscription { id, url, description, events, filter, .. } = subscription;
    json!({
        "id": id,
        "state": State::of(subscription).as_str(),
        "ours": is_ours(subscription, our_url),
        "filter": filter.as_ref().map(ToString::to_string),
        "url": url,
        "description": description,
        "events": events,
    })
}

fn as_row(subscription: &Subscription, our_url: Option<&Url>) -> [String; 5] {
    let Subscription { id, url, events, filter, .. } = subscription;
    let mark = if is_ours(subscription, our_url) { "*" } else { " " };
    [
        format!("{mark} {id}"),
        State::of(subscription).as_str().to_owned(),
        filter.as_ref().map_or("unknown".to_owned(), ToString::to_string),
        events.len().to_string(),
        url.as_ref().map_or("unreadable", |url| url.as_str()).to_owned(),
    ]
}

/// The cells in columns, each as wide as its widest cell.
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
