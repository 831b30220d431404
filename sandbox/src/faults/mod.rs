//! Faults on purpose: which calls fail, wait, break, or lose their answer after the work was done.

pub(crate) mod answer;
mod gate;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use gate::Gate;

/// The plan of faults of one stand-in; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    next_id: u64,
    latency: Duration,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    gate: Gate,
}

/// One fault: which calls it meets, how often, and what it does to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The start of the call: `GET /oncalls`, `/oncalls` (any method), `AccountGrants.Create`, or empty for all.
    #[serde(default)]
    pub on: String,
    /// Met only when the decoded query, or the facts of the gRPC request, contain this text.
    #[serde(default)]
    pub containing: Option<String>,
    /// How many calls it meets; without it, all until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// Lets the work happen first, so that only the answer is touched.
    #[serde(default)]
    pub after_work: bool,
    /// What happens to the call.
    pub action: Action,
}

/// What a fault does to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answers this HTTP status.
    Http {
        /// The status.
        status: u16,
        /// The body, sent as it is.
        #[serde(default)]
        body: String,
        /// Further headers.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Answers this gRPC status.
    Grpc {
        /// The code, such as 14 for UNAVAILABLE.
        code: i32,
        /// The message.
        #[serde(default)]
        message: String,
        /// Adds rate-limit details that name a reset in so many seconds.
        #[serde(default)]
        reset_in_secs: Option<i64>,
    },
    /// Waits, then goes on (to further faults as well).
    Delay {
        /// How long.
        ms: u64,
    },
    /// Waits until the fault is cleared.
    Stall,
    /// Drops the connection without an answer.
    Cut,
    /// Sends half of the answer, then drops the connection.
    Truncate,
    /// Answers 200 with something that is no JSON.
    InvalidJson,
}

impl Fault {
    /// A fault of the calls that start with `on`, once.
    pub fn on(on: impl Into<String>, action: Action) -> Self {
        Self { on: on.into(), containing: None, times: Some(1), after_work: false, action }
    }

    /// Only calls whose query or facts contain this text.
    #[must_use]
    pub fn containing(mut self, text: impl Into<String>) -> Self {
        self.containing = Some(text.into());
        self
    }

    /// So many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Every call until the fault is cleared.
    #[must_use]
    pub fn until_cleared(mut self) -> Self {
        self.times = None;
        self
    }

    /// Does the work first: the answer is what gets lost.
    #[must_use]
    pub fn after_work(mut self) -> Self {
        self.after_work = true;
        self
    }

    fn meets(&self, call: &str, facts: &str) -> bool {
        let path = call.split_once(' ').map_or(call, |(_, path)| path);
        (call.starts_with(&self.on) || path.starts_with(&self.on))
            && self.containing.as_ref().is_none_or(|text| facts.contains(text.as_str()))
    }
}

impl Action {
    /// An HTTP answer without further headers.
    pub fn http(status: u16, body: impl Into<String>) -> Self {
        Self::Http { status, body: body.into(), headers: BTreeMap::new() }
    }

    /// A gRPC status without details.
    pub fn grpc(code: tonic::Code, message: impl Into<String>) -> Self {
        Self::Grpc { code: code.into(), message: message.into(), reset_in_secs: None }
    }

    /// A delay.
    pub fn delay(by: Duration) -> Self {
        Self::Delay { ms: u64::try_from(by.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl Faults {
    /// Arms a fault and answers its number.
    pub fn add(&self, fault: Fault) -> u64 {
        self.arm(fault).0
    }

    /// Holds the calls that start with `on`, before any work, until the gate lets them go.
    pub fn gate(&self, on: impl Into<String>) -> Gate {
        self.gate_with(Fault::on(on, Action::Stall).until_cleared())
    }

    /// Like [`gate`](Self::gate) with the conditions of `fault`, whose action is not looked at.
    pub fn gate_with(&self, fault: Fault) -> Gate {
        self.arm(Fault { action: Action::Stall, ..fault }).1
    }

    /// Every call takes at least this long from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Removes one fault and lets go of what it held; false if it is not there any more.
    pub fn remove(&self, id: u64) -> bool {
        let mut plan = self.lock();
        let Some(index) = plan.armed.iter().position(|armed| armed.id == id) else { return false };
        plan.armed.remove(index).gate.open();
        true
    }

    /// Removes all faults and the latency, and lets go of every call that was held.
    pub fn clear(&self) {
        let mut plan = self.lock();
        plan.latency = Duration::ZERO;
        for armed in plan.armed.drain(..) {
            armed.gate.open();
        }
    }

    /// The armed faults with their numbers, used-up ones not included.
    pub fn armed(&self) -> Vec<(u64, Fault)> {
        let plan = self.lock();
        let live = plan.armed.iter().filter(|armed| armed.fault.times != Some(0));
        live.map(|armed| (armed.id, armed.fault.clone())).collect()
    }

    fn arm(&self, fault: Fault) -> (u64, Gate) {
        let mut plan = self.lock();
        plan.next_id += 1;
        let (id, gate) = (plan.next_id, Gate::default());
        plan.armed.push(Armed { id, fault, gate: gate.clone() });
        (id, gate)
    }

    /// What happens to this call: waits in their order, then the first fault that ends it.
    pub(crate) fn judge(&self, call: &str, facts: &str) -> Verdict {
        let mut plan = self.lock();
        let mut verdict = Verdict::default();
        if !plan.latency.is_zero() {
            verdict.before.waits.push(Wait::For(plan.latency));
        }
        for armed in &mut plan.armed {
            if armed.fault.times == Some(0) || !armed.fault.meets(call, facts) {
                continue;
            }
            // Half an answer and a wrong one both need the work to be done.
            let late = armed.fault.after_work
                || matches!(armed.fault.action, Action::Truncate | Action::InvalidJson);
            if verdict.before.end.is_some() || (late && verdict.after.end.is_some()) {
                continue;
            }
            armed.fault.times = armed.fault.times.map(|times| times - 1);
            let stage = if late { &mut verdict.after } else { &mut verdict.before };
            match &armed.fault.action {
                Action::Delay { ms } => stage.waits.push(Wait::For(Duration::from_millis(*ms))),
                Action::Stall => stage.waits.push(Wait::At(armed.gate.clone())),
                action => stage.end = Some(action.clone()),
            }
        }
        verdict
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().expect("no panic while the plan is held")
    }
}

/// What faults do to one call, before and after its work.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) before: Stage,
    pub(crate) after: Stage,
}

#[derive(Debug, Default)]
pub(crate) struct Stage {
    waits: Vec<Wait>,
    end: Option<Action>,
}

#[derive(Debug)]
enum Wait {
    For(Duration),
    At(Gate),
}

impl Stage {
    /// Waits as told; then says how the call ends, if it does not simply go on.
    pub(crate) async fn pass(self) -> Option<Action> {
        for wait in self.waits {
            match wait {
                Wait::For(duration) => tokio::time::sleep(duration).await,
                Wait::At(gate) => gate.pass().await,
            }
        }
        self.end
    }
}

#[cfg(test)]
mod tests;
