//! A gate that holds calls until a test releases them.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds the calls that arrive at it; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    arrived: usize,
    released: usize,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }
}

impl Gate {
    /// Waits for the first call to arrive.
    pub async fn arrived(&self) {
        self.arrivals(1).await;
    }

    /// Waits until this many calls have arrived in all, including those that were released.
    pub async fn arrivals(&self, count: usize) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| state.arrived >= count).await;
    }

    /// How many calls have arrived in all.
    pub fn count(&self) -> usize {
        self.state.borrow().arrived
    }

    /// Releases the oldest call that is held, or else the next to arrive.
    pub fn release_one(&self) {
        self.state.send_modify(|state| state.released += 1);
    }

    /// Releases all calls, now and from now on.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until the gate releases this call.
    pub(super) async fn pass(&self) {
        let mut state = self.state.subscribe();
        let mut ticket = 0;
        self.state.send_modify(|state| {
            state.arrived += 1;
            ticket = state.arrived;
        });
        let _ = state.wait_for(|state| state.open || state.released >= ticket).await;
    }
}
