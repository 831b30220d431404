//! The planner against the specification: on arbitrary worlds, both must say the same of every account, every resource
//! and every hour. `SPECIFICATION_CASES` says on how many; what came up in them is counted and printed (`--nocapture`).

use std::{cell::RefCell, collections::BTreeSet, env};

use chrono::TimeDelta;
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    healthy,
    situations::Counts,
    worlds::{Case, HORIZON, LAST, any_case, known_case, pairs},
};
use crate::{
    model::{GrantId, KubernetesGroups, SecondGrant, Window},
    reconcile::plan::tests::{builders::at, twin::Twin},
};

/// So many take about a minute of one processor.
const CASES: u32 = 100_000;

#[test]
fn the_planner_gives_what_the_specification_wants_and_nothing_else() {
    let cases = env::var("SPECIFICATION_CASES").map_or(CASES, |text| text.parse().expect("a number"));
    let counts = RefCell::new(Counts::default());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let cases = (prop_oneof![any_case(), known_case()], any::<Past>());
    let outcome = TestRunner::new(config).run(&cases, |(case, past)| agrees(&after(case, past), &counts));
    let counts = counts.into_inner();
    println!("{counts}");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    counts.nothing_is_rare();
}

/// What happened before to the grants of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// They are arbitrary.
    Nothing,
    /// A pass made them, and they are right.
    Pass,
    /// The same, and then the first was made a second time, ends later, or has other groups.
    Twice,
    Longer,
    Regrouped,
}

impl Arbitrary for Past {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let all = [Self::Nothing, Self::Nothing, Self::Pass, Self::Twice, Self::Longer, Self::Regrouped];
        prop::sample::select(all.to_vec()).boxed()
    }
}

/// The case as it is after that, where strongDM takes a second grant.
fn after(mut case: Case, past: Past) -> Case {
    (case.really, case.world.recorded.second_grant) = (SecondGrant::Taken, SecondGrant::Taken);
    if past == Past::Nothing {
        return case;
    }
    let mut twin = Twin::new(case.really, &case.world);
    twin.pass(case.now, &case.settings, &case.world, case.released, &mut healthy);
    let mut ledger = twin.ledger;
    // The newest is one that the pass has made.
    if let Some(last) = ledger.last_mut() {
        let window = last.grant.window;
        match past {
            Past::Nothing | Past::Pass => {}
            Past::Twice => {
                let mut copy = last.clone();
                (copy.row, copy.grant.id) = (1000.into(), Some("ag-1000".into()));
                ledger.push(copy);
            }
            Past::Longer => {
                let end = window.end() + TimeDelta::hours(2);
                last.grant.window = Window::new(window.start(), end).expect("it is longer");
            }
            Past::Regrouped => last.grant.kubernetes_groups = ["z"].into_iter().collect(),
        }
    }
    case.world.recorded.ledger = ledger;
    case
}

/// One pass makes everything right at once.
fn agrees(case: &Case, counts: &RefCell<Counts>) -> Result<(), TestCaseError> {
    let first_look = case.plan();
    let mut twin = Twin::new(case.really, &case.world);
    let (plan, _) = twin.pass(case.now, &case.settings, &case.world, case.released, &mut healthy);
    counts.borrow_mut().add(case, &first_look);
    let held: BTreeSet<&GrantId> = plan.held.iter().filter_map(|grant| grant.id.as_ref()).collect();
    let pairs: Vec<_> = pairs().filter(|pair| !case.left_alone(pair)).collect();
    for hour in 0..LAST {
        let moment = case.specification().at(at(hour));
        for pair in &pairs {
            let (at_hour, wanted) = (at(hour), moment.wants(pair));
            // What begins behind the horizon was not looked at.
            let is_in_view = hour < HORIZON;
            let groups = if is_in_view { moment.groups(pair) } else { KubernetesGroups::default() };
            let given = twin.ours_gives_groups(pair, at_hour, &groups);
            prop_assert!(
                given || !moment.is_promised(pair),
                "{pair}: access is missing at {at_hour}\n{plan}"
            );
            let excess = twin.ledger.iter().filter(|_| is_in_view).find(|own| {
                own.grant.joins(pair)
                    && own.grant.window.contains(at_hour)
                    && (!wanted || own.grant.kubernetes_groups != groups)
                    && own.grant.id.as_ref().is_none_or(|id| !held.contains(id))
                    && !case.protects(own, 0)
            });
            prop_assert!(excess.is_none(), "{excess:?} is in nobody's interest at {at_hour}\n{plan}");
        }
    }
    Ok(())
}
