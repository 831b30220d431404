//! What a pass leaves: for the passes after it, for whoever reads its report, for the metrics and for the log.

use std::{mem, time::Duration};

use super::{Pass, PassRunner};
use crate::{
    clock,
    metrics::{ByTrigger, Work},
    model::{FOREVER, Mark, Source},
    reconcile::{
        observe::freshness,
        plan::Plan,
        report::{
            Failure, PassReport,
            open_incidents::open_incidents,
            pass_log::{is_eventful, summarize},
            preflight::{ahead, preflight},
            told::findings,
        },
        scope::Scope,
        timetable::{self, Left, Passed},
        turns::Turn,
        world::World,
    },
    store::{self, View},
};

impl PassRunner {
    /// Takes over into the report, the metrics and the store what was seen and decided.
    pub(super) async fn take_in(
        &self,
        pass: &mut Pass<'_>,
        turn: &mut Turn<'_>,
        world: &World,
        plan: &Plan,
    ) -> Result<(), store::Error> {
        let now = pass.context.now;
        // Before anything is granted, or its end could be forgotten.
        self.remember(pass, plan).await?;
        let report = &mut pass.report;
        report.take_decisions(plan);
        report.take_unreadable(&world.recorded.unreadable);
        // Later turns of the same look see nothing new.
        if mem::replace(&mut pass.is_taken_in, true) {
            return Ok(());
        }
        freshness::record(&self.metrics, self.settings(), world, world.asked_at);
        let ahead = ahead(now, self.settings(), world);
        if pass.request.scope == Scope::All {
            if plan.unknown.is_empty() {
                self.newest_looks.record_whole(&pass.decided_by);
            }
            self.links.replace(world.links()).await?;
            let found = preflight(now, self.settings(), world, plan, &ahead);
            turn.log.record_ahead(&self.metrics, found, &plan.unknown, &self.observer.names().book());
        }
        report.unreported.asked = world.asked_sources().collect();
        report.unreported.ahead = Some(ahead);
        report.unreported.incidents = open_incidents(now, self.settings(), world);
        Ok(())
    }

    /// Tells the loop, before a pass that is not over yet gives its turn back, what its plan expects.
    pub(super) async fn announce(&self, pass: &Pass<'_>) -> Result<(), store::Error> {
        let Some(scope) = self.undisputed(pass) else { return Ok(()) };
        let before = self.store.workload().await?.timetable;
        let mut timetable = before.clone();
        timetable.wake = [timetable.wake, pass.report.unreported.next_wake].into_iter().flatten().min();
        timetable::record_look(&mut timetable, &scope, pass.second_look.clone());
        if timetable != before {
            self.store.set_timetable(pass.context.proof(), &timetable).await?;
        }
        Ok(())
    }

    /// What the pass looked at and no younger look was told about since; none if nothing is left of it.
    fn undisputed(&self, pass: &Pass<'_>) -> Option<Scope> {
        let asked = &pass.report.unreported.asked;
        let is_outdated = |source: &Source| self.newest_looks.is_outdated(&pass.decided_by, source);
        if !asked.iter().any(is_outdated) {
            return Some(pass.request.scope.clone());
        }
        let mut sources = match &pass.request.scope {
            Scope::All => asked.clone(),
            Scope::Sources(sources) => sources.clone(),
        };
        sources.retain(|source| !is_outdated(source));
        (!sources.is_empty()).then_some(Scope::Sources(sources))
    }

    /// Writes down what the pass leaves for the next one, keeps its report, and says what an operator must know.
    pub(super) async fn conclude(&self, mut pass: Pass<'_>) -> Result<PassReport, store::Error> {
        let mut turn = self.turns.take().await;
        pass.report.finished_at = clock::now();
        pass.report.calls = Work::current().calls();
        let names = self.observer.names();
        names.save(&self.store).await;
        pass.report.take_names(&names.book());
        let mut found = Vec::new();
        if let Some(scope) = self.undisputed(&pass) {
            let unreported = &mut pass.report.unreported;
            unreported.asked.retain(|source| !self.newest_looks.is_outdated(&pass.decided_by, source));
            unreported
                .wanted
                .retain(|wanted| !self.newest_looks.is_outdated(&pass.decided_by, &wanted.source));
            self.record(&pass, &scope).await?;
            turn.log.tell(&pass.report, &scope, &names.book());
            found = findings(&pass.report, &scope, &names.book());
        }
        let Pass { report, began, .. } = pass;
        // What is found lasts until it is mended. So a pass that dies before this is written has told nobody, and the
        // next one, which finds the same, tells it; once it is written, it is told, and no later pass tells it again.
        if is_eventful(&report) {
            let text = serde_json::to_string(&report.excerpt()).unwrap_or_default();
            self.store.record_pass(&report.pass_id, report.started_at, &text, &found).await?;
        } else {
            self.store.tell_findings(&found).await?;
        }
        self.measure(&report, began.elapsed());
        Ok(report)
    }

    /// Records the state of what the pass looked at.
    async fn record(&self, pass: &Pass<'_>, scope: &Scope) -> Result<(), store::Error> {
        let Pass { report, context, .. } = pass;
        let rules = &self.settings().rules;
        let known = self.snapshots.record(report, scope, rules).await?;
        let mut timetable = self.store.workload().await?.timetable;
        let complete = report.is_complete();
        let counts = &mut timetable.counts;
        if *scope == Scope::All {
            counts.held = report.held.len();
            counts.deferred = report.deferred.len();
            counts.skipped = report.skipped.len();
            counts.unknown = report.unknown.len();
            if complete {
                counts.last_complete = Some(report.finished_at);
                self.executor.forget_failures();
            }
        }
        let all = View::between(report.finished_at, FOREVER);
        counts.incidents = known.incidents.len() + known.beyond.incidents;
        counts.people_in_incidents = known.people_in_incidents;
        counts.grants = self.store.count_accesses(&all).await?.grants;
        self.metrics.show(counts);
        timetable.verified_at = pass.compared_at.or(timetable.verified_at);
        timetable::record_look(&mut timetable, scope, pass.second_look.clone());
        timetable::record_failures(&mut timetable, rules, scope, report);
        timetable::record_follow_ups(&mut timetable, rules, scope, report.trigger, report.started_at);
        let passed = Passed {
            scope,
            began: report.started_at,
            ended: report.finished_at,
            left: if report.failed.iter().any(Failure::is_out_of_time) {
                Some(Left::Anything)
            } else {
                pass.leaves_windows.then_some(Left::WindowsToCome)
            },
            next_wake: report.unreported.next_wake,
        };
        timetable::record(&mut timetable, &passed);
        if !self.store.set_timetable(context.proof(), &timetable).await? {
            tracing::warn!("another replica took over during this pass; everything is looked at once more");
            // What was settled here late is news to whoever took over.
            self.store.mark(&Mark::Everything).await?;
        }
        Ok(())
    }

    fn measure(&self, report: &PassReport, took: Duration) {
        let result = if report.is_complete() { "complete" } else { "incomplete" };
        let trigger = report.trigger.as_str();
        self.metrics.passes.get_or_create(&ByTrigger { trigger, result }).inc();
        self.metrics.pass_seconds.observe(took.as_secs_f64());
        if is_eventful(report) {
            summarize(report, result, took);
        }
    }
}
