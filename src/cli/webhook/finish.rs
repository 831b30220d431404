//! `oncall-grants webhook rotate --finish`: removes a subscription that was replaced, and never the only one that works.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::{
    create::secrets_file,
    manage::switched_off,
    service::{Service, Silence},
    told,
};
use crate::{
    cli::{Ending, check::heard_of, print},
    config::Config,
    pagerduty::{Client, Subscription},
    subscription::{READ_RIGHT, State, WRITE_RIGHT},
    wiring,
};

pub(super) async fn finish_rotation(
    config: &Config,
    client: &Client,
    id: &str,
    force: bool,
) -> anyhow::Result<Ending> {
    let listed = told("list subscriptions", READ_RIGHT, client.subscriptions()).await?;
    let old =
        listed.iter().find(|one| one.id == id).with_context(|| format!("there is no subscription {id}"))?;
    let replaces = |other: &&Subscription| {
        other.id != old.id && other.url.is_some() && other.url == old.url && other.filter == old.filter
    };
    let others: Vec<&Subscription> = listed.iter().filter(replaces).collect();
    let Some(first) = others.first() else {
        bail!("no other subscription delivers to the same place as {id}, so it stays");
    };
    if force {
        print(&format!("{} is left; whether it works was not looked at", first.id));
    } else {
        let successor = at_work(config, id, &others).await?;
        print(&format!("{} delivers in its place", successor.id));
    }
    let place = secrets_file(config).map(|file| {
        format!("; in {file}, rotate put the secret of the newer one below that of the older one")
    });
    remove(client, id, &place.unwrap_or_default(), &print).await?;
    Ok(Ending::Done)
}

/// Removes a subscription; `place` is added to where its secret is.
pub(super) async fn remove(client: &Client, id: &str, place: &str, say: &dyn Fn(&str)) -> anyhow::Result<()> {
    told(&format!("remove {id}"), WRITE_RIGHT, client.delete_subscription(id)).await?;
    say(&format!(
        "removed {id}; in two days, for deliveries may be repeated for so long, drop its secret from the \
         configuration{place}"
    ));
    Ok(())
}

/// The one of these that delivers, and whose secret the service knows: without it, `id` must stay.
async fn at_work<'s>(
    config: &Config,
    id: &str,
    others: &[&'s Subscription],
) -> anyhow::Result<&'s Subscription> {
    let nevertheless = format!("so {id} stays; to remove it nevertheless, add --force");
    let active = others.iter().copied().filter(|one| State::of(one) == State::Active);
    let active: Vec<&Subscription> = active.collect();
    let Some(first) = active.first() else {
        let off: Vec<String> = others.iter().filter_map(|one| switched_off(one)).collect();
        bail!("{}; nothing else delivers in its place, {nevertheless}", off.join("; "));
    };
    let next = &first.id;
    let heard = match heard(config).await {
        Ok(heard) => heard,
        Err(why) => {
            bail!(
                "whether the service has received a signed event of {next} is not known: {why}; {nevertheless}"
            )
        }
    };
    active.iter().copied().find(|one| heard.contains(&one.id)).with_context(|| {
        format!(
            "the service has received no signed event of {next} lately, {nevertheless}; better, see that the secret of \
             {next} is configured, and before this: oncall-grants webhook ping {next}"
        )
    })
}

/// The subscriptions of which the service has received signed events lately, as itself or else its store tells.
async fn heard(config: &Config) -> anyhow::Result<BTreeSet<String>> {
    match Service::find(config).await {
        Ok(service) => return Ok(service.heard()),
        // Its store would not answer us either.
        Err(silence @ Silence::WithoutStore) => return Err(silence.into()),
        Err(Silence::WantsCertificate | Silence::Nobody) => {}
    }
    let store = Box::pin(wiring::open_store_beside(&config.store.address)).await?;
    let heard = heard_of(&store).await;
    store.close().await;
    heard.context("the store does not tell")
}
