//! Which subscription a command is about.

use anyhow::bail;
use clap::Args;

use super::call::{Request, call};
use crate::{
    cli::print_to_stderr,
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{delivering_to, our_url},
};

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The subscription [default: the one that delivers to `server.public_url`]
    id: Option<String>,
}

impl Target {
    /// The subscription of this ID, or the only one that delivers to us; none, and the user is told why, if it takes an ID
    /// to tell which.
    pub(super) async fn find(
        &self,
        config: &Config,
        client: &Client,
    ) -> anyhow::Result<Option<Subscription>> {
        find(config, client, self.id.as_deref(), IfSeveral::Name).await
    }
}

/// What to do where several subscriptions deliver to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfSeveral {
    /// Name the one that is meant.
    Name,
    /// Name it, or finish a rotation.
    NameOrFinishRotation,
}

/// The same for an ID that was given in another way.
pub(super) async fn find(
    config: &Config,
    client: &Client,
    id: Option<&str>,
    if_several: IfSeveral,
) -> anyhow::Result<Option<Subscription>> {
    if let Some(id) = id {
        return call(Request::Show, client.subscription(id)).await.map(Some);
    }
    let Some(url) = our_url(config) else {
        print_to_stderr(
            "which subscription? name its ID (see: oncall-grants webhook list), or set server.public_url",
        );
        return Ok(None);
    };
    let listed = call(Request::List, client.subscriptions()).await?;
    match delivering_to(&listed, &url).as_slice() {
        [] => bail!("no subscription delivers to {url}; make one with oncall-grants webhook create"),
        [one] => Ok(Some((*one).clone())),
        several => {
            let ids: Vec<&str> = several.iter().map(|one| one.id.as_str()).collect();
            let ids = ids.join(", ");
            let otherwise = match if_several {
                IfSeveral::Name => "",
                IfSeveral::NameOrFinishRotation => {
                    "; if they are what an interrupted rotation left, oncall-grants webhook rotate --finish ID ends it by \
                     removing the one named"
                }
            };
            print_to_stderr(&format!(
                "{ids} deliver to {url}; name the ID of the one that is meant{otherwise}"
            ));
            Ok(None)
        }
    }
}
