//! What a pass does beside its look: it settles unclear writes, and compares the ledger with strongDM's list.

use tokio::time::{Instant, timeout_at};

use super::{Pass, PassRunner, STOP};
use crate::{
    clock,
    reconcile::compare::{CompareError, Compared, Listing, Waited},
    store,
};

impl PassRunner {
    /// Finds out what became of unclear writes, and, when it is time, begins to list what strongDM has. A narrow pass looks
    /// first: somebody waits for it.
    pub(super) async fn prepare(
        &self,
        pass: &Pass<'_>,
        until: Instant,
    ) -> Result<Option<Listing>, store::Error> {
        if pass.is_short() {
            return Ok(None);
        }
        let context = &pass.context;
        let _turn = self.turns.take().await;
        let timetable = self.store.workload().await?.timetable;
        let is_due = self.intervals.is_comparison_due(context.now, context.trigger, &timetable);
        let listing = is_due.then(|| self.comparer.list(pass.looks.read_for()));
        // What is not settled by then stays as it is, and its pairs are left alone.
        timeout_at(until, self.executor.settle(context)).await.unwrap_or(Ok(()))?;
        Ok(listing)
    }

    /// Compares the ledger with what strongDM lists, if that is there in time.
    pub(super) async fn compare(
        &self,
        pass: &mut Pass<'_>,
        listing: Option<&mut Listing>,
        until: Instant,
    ) -> Result<Compared, store::Error> {
        let Some(listing) = listing else { return Ok(Compared::NotDue) };
        let listed = match listing.whole(until).await {
            Waited::Whole(listed) => listed,
            Waited::Failed(fault) => return Ok(Compared::Failed(fault)),
            Waited::TooLong => return Ok(Compared::NoListYet),
        };
        let findings = match timeout_at(until, self.comparer.compare(&listed)).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(CompareError::Store(error))) => return Err(error),
            Ok(Err(CompareError::Strongdm(error))) => return Ok(Compared::Failed((&error).into())),
            Err(_) => return Ok(Compared::Untold),
        };
        let _turn = self.turns.take().await;
        pass.context.now = clock::now();
        let recording = self.comparer.record(&pass.context, findings);
        // What is not recorded by then is found again.
        let Ok(is_news) = timeout_at(pass.began + STOP, recording).await else { return Ok(Compared::Untold) };
        pass.compared_at = Some(pass.context.now);
        Ok(if is_news? { Compared::WithNews } else { Compared::WithoutNews })
    }
}
