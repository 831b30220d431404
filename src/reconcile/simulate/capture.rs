//! Observes, once, what a simulation needs to know.

use chrono::{DateTime, TimeDelta, Utc};

use super::saved::{Calls, SavedWorld};
use crate::{
    model::{Rule, Window},
    reconcile::{Observer, scope::Scope, world::Recorded},
};

/// PagerDuty computes shifts for so long ahead.
const FARTHEST: TimeDelta = TimeDelta::days(90);

/// Asks PagerDuty and strongDM for all that matters within `window`. `calls` tells how many requests were made so far.
pub(crate) async fn capture(
    observer: &Observer,
    now: DateTime<Utc>,
    window: Window,
    calls: impl Fn() -> Calls,
) -> SavedWorld {
    let settings = observer.settings();
    let margin = |of: fn(&Rule) -> TimeDelta| settings.rules.iter().map(of).max().unwrap_or_default();
    // Whoever is on call after the end is granted before it.
    let ahead = window.end() + settings.horizon + margin(|rule| rule.start_early);
    let asked = Window::new(
        window.start() - margin(|rule| rule.end_late),
        ahead.min(now + FARTHEST).max(window.end()),
    );
    let asked = asked.expect("it holds the window");
    let world = observer.observe_window(now, &Scope::All, asked, Recorded::default()).await;
    SavedWorld::new(world, window, observer.names().seen(), calls())
}
