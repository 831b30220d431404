//! Fault injection: which calls fail, wait, break, or lose their answer after the work was done.
//!
//! [`Fault`] says what happens to which calls, [`Faults`] holds the faults of one stand-in, [`Gate`] holds calls
//! back until a test releases them.

pub(crate) mod answer;
mod fault;
mod gate;
mod injection;
mod plan;

pub use fault::{Action, Fault};
pub use gate::Gate;
pub use plan::Faults;

#[cfg(test)]
mod tests;
