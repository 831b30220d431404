//! Times as nobody would mean them: what an answer may say must not make the planner panic.

use chrono::{DateTime, TimeZone, Utc};
use proptest::{collection::vec, prelude::*, sample::select};

use super::worlds::{Case, any_case};
use crate::{
    model::{Observed, Window},
    reconcile::plan::tests::builders::at,
};

/// PagerDuty's times are those of RFC 3339; strongDM's are any number of seconds, cut to what we can express.
fn of_pagerduty() -> impl Strategy<Value = DateTime<Utc>> {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    select(vec![year(-1), year(0), year(1970), at(0), at(1), year(9999), year(10_000)])
}

fn of_strongdm() -> impl Strategy<Value = DateTime<Utc>> {
    select(vec![DateTime::<Utc>::MIN_UTC, at(-1), at(0), at(1), DateTime::<Utc>::MAX_UTC])
}

proptest! {
    #[test]
    fn no_time_makes_it_panic(
        case in any_case(),
        theirs in vec((of_pagerduty(), of_pagerduty()), 1..9),
        foreign in vec((of_strongdm(), of_strongdm()), 1..5),
    ) {
        let mut case: Case = case;
        let mut times = theirs.iter().cycle();
        let mut time = || times.next().expect("it goes on for ever");
        for answer in case.world.on_calls.values_mut() {
            if let Observed::Known(on_calls) = answer {
                for on_call in on_calls {
                    let (start, end) = time();
                    (on_call.start, on_call.end) = (Some(*start), on_call.end.map(|_| *end));
                }
            }
        }
        for answer in case.world.incidents.values_mut() {
            if let Observed::Known(incidents) = answer {
                for part in incidents.iter_mut().flat_map(|incident| &mut incident.parts) {
                    part.since = time().0;
                }
            }
        }
        for (other, (start, end)) in case.world.recorded.foreign.iter_mut().zip(foreign.iter().cycle()) {
            other.window = Window::new(*start, *end).unwrap_or(other.window);
        }
        let plan = case.plan();
        prop_assert!(!plan.to_string().is_empty());
    }
}
