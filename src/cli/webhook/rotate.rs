//! `oncall-grants webhook rotate`: a new secret without a gap. PagerDuty cannot change a secret, so a second
//! subscription takes over from the first.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{
    create::{Arrival, DESCRIPTION, make},
    finish::{finish_rotation, remove},
    meant_or,
    secret::Sink,
};
use crate::{cli::Ending, config::Config, pagerduty::Client};

/// What else may be meant where two deliver to one place.
const OR_FINISH: &str = "; if they are what an interrupted rotation left, oncall-grants webhook rotate --finish ID ends it \
                         by removing the one named";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The subscription to replace [default: the one that delivers to `server.public_url`]
    id: Option<String>,
    /// The file (one secret a line) to which the new secret is added [default: `webhook_secrets_file`, else printed]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Only removes this replaced subscription, if another one delivers in its place: the service has received a signed
    /// event of that one
    #[arg(long, value_name = "OLD_ID", conflicts_with_all = ["id", "secret_file"])]
    finish: Option<String>,
    /// Removes it also if the other one is switched off, or not known to work
    #[arg(long, requires = "finish")]
    force: bool,
}

pub(super) async fn rotate(config: &Config, client: &Client, options: Options) -> anyhow::Result<Ending> {
    let Options { id, secret_file, finish, force } = options;
    if let Some(old) = finish {
        return finish_rotation(config, client, &old, force).await;
    }
    let Some(old) = meant_or(config, client, id.as_deref(), OR_FINISH).await? else {
        return Ok(Ending::Misused);
    };
    if old.has_hidden_settings {
        bail!(
            "{} has a password, custom headers or an OAuth client, which PagerDuty does not show; make its successor in \
             PagerDuty, and then: oncall-grants webhook rotate --finish {}",
            old.id,
            old.id
        );
    }
    let url = old.url.clone().with_context(|| format!("{} has no readable URL", old.id))?;
    let filter = old.filter.clone().with_context(|| format!("{} has a filter of an unknown kind", old.id))?;
    let file = secret_file.or_else(|| config.pagerduty.webhook_secrets_file.clone());
    let sink = Sink::adding(file.as_deref())?;
    let description = old.description.as_deref().unwrap_or(DESCRIPTION);
    let events: Vec<&str> = old.events.iter().map(String::as_str).collect();
    let made = make(client, sink, &url, description, &events, &filter).await?;
    let place = made.sink.path().map_or("above".to_owned(), |path| format!("in {}", path.display()));
    made.sink.say(&format!("made {} beside {}; its secret is {place}", made.id, old.id));
    made.advise(config);
    if made.ping(config, client).await? == Arrival::Seen {
        let place = made.sink.place_before().map(|place| format!(": {place}")).unwrap_or_default();
        remove(client, &old.id, &place, &|text| made.sink.say(text)).await?;
        return Ok(Ending::Done);
    }
    made.sink.say(&format!(
        "{} stays until the service has seen {}; keep both secrets until then, and finish with:\n\
         \x20 oncall-grants webhook ping {}\n  oncall-grants webhook rotate --finish {}",
        old.id, made.id, made.id, old.id
    ));
    Ok(Ending::Incomplete)
}
