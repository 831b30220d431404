//! The reconciler as the rest of the service knows it: whom to ask for a pass, an explanation, or where to look.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    explain::{Explanation, Question, explain_now},
    named::marks_named,
    observe::Observer,
    on_demand::{OnDemand, Outcome, SyncError},
    pass::PassRunner,
    plan::Settings,
    probe::Prober,
    report::{PassReport, Trigger, snapshot_store::Snapshots},
    run::PassLoop,
    scope::{PassRequest, marks_for},
    timetable::Intervals,
};
use crate::{
    clock,
    metrics::{Metrics, Purpose, Work},
    model::{Mark, Names, NewNotice, NoticeKind},
    pagerduty::Hint,
    store::{self, Findings, SharedStore, Told},
};

/// Makes strongDM's grants match PagerDuty's on-calls.
#[derive(Debug)]
pub(crate) struct Reconciler {
    runner: Arc<PassRunner>,
    on_demand: OnDemand,
}

impl Reconciler {
    /// A reconciler that works with what `observer` sees.
    pub(crate) async fn new(
        observer: Observer,
        intervals: Intervals,
        store: SharedStore,
        metrics: Arc<Metrics>,
    ) -> Result<Self, store::Error> {
        let runner = Arc::new(PassRunner::new(observer, intervals, store, metrics).await?);
        Ok(Self { on_demand: OnDemand::new(Arc::clone(&runner)), runner })
    }

    /// The operator's part of the decision.
    pub(crate) fn settings(&self) -> &Settings {
        self.runner.observer.settings()
    }

    /// Runs passes when they are due, until `shutdown`; the pass under way is finished first. Beside that it removes what a
    /// probe left that was killed.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let prober = Prober {
            store: self.runner.store.clone(),
            strongdm: self.runner.observer.strongdm().clone(),
            metrics: Arc::clone(&self.runner.metrics),
        };
        let passes = PassLoop::new(Arc::clone(&self.runner)).run(shutdown.clone());
        tokio::join!(passes, shutdown.run_until_cancelled(prober.remove_leftovers()));
    }

    /// Runs a pass for somebody who waits for its report, or joins one that was asked to do the same, here or on
    /// another replica.
    pub(crate) async fn sync(&self, request: PassRequest) -> Outcome {
        self.on_demand.sync(request).await
    }

    /// Runs one pass in this process, joining none.
    pub(crate) async fn sync_here(
        &self,
        trigger: Trigger,
        request: PassRequest,
    ) -> Result<Arc<PassReport>, SyncError> {
        self.on_demand.sync_here(trigger, request).await
    }

    /// Why somebody has, or lacks, access. Writes nothing.
    pub(crate) async fn explain(&self, question: &Question) -> Result<Explanation, store::Error> {
        let explaining = explain_now(&self.runner.onlooker, &self.runner.store, question);
        Work::new(Purpose::Question).run(explaining).await
    }

    /// What must be looked at after an event that says this.
    pub(crate) fn marks_for(&self, hint: &Hint) -> BTreeSet<Mark> {
        marks_for(&self.settings().rules, &self.runner.links.current(), hint)
    }

    /// What an unsigned request with this body makes us look at: the sources of rules that it names, or everything.
    pub(crate) fn marks_named_in(&self, body: &[u8]) -> BTreeSet<Mark> {
        marks_named(&self.settings().rules, &self.runner.links.current(), body)
    }

    /// What things are called, as this replica or another saw it last.
    pub(crate) async fn names(&self) -> Arc<Names> {
        self.runner.observer.names().refreshed(&self.runner.store).await
    }

    /// Tells others once that PagerDuty switched these subscriptions off; once none of them is, it may be told again.
    pub(crate) async fn tell_subscriptions_off(&self, ids: &[String]) -> Result<(), store::Error> {
        let told = |id: &String| Told {
            subjects: BTreeSet::from([id.clone()]),
            notice: NewNotice {
                kind: NoticeKind::SubscriptionDisabled,
                at: clock::now(),
                data: json!({"subscription": id}),
                text: format!(
                    "PagerDuty switched off the webhook subscription {id}, because deliveries to oncall-grants were refused. It \
                     is switched on again if the key may do so; until then, changes of who is on call are noticed by the timer \
                     alone. See the log for why deliveries were refused."
                ),
            },
        };
        let findings = Findings {
            kind: NoticeKind::SubscriptionDisabled,
            told: ids.iter().map(told).collect(),
            lasting: Some(ids.iter().cloned().collect()),
        };
        self.runner.store.tell_findings(&[findings]).await
    }

    /// What the newest passes saw, for people.
    pub(crate) fn snapshots(&self) -> &Snapshots {
        &self.runner.snapshots
    }
}
