//! What a pass would do.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{OBSERVE, PassRunner};
use crate::{
    clock,
    metrics::{Purpose, Work},
    reconcile::{
        observe::recorded,
        plan::{Released, foresee},
        report::{PassReport, Trigger},
        scope::PassRequest,
    },
    store,
};

impl PassRunner {
    /// Observes and plans without consequences, as if every look agreed: needs no lease.
    pub(crate) async fn dry_run(
        &self,
        pass_id: String,
        trigger: Trigger,
        request: &PassRequest,
        released: Released,
    ) -> Result<PassReport, store::Error> {
        let (began, now, work) = (Instant::now(), clock::now(), Work::new(Purpose::Question));
        let mut report = PassReport { dry_run: true, ..PassReport::begin(pass_id, trigger, now) };
        let recorded = recorded::read(&self.store, now, &BTreeSet::new(), None).await?;
        let look = async { self.onlooker.look(now, &request.scope, recorded, began + OBSERVE).whole().await };
        let mut world = work.clone().run(look).await;
        world.recorded.parts = self.store.incident_parts(now, &world.incident_ids()).await?;
        let plan = foresee(now, self.settings(), &world, released);
        report.take_decisions(&plan);
        report.take_unreadable(&world.recorded.unreadable);
        report.take_altered(&world.recorded.altered, &world.recorded.ledger, &plan);
        report.take_actions(&plan);
        let names = self.observer.names().refreshed(&self.store).await;
        report.take_names(&names);
        report.finished_at = clock::now();
        report.calls = work.calls();
        Ok(report)
    }
}
