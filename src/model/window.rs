//! Half-open stretches of time and sets of them; whole seconds, UTC.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::instant::to_second;

/// Stands for "no end" inside the planner. It is never sent: what reaches it is cut at the horizon.
pub const FOREVER: DateTime<Utc> =
    NaiveDate::from_ymd_opt(9999, 1, 1).expect("a valid date").and_time(NaiveTime::MIN).and_utc();

/// `[start, end)` in UTC, whole seconds, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Bounds")]
pub struct Window {
    /// The first instant, in UTC.
    #[serde(serialize_with = "seconds")]
    start: DateTime<Utc>,
    /// The first instant after it, in UTC.
    #[serde(serialize_with = "seconds")]
    end: DateTime<Utc>,
}

fn seconds<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_second(*at))
}

/// A window as it is read.
#[derive(Deserialize)]
struct Bounds {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// The start does not lie before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the window is empty or ends before it starts")]
struct NoWindow;

impl TryFrom<Bounds> for Window {
    type Error = NoWindow;

    fn try_from(Bounds { start, end }: Bounds) -> Result<Self, NoWindow> {
        Self::new(start, end).ok_or(NoWindow)
    }
}

impl Window {
    /// The window between two instants, cut to whole seconds; none if nothing is left.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Option<Self> {
        let (start, end) = (whole_seconds(start), whole_seconds(end));
        (start < end).then_some(Self { start, end })
    }

    /// The first instant inside.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after it.
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// Whether `at` is inside.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && at < self.end
    }

    /// Whether both share an instant; touching windows do not.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The part of it at or after `at`.
    pub fn from(&self, at: DateTime<Utc>) -> Option<Self> {
        Self::new(self.start.max(at), self.end)
    }

    /// The part of it before `at`.
    pub fn until(&self, at: DateTime<Utc>) -> Option<Self> {
        Self::new(self.start, self.end.min(at))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} until {}", to_second(self.start), to_second(self.end))
    }
}

/// Windows are made of others all the time, and what is whole already costs nothing.
fn whole_seconds(at: DateTime<Utc>) -> DateTime<Utc> {
    if at.timestamp_subsec_nanos() == 0 { at } else { at.trunc_subsecs(0) }
}

/// A set of instants: sorted windows that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// The windows in order of time.
    pub fn iter(&self) -> impl Iterator<Item = &Window> {
        self.0.iter()
    }

    /// Whether no instant is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What of `window` is not in this set.
    pub fn missing_from(&self, window: Window) -> Vec<Window> {
        let mut gaps = Vec::new();
        let mut rest = Some(window);
        for have in self.not_over_at(window.start()) {
            let Some(open) = rest else { break };
            gaps.extend(open.until(have.start()));
            rest = open.from(have.end());
        }
        gaps.extend(rest);
        gaps
    }

    /// Whether all of `window` is in this set.
    pub fn cover(&self, window: Window) -> bool {
        self.first_overlapping(window)
            .is_some_and(|have| have.start <= window.start && window.end <= have.end)
    }

    /// Whether `at` is in this set.
    pub fn contain(&self, at: DateTime<Utc>) -> bool {
        self.not_over_at(at).first().is_some_and(|have| have.contains(at))
    }

    /// The first stretch of this set that shares an instant with `window`.
    pub fn first_overlapping(&self, window: Window) -> Option<Window> {
        self.not_over_at(window.start).first().copied().filter(|have| have.start < window.end)
    }

    fn not_over_at(&self, at: DateTime<Utc>) -> &[Window] {
        &self.0[self.0.partition_point(|have| have.end <= at)..]
    }
}

impl FromIterator<Window> for Windows {
    /// The union; overlapping and touching windows become one.
    fn from_iter<I: IntoIterator<Item = Window>>(windows: I) -> Self {
        let mut sorted: Vec<Window> = windows.into_iter().collect();
        sorted.sort_unstable();
        let mut union: Vec<Window> = Vec::with_capacity(sorted.len());
        for window in sorted {
            match union.last_mut() {
                Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
                _ => union.push(window),
            }
        }
        Self(union)
    }
}

/// Whether one can wait for `at`: it is neither over nor [`FOREVER`].
pub fn lies_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now < at && at < FOREVER
}

/// The first instant after `at` that lies `step` later; saturates instead of overflowing.
pub fn later(at: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(step).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn overlapping_and_touching_windows_become_one() {
        let union: Windows = [window(5, 9), window(0, 3), window(3, 5), window(20, 21)].into_iter().collect();
        assert_eq!(union.iter().copied().collect::<Vec<_>>(), [window(0, 9), window(20, 21)]);
    }

    #[test]
    fn what_is_missing_is_the_gaps_between() {
        let have: Windows = [window(2, 4), window(6, 8)].into_iter().collect();
        assert_eq!(have.missing_from(window(0, 10)), [window(0, 2), window(4, 6), window(8, 10)]);
        assert_eq!(have.missing_from(window(3, 7)), [window(4, 6)]);
        assert!(have.cover(window(2, 4)));
        assert!(!have.cover(window(2, 5)));
    }

    #[test]
    fn a_window_has_its_start_and_not_its_end() {
        let inside = [1, 2, 3, 4].map(|second| window(2, 4).contains(at(second)));
        assert_eq!(inside, [false, true, true, false]);
        let overlapping =
            [(0, 2), (0, 3), (3, 9), (4, 9)].map(|(start, end)| window(2, 4).overlaps(&window(start, end)));
        assert_eq!(overlapping, [false, true, true, false]);
        assert_eq!(
            [1, 3, 4].map(|second| window(2, 4).from(at(second))),
            [Some(window(2, 4)), Some(window(3, 4)), None]
        );
        assert_eq!(
            [2, 3, 5].map(|second| window(2, 4).until(at(second))),
            [None, Some(window(2, 3)), Some(window(2, 4))]
        );
    }

    #[test]
    fn a_set_has_what_its_windows_have() {
        let have: Windows = [window(2, 4), window(6, 8)].into_iter().collect();
        let inside = [1, 2, 4, 6, 7, 8].map(|second| have.contain(at(second)));
        assert_eq!(inside, [false, true, false, true, true, false]);
        let first =
            [(0, 2), (3, 9), (4, 6), (4, 7)].map(|(start, end)| have.first_overlapping(window(start, end)));
        assert_eq!(first, [None, Some(window(2, 4)), None, Some(window(6, 8))]);
        assert!(!have.is_empty() && Windows::default().is_empty());
        assert!(!have.cover(window(1, 3)) && !have.cover(window(3, 7)));
    }

    #[test]
    fn a_window_is_cut_to_whole_seconds() {
        let rest = TimeDelta::milliseconds(700);
        let cut = Window::new(at(2) + rest, at(4) + rest).unwrap();
        assert_eq!((cut.start(), cut.end()), (at(2), at(4)));
        assert_eq!(Window::new(at(2), at(2) + rest), None);
    }

    #[test]
    fn nobody_waits_for_what_is_over_or_never_comes() {
        let ahead =
            [at(1), at(2), at(3), FOREVER, DateTime::<Utc>::MAX_UTC].map(|then| lies_ahead(then, at(2)));
        assert_eq!(ahead, [false, false, true, false, false]);
    }

    #[test]
    fn an_empty_or_backward_window_does_not_exist() {
        assert_eq!(Window::new(at(5), at(5)), None);
        assert_eq!(Window::new(at(6), at(5)), None);
    }
}
