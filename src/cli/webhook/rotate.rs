//! `oncall-grants webhook rotate`: a new secret without a gap. PagerDuty cannot change a secret, so a second
//! subscription takes over from the first.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{
    created::{CreatedSubscription, DESCRIPTION},
    finish_rotation::{SuccessorCheck, finish_rotation, remove_replaced},
    ping::PingResult,
    secret_sink::SecretSink,
    target::{self, IfSeveral},
};
use crate::{
    cli::ExitStatus,
    config::Config,
    pagerduty::{Client, SubscriptionRequest},
};

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

pub(super) async fn rotate(config: &Config, client: &Client, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { id, secret_file, finish, force } = options;
    if let Some(old) = finish {
        let check = if force { SuccessorCheck::Skipped } else { SuccessorCheck::Required };
        return finish_rotation(config, client, &old, check).await;
    }
    let Some(old) = target::find(config, client, id.as_deref(), IfSeveral::NameOrFinishRotation).await?
    else {
        return Ok(ExitStatus::Misused);
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
    let sink = SecretSink::append_to(file.as_deref())?;
    let description = old.description.as_deref().unwrap_or(DESCRIPTION);
    let events: Vec<&str> = old.events.iter().map(String::as_str).collect();
    let request = SubscriptionRequest { url: &url, description, events: &events, filter: &filter };
    let new = CreatedSubscription::create(client, request, sink).await?;
    let place = new.sink.path().map_or("above".to_owned(), |path| format!("in {}", path.display()));
    new.sink.tell(&format!("made {} beside {}; its secret is {place}", new.id, old.id));
    new.advise(config);
    match new.ping(config, client).await? {
        PingResult::Received => {
            let place = new.sink.previous_secret().map(|place| format!(": {place}")).unwrap_or_default();
            remove_replaced(client, &old.id, &place, &|text| new.sink.tell(text)).await?;
            Ok(ExitStatus::Done)
        }
        PingResult::NotReceived | PingResult::Unknown => {
            new.sink.tell(&format!(
                "{} stays until the service has seen {}; keep both secrets until then, and finish with:\n\
                 \x20 oncall-grants webhook ping {}\n  oncall-grants webhook rotate --finish {}",
                old.id, new.id, new.id, old.id
            ));
            Ok(ExitStatus::Incomplete)
        }
    }
}
