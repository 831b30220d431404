//! What strongDM stored, beside what was asked for. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    model::{FOREVER, Terms, Window, Windows},
    store::AskAgain,
    strongdm::RemoteGrant,
};

/// The rest of a grant that is shorter than this is asked for after a growing pause: with half of it left there would be
/// a call a second.
const SHORT: TimeDelta = TimeDelta::seconds(5);
/// Clocks differ by this much at most: what begins so much later than it should is not asked for once more.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// What strongDM stored of the terms that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The terms as strongDM has them; a window without an end reaches to [`FOREVER`].
    pub(super) terms: Terms,
    /// How it compares with what was asked for.
    pub(super) fit: Fit,
}

/// How stored terms compare with those that were asked for, from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It gives the same access.
    Same,
    /// It gives less: when something is missing, and when to ask for that.
    Less(Vec<(Window, AskAgain)>),
    /// It gives access that nobody asked for, or none.
    Wrong,
}

impl Stored {
    /// Compares at `now`. What strongDM did not tell of start and groups is what was asked for.
    pub(super) fn of(remote: &RemoteGrant, asked: &Terms, now: DateTime<Utc>) -> Self {
        let start = remote.start.unwrap_or(asked.window.start());
        let groups = remote.groups.clone().unwrap_or_else(|| asked.groups.clone());
        let window = Window::new(start, remote.end.unwrap_or(FOREVER));
        let terms = Terms { window: window.unwrap_or(asked.window), groups };
        let is_wrong = window.is_none() || !asked.groups.include(&terms.groups);
        let fit = if is_wrong { Fit::Wrong } else { Fit::of(&terms, asked, now) };
        Self { terms, fit }
    }
}

impl Fit {
    /// How these terms, which have no group too many, compare with those that were asked for.
    fn of(stored: &Terms, asked: &Terms, now: DateTime<Utc>) -> Self {
        let (window, lacks_groups, asked) = (stored.window, stored.groups != asked.groups, asked.window);
        let beside = |one: Window, other: Window| {
            one.from(now).map(|ahead| Windows::from_iter([other]).missing_from(ahead)).unwrap_or_default()
        };
        if !beside(window, asked).is_empty() {
            return Self::Wrong;
        }
        let gaps = beside(asked, window).into_iter().map(|gap| (gap, ask_again(gap, window, now)));
        let less: Vec<_> = gaps.chain(lacks_groups.then_some((window, AskAgain::AfterPause))).collect();
        if less.is_empty() { Self::Same } else { Self::Less(less) }
    }
}

/// When to ask for what is missing beside a window.
fn ask_again(gap: Window, window: Window, now: DateTime<Utc>) -> AskAgain {
    if gap.start() < window.end() {
        // Before it. A clock that is a little fast explains it; then it is soon over.
        return if gap.end() - now <= SKEW { AskAgain::At(gap.end()) } else { AskAgain::AfterPause };
    }
    // After it: with half of it left, so that no access ends in between, however strongDM counts.
    let length = window.end() - window.start().max(now);
    if length < SHORT { AskAgain::AfterPause } else { AskAgain::At(window.end() - length / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::KubernetesGroups;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    /// What was asked for at second 0, and what was stored.
    fn stored(asked: (i64, i64), start: i64, end: Option<i64>) -> Stored {
        let remote = RemoteGrant {
            id: "ag-1".into(),
            account: "a-1".into(),
            resource: "rs-1".into(),
            start: Some(at(start)),
            end: end.map(at),
            groups: Some(KubernetesGroups::default()),
        };
        Stored::of(&remote, &window(asked.0, asked.1).into(), at(0))
    }

    #[test]
    fn only_what_lies_ahead_counts() {
        let same = |start, end| Stored { terms: window(start, end).into(), fit: Fit::Same };
        assert_eq!(stored((0, 3600), 0, Some(3600)), same(0, 3600));
        assert_eq!(stored((-60, 3600), 0, Some(3600)), same(0, 3600), "moved to now");
        assert_eq!(stored((0, 3600), -60, Some(3600)), same(-60, 3600), "nobody had access then");
    }

    #[test]
    fn access_that_nobody_asked_for_is_wrong_and_so_is_none() {
        for (start, end) in [(0, None), (0, Some(3601)), (50, Some(3600)), (100, Some(100))] {
            assert_eq!(stored((100, 3600), start, end).fit, Fit::Wrong, "{start} {end:?}");
        }
        assert_eq!(stored((0, 3600), 0, None).terms.window.end(), FOREVER);
        assert_eq!(stored((0, 3600), 9, Some(9)).terms.window, window(0, 3600), "there is no such window");
    }

    #[test]
    fn the_rest_is_asked_for_with_half_of_what_there_is_left() {
        let less = |start, end, gap: (i64, i64), again| Stored {
            terms: window(start, end).into(),
            fit: Fit::Less(vec![(window(gap.0, gap.1), again)]),
        };
        assert_eq!(stored((0, 3600), 0, Some(600)), less(0, 600, (600, 3600), AskAgain::At(at(300))));
        assert_eq!(
            stored((600, 3600), 600, Some(1200)),
            less(600, 1200, (1200, 3600), AskAgain::At(at(900)))
        );
        assert_eq!(stored((0, 3600), 0, Some(4)), less(0, 4, (4, 3600), AskAgain::AfterPause));
        let over = stored((0, 3600), -9, Some(-4));
        assert_eq!(over, less(-9, -4, (0, 3600), AskAgain::AfterPause));
    }

    #[test]
    fn a_later_start_is_waited_for_if_it_is_near() {
        let gap = |start| match stored((0, 3600), start, Some(3600)).fit {
            Fit::Less(gaps) => gaps,
            fit => panic!("{fit:?}"),
        };
        assert_eq!(gap(60), [(window(0, 60), AskAgain::At(at(60)))]);
        assert_eq!(gap(61), [(window(0, 61), AskAgain::AfterPause)]);
        let both = stored((0, 3600), 60, Some(600)).fit;
        assert!(matches!(&both, Fit::Less(gaps) if gaps.len() == 2), "{both:?}");
    }

    #[test]
    fn groups_too_many_are_wrong_and_missing_ones_are_asked_for_after_a_pause() {
        let fit = |asked: &[&str], told: Option<&[&str]>| {
            let groups = |names: &[&str]| names.iter().copied().collect::<KubernetesGroups>();
            let remote = RemoteGrant {
                id: "ag-1".into(),
                account: "a-1".into(),
                resource: "rs-1".into(),
                start: Some(at(0)),
                end: Some(at(3600)),
                groups: told.map(groups),
            };
            Stored::of(&remote, &Terms { window: window(0, 3600), groups: groups(asked) }, at(0)).fit
        };
        assert_eq!(fit(&["a", "b"], Some(&["b", "a"])), Fit::Same);
        assert_eq!(fit(&["a"], None), Fit::Same, "nobody can tell");
        assert_eq!(fit(&["a"], Some(&["a", "b"])), Fit::Wrong);
        assert_eq!(fit(&["a"], Some(&["b"])), Fit::Wrong);
        let all = Fit::Less(vec![(window(0, 3600), AskAgain::AfterPause)]);
        assert_eq!(fit(&["a", "b"], Some(&["a"])), all);
        assert_eq!(fit(&["a"], Some(&[])), all);
    }
}
