//! The log of the calls that a stand-in received, and how many were under way at once.

use std::sync::{Arc, Mutex, MutexGuard};

/// A shared log; clones write to the same one.
#[derive(Debug)]
pub(crate) struct CallLog<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

#[derive(Debug)]
struct Inner<T> {
    /// How many calls were cleared, so that the numbers of calls under way stay true.
    cleared: usize,
    calls: Vec<T>,
    in_flight: usize,
    max_in_flight: usize,
}

/// One call under way. Dropping it ends the call, also when the caller hung up.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    log: CallLog<T>,
    number: usize,
}

impl<T> Clone for CallLog<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> Default for CallLog<T> {
    fn default() -> Self {
        let inner = Inner { cleared: 0, calls: Vec::new(), in_flight: 0, max_in_flight: 0 };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }
}

impl<T: Clone> CallLog<T> {
    /// All calls since the last [`clear`](Self::clear), oldest first.
    pub(crate) fn all(&self) -> Vec<T> {
        self.lock().calls.clone()
    }

    /// Forgets the calls and the maximum in flight.
    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.cleared += inner.calls.len();
        inner.calls.clear();
        inner.max_in_flight = inner.in_flight;
    }

    /// The largest number of calls under way at once since the last [`clear`](Self::clear).
    pub(crate) fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    /// Logs a call as it arrives.
    pub(crate) fn enter(&self, call: T) -> InFlight<T> {
        let mut inner = self.lock();
        inner.calls.push(call);
        inner.in_flight += 1;
        inner.max_in_flight = inner.max_in_flight.max(inner.in_flight);
        let number = inner.cleared + inner.calls.len() - 1;
        drop(inner);
        InFlight { log: self.clone(), number }
    }
}

impl<T> CallLog<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().expect("no panic while the log is held")
    }
}

impl<T> InFlight<T> {
    /// Changes what the log says of this call, unless it was cleared meanwhile.
    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) {
        let mut inner = self.log.lock();
        let index = self.number.checked_sub(inner.cleared);
        if let Some(call) = index.and_then(|index| inner.calls.get_mut(index)) {
            change(call);
        }
    }
}

impl<T> Drop for InFlight<T> {
    fn drop(&mut self) {
        self.log.lock().in_flight -= 1;
    }
}
