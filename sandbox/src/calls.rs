//! The log of what a stand-in was asked, and how many calls were under way at once.

use std::sync::{Arc, Mutex};

/// A shared log; clones write to the same one.
#[derive(Debug)]
pub struct CallLog<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

#[derive(Debug)]
struct Inner<T> {
    /// How many calls were cleared away, so that numbers stay true.
    cleared: usize,
    calls: Vec<T>,
    in_flight: usize,
    max_in_flight: usize,
}

/// One call under way; dropping it says that the call is over, also when the caller hung up.
#[derive(Debug)]
pub struct InFlight<T> {
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
    pub fn all(&self) -> Vec<T> {
        self.lock().calls.clone()
    }

    /// Forgets the calls and the maximum of calls in flight.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.cleared += inner.calls.len();
        inner.calls.clear();
        inner.max_in_flight = inner.in_flight;
    }

    /// How many calls were under way at once, at most, since the last clearing.
    pub fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    /// Writes a call down as it arrives.
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
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<T>> {
        self.inner.lock().expect("no panic while the log is held")
    }
}

impl<T> InFlight<T> {
    /// Completes the record of this call, if it was not cleared meanwhile.
    pub(crate) fn note(&self, change: impl FnOnce(&mut T)) {
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
