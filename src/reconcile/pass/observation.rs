//! What a pass observes, and the access that it gives while it still looks.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use tokio::time::{sleep, timeout, timeout_at};

use super::{BEGIN_WRITES, OBSERVE, Pass, PassRunner, STOP};
use crate::{
    clock,
    reconcile::{
        execute::Round,
        facts::DUE_REVOCATIONS,
        observe::recorded::{self, LedgerAhead},
        plan::{PairActions, Released, plan},
        world::{Extent, Recorded, World},
    },
    store,
};

/// A look reads the ledger ahead only then, so that its question to PagerDuty is on its way.
const AHEAD_AFTER: Duration = Duration::from_millis(5);
/// A look keeps the ledger that it read ahead for this long: many looks that wait for PagerDuty would keep it many times.
const AHEAD_FOR: Duration = Duration::from_secs(1);

impl PassRunner {
    /// Observes. Whoever is seen meanwhile to lack access gets it at once. Returns the whole world, and the ledger as
    /// it was while PagerDuty was asked.
    pub(super) async fn observe(
        &self,
        pass: &mut Pass<'_>,
    ) -> Result<(World, Option<LedgerAhead>), store::Error> {
        let (now, until) = (clock::now(), pass.began + OBSERVE);
        // The rest of what the store tells is read with each decision.
        let no_incidents = BTreeSet::new();
        let (due, parts) = tokio::try_join!(
            DUE_REVOCATIONS.read(&self.store, now),
            self.store.incident_parts(now, &no_incidents),
        )?;
        let mut due = due.unwrap_or_default();
        if due.may_be_confirmed_at(now) {
            // What went meanwhile awaits no look, so the answers of earlier ones will do.
            let open = self.store.open_among(&due.due.keys().copied().collect(), now).await?;
            due.due.retain(|row, _| open.contains(row));
        }
        let recorded = Recorded { parts, due, ..Recorded::default() };
        let mut seeing = self.observer.look(now, &pass.request.scope, recorded, until);
        let read_ahead = async {
            sleep(AHEAD_AFTER).await;
            self.read_ahead(now).await
        };
        let (seen, ahead) = tokio::join!(timeout(AHEAD_FOR, seeing.next()), read_ahead);
        let (mut world, mut ahead) = match seen {
            Ok(world) => (world, ahead),
            Err(_) => (seeing.next().await, None),
        };
        while world.extent == Extent::Part {
            self.give_at_once(pass, &mut world, ahead.take()).await?;
            world = seeing.next().await;
        }
        Ok((world, ahead))
    }

    /// The ledger as it is now, unless another look reads it. Whoever decides can read it then, so no error matters here.
    async fn read_ahead(&self, now: DateTime<Utc>) -> Option<LedgerAhead> {
        let _alone = self.reading_ahead.try_lock().ok()?;
        let ahead = LedgerAhead::read(&self.store, now).await;
        ahead.inspect_err(|error| tracing::debug!(%error, "the ledger cannot be read ahead")).ok().flatten()
    }

    /// Gives the access that is due now and justified by the part of the world that is seen so far.
    async fn give_at_once(
        &self,
        pass: &mut Pass<'_>,
        world: &mut World,
        ahead: Option<LedgerAhead>,
    ) -> Result<(), store::Error> {
        let mut turn = self.turns.take().await;
        pass.context.now = clock::now();
        // First, since it says of which incidents the store is asked.
        self.newest_looks.bring_up_to_date(&mut pass.decided_by, world);
        world.recorded = recorded::read(&self.store, pass.context.now, &world.incident_ids(), ahead).await?;
        let mut plan = plan(pass.context.now, self.settings(), world, Released::Nothing);
        plan.pairs.retain(PairActions::only_gives_at_once);
        if plan.pairs.is_empty() {
            return Ok(());
        }
        self.remember(pass, &plan).await?;
        let deadline = pass.began + BEGIN_WRITES;
        let planned_with = world.recorded.second_grant;
        let round = Round { plan, planned_with, deadline, is_last: false };
        turn.has_decided();
        let executing = self.executor.execute(&pass.context, &round, &turn, &mut pass.report);
        // What is not done now is planned again with the rest.
        timeout_at(pass.began + STOP, executing).await.map_or(Ok(()), |executed| executed.map(drop))
    }
}
