//! `oncall-grants webhook delete`.

use clap::Args;

use super::{
    call::{Request, call},
    target::Target,
};
use crate::{
    cli::{ExitStatus, print, print_to_stderr},
    config::Config,
    pagerduty::Client,
    subscription::our_url,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    target: Target,
    /// Also one that does not deliver to `server.public_url`, and so may be somebody else's
    #[arg(long, requires = "id")]
    force: bool,
}

pub(super) async fn delete(config: &Config, client: &Client, options: Options) -> anyhow::Result<ExitStatus> {
    let Options { target, force } = options;
    let Some(subscription) = target.find(config, client).await? else { return Ok(ExitStatus::Misused) };
    let (id, ours) = (&subscription.id, our_url(config));
    if !force && (ours.is_none() || subscription.url != ours) {
        let url = subscription.url.as_ref().map_or("an unreadable URL", |url| url.as_str());
        let ours = ours.map_or("server.public_url is not set".to_owned(), |ours| format!("ours is {ours}"));
        print_to_stderr(&format!(
            "{id} delivers to {url}, and {ours}: it may be somebody else's; to delete it nevertheless, add --force"
        ));
        return Ok(ExitStatus::Misused);
    }
    call(Request::Delete, client.delete_subscription(id)).await?;
    print(&format!("deleted {id}"));
    Ok(ExitStatus::Done)
}
