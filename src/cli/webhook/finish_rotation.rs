//! `oncall-grants webhook rotate --finish`: removes a subscription that was replaced, and never the only one that works.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::{
    call::{Request, call},
    created::configured_secrets_file,
    enable::why_disabled,
    running_service::{NoAnswer, RunningService},
};
use crate::{
    cli::{ExitStatus, print, webhook_events},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::State,
    wiring,
};

/// Whether the subscription that takes over must be known to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuccessorCheck {
    Required,
    /// The user answers for it.
    Skipped,
}

pub(super) async fn finish_rotation(
    config: &Config,
    client: &Client,
    id: &str,
    check: SuccessorCheck,
) -> anyhow::Result<ExitStatus> {
    let listed = call(Request::List, client.subscriptions()).await?;
    let old =
        listed.iter().find(|one| one.id == id).with_context(|| format!("there is no subscription {id}"))?;
    let replaces = |other: &&Subscription| {
        other.id != old.id && other.url.is_some() && other.url == old.url && other.filter == old.filter
    };
    let others: Vec<&Subscription> = listed.iter().filter(replaces).collect();
    let Some(first) = others.first() else {
        bail!("no other subscription delivers to the same place as {id}, so it stays");
    };
    match check {
        SuccessorCheck::Skipped => {
            print(&format!("{} is left; whether it works was not looked at", first.id));
        }
        SuccessorCheck::Required => {
            let successor = working_successor(config, id, &others).await?;
            print(&format!("{} delivers in its place", successor.id));
        }
    }
    let place = configured_secrets_file(config).map(|file| {
        format!("; in {file}, rotate put the secret of the newer one below that of the older one")
    });
    remove_replaced(client, id, &place.unwrap_or_default(), &print).await?;
    Ok(ExitStatus::Done)
}

/// Removes a subscription that another one replaces, and tells of it; `place` says more of where its secret is.
pub(super) async fn remove_replaced(
    client: &Client,
    id: &str,
    place: &str,
    tell: &dyn Fn(&str),
) -> anyhow::Result<()> {
    call(Request::DeleteReplaced(id), client.delete_subscription(id)).await?;
    tell(&format!(
        "removed {id}; in two days, for deliveries may be repeated for so long, drop its secret from the \
         configuration{place}"
    ));
    Ok(())
}

/// The one of these that delivers, and whose secret the service knows: without it, `id` must stay.
async fn working_successor<'s>(
    config: &Config,
    id: &str,
    others: &[&'s Subscription],
) -> anyhow::Result<&'s Subscription> {
    let nevertheless = format!("so {id} stays; to remove it nevertheless, add --force");
    let active = others.iter().copied().filter(|one| State::of(one) == State::Active);
    let active: Vec<&Subscription> = active.collect();
    let Some(first) = active.first() else {
        let off: Vec<String> = others.iter().filter_map(|one| why_disabled(one)).collect();
        bail!("{}; nothing else delivers in its place, {nevertheless}", off.join("; "));
    };
    let next = &first.id;
    let seen = match seen_subscriptions(config).await {
        Ok(seen) => seen,
        Err(why) => {
            bail!(
                "whether the service has received a signed event of {next} is not known: {why}; {nevertheless}"
            )
        }
    };
    active.iter().copied().find(|one| seen.contains(&one.id)).with_context(|| {
        format!(
            "the service has received no signed event of {next} lately, {nevertheless}; better, see that the secret of \
             {next} is configured, and before this: oncall-grants webhook ping {next}"
        )
    })
}

/// The subscriptions of which the service has received signed events lately, as itself or else its store tells.
async fn seen_subscriptions(config: &Config) -> anyhow::Result<BTreeSet<String>> {
    match RunningService::find(config).await {
        Ok(service) => return Ok(service.into_seen_subscriptions()),
        // Its store would not answer us either.
        Err(why @ NoAnswer::WithoutStore) => return Err(why.into()),
        Err(NoAnswer::WantsCertificate | NoAnswer::NotRunning) => {}
    }
    let store = Box::pin(wiring::open_store_beside(&config.store.address)).await?;
    let events = webhook_events::newest(&store).await;
    store.close().await;
    Ok(webhook_events::subscriptions(&events.context("the store does not tell")?))
}
