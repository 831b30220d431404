//! The decision in examples.
