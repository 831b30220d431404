//! The faults that are armed in one stand-in, and what they do to a call that arrives.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::fault::{Action, Fault};
use super::gate::Gate;
use super::injection::{Injection, Wait};

/// The armed faults of one stand-in; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    last_id: u64,
    latency: Duration,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    gate: Gate,
}

impl Faults {
    /// Arms a fault and returns its number.
    pub fn add(&self, fault: Fault) -> u64 {
        self.arm(fault).0
    }

    /// Holds the calls that start with `on`, before any work, until the gate releases them.
    pub fn gate(&self, on: impl Into<String>) -> Gate {
        self.gate_with(Fault::on(on, Action::Stall).until_cleared())
    }

    /// Like [`gate`](Self::gate), for the calls that `fault` applies to; its action is ignored.
    pub fn gate_with(&self, fault: Fault) -> Gate {
        self.arm(Fault { action: Action::Stall, ..fault }).1
    }

    /// Delays every call by this much from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Removes one fault and releases the calls that it holds; false if there is no such fault.
    pub fn remove(&self, id: u64) -> bool {
        let mut plan = self.lock();
        let Some(index) = plan.armed.iter().position(|armed| armed.id == id) else { return false };
        plan.armed.remove(index).gate.open();
        true
    }

    /// Removes all faults and the latency, and releases every call that was held.
    pub fn clear(&self) {
        let mut plan = self.lock();
        plan.latency = Duration::ZERO;
        for armed in plan.armed.drain(..) {
            armed.gate.open();
        }
    }

    /// The armed faults with their numbers, without those that are used up.
    pub fn armed(&self) -> Vec<(u64, Fault)> {
        let plan = self.lock();
        let live = plan.armed.iter().filter(|armed| !armed.fault.is_used_up());
        live.map(|armed| (armed.id, armed.fault.clone())).collect()
    }

    /// Collects what happens to this call: waits in the order of the faults, and the first fault that ends it.
    pub(crate) fn inject(&self, call: &str, facts: &str) -> Injection {
        let mut plan = self.lock();
        let mut injection = Injection::default();
        if !plan.latency.is_zero() {
            injection.before.waits.push(Wait::For(plan.latency));
        }
        for Armed { fault, gate, .. } in &mut plan.armed {
            if fault.is_used_up() || !fault.applies_to(call, facts) {
                continue;
            }
            let late = fault.strikes_late();
            if injection.before.end.is_some() || (late && injection.after.end.is_some()) {
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            let stage = if late { &mut injection.after } else { &mut injection.before };
            match &fault.action {
                Action::Delay { ms } => stage.waits.push(Wait::For(Duration::from_millis(*ms))),
                Action::Stall => stage.waits.push(Wait::At(gate.clone())),
                action => stage.end = Some(action.clone()),
            }
        }
        injection
    }

    fn arm(&self, fault: Fault) -> (u64, Gate) {
        let mut plan = self.lock();
        plan.last_id += 1;
        let (id, gate) = (plan.last_id, Gate::default());
        plan.armed.push(Armed { id, fault, gate: gate.clone() });
        (id, gate)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("no panic while the plan is held")
    }
}
