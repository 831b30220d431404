//! How metrics get their names: the registry while it is filled.

use std::{fmt::Debug, hash::Hash};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

/// A histogram for each set of labels, in seconds.
pub(crate) type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// The registry while it is filled.
pub(super) struct Names(pub(super) Registry);

impl Names {
    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = histogram();
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }

    pub(super) fn gauge_seconds<L>(&mut self, name: &str, help: &str) -> Family<L, Gauge>
    where
        L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static,
    {
        let gauges = Family::default();
        self.0.register_with_unit(name, help, Unit::Seconds, gauges.clone());
        gauges
    }

    pub(super) fn durations<L>(&mut self, name: &str, help: &str) -> Durations<L>
    where
        L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static,
    {
        let durations = Durations::new_with_constructor(histogram as fn() -> Histogram);
        self.0.register_with_unit(name, help, Unit::Seconds, durations.clone());
        durations
    }
}

pub(super) fn new<M: Default>() -> M {
    M::default()
}

/// From a webhook's answer, a millisecond or two, to a pass that is cut off after two minutes.
fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0])
}
