//! The picture in the store: what passes saw, and what this process alone noticed, for people on any replica.

use chrono::{DateTime, TimeDelta, Utc};

use super::snapshot::{STATUS_SNAPSHOT, StatusSnapshot, WrongSecret};
use crate::{
    clock,
    reconcile::{Reconciler, lease::PassLease, on_demand::Note},
    store,
};

/// Anybody can send webhooks that are refused; more often than this they lead to no write.
const SHARE_EVERY: TimeDelta = TimeDelta::minutes(1);

/// A wrong secret that this process noticed.
#[derive(Debug, Default)]
pub(in crate::reconcile) struct Noticed {
    newest: Option<WrongSecret>,
    /// The newest that the store has.
    kept: Option<DateTime<Utc>>,
}

impl Reconciler {
    /// What the newest passes saw, also those of other replicas; nothing before the first.
    pub async fn picture(&self) -> Result<StatusSnapshot, store::Error> {
        let mut picture = STATUS_SNAPSHOT.read(&self.store, clock::now()).await?.unwrap_or_default();
        let here = self.noticed.lock().newest.clone();
        if here.as_ref().map(|here| here.at) > picture.wrong_secret.as_ref().map(|there| there.at) {
            picture.wrong_secret = here;
        }
        Ok(picture)
    }

    /// Replaces the picture; only for whoever holds the lease, or what another one saw would be lost.
    pub(in crate::reconcile) async fn keep(&self, picture: StatusSnapshot) -> Result<(), store::Error> {
        STATUS_SNAPSHOT.write(&self.store, &picture, None).await?;
        let kept = picture.wrong_secret.map(|wrong| wrong.at);
        self.noticed.lock().kept = kept;
        Ok(())
    }

    /// Notes a webhook in the name of our own subscription that was signed with a secret that we do not have.
    pub fn note_wrong_secret(&self, subscription: &str, at: DateTime<Utc>) {
        let newest = Some(WrongSecret { subscription: subscription.to_owned(), at });
        self.noticed.lock().newest = newest;
    }

    /// Puts what was noticed here into the store without waiting for the next pass, which may run elsewhere.
    pub(in crate::reconcile) async fn share(&self) -> Result<(), store::Error> {
        let is_news = {
            let noticed = self.noticed.lock();
            let newest = noticed.newest.as_ref().map(|wrong| wrong.at);
            newest.is_some_and(|at| noticed.kept.is_none_or(|kept| at - kept >= SHARE_EVERY))
        };
        if !is_news {
            return Ok(());
        }
        let _passing = self.passing.lock().await;
        let Some(held) = PassLease::take(&self.store, &Note::of_the_loop().text()).await? else {
            return Ok(());
        };
        let kept = match self.picture().await {
            Ok(picture) => self.keep(picture).await,
            Err(error) => Err(error),
        };
        if held.lease().was_abandoned() {
            // Whoever takes the lease next would not know.
            self.look_at_all_again(&held).await;
        }
        held.release().await;
        kept
    }
}
