//! Things in time, found by the window that they overlap, however many there are.

use chrono::{DateTime, Utc};

use crate::model::Window;

/// Things with their windows, in order of these.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    items: Vec<(Window, T)>,
    /// The order is a balanced tree: the item in the middle of a part is its root. This is the last end in the part of
    /// which the item at the same place is the root.
    last_ends: Vec<DateTime<Utc>>,
}

impl<T> Timeline<T> {
    /// Things with the same window keep their order.
    pub(super) fn new(items: impl IntoIterator<Item = (Window, T)>) -> Self {
        let mut items: Vec<(Window, T)> = items.into_iter().collect();
        items.sort_by_key(|(window, _)| *window);
        let mut last_ends: Vec<DateTime<Utc>> = items.iter().map(|(window, _)| window.end()).collect();
        raise(&mut last_ends);
        Self { items, last_ends }
    }

    /// All of them with their windows, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Window, T)> {
        self.items.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What overlaps `window`, in order.
    pub(super) fn overlapping(&self, window: Window) -> Vec<&T> {
        let mut found = Vec::new();
        find(&self.items, &self.last_ends, window, &mut found);
        found
    }
}

/// Makes of the end at each place the last of its part, and returns the last of all.
fn raise(ends: &mut [DateTime<Utc>]) -> Option<DateTime<Utc>> {
    let (left, rest) = ends.split_at_mut(ends.len() / 2);
    let (root, right) = rest.split_first_mut()?;
    *root = (*root).max(raise(left).unwrap_or(*root)).max(raise(right).unwrap_or(*root));
    Some(*root)
}

fn find<'t, T>(
    items: &'t [(Window, T)],
    last_ends: &[DateTime<Utc>],
    window: Window,
    found: &mut Vec<&'t T>,
) {
    let middle = items.len() / 2;
    let Some((of_root, root)) = items.get(middle).filter(|_| last_ends[middle] > window.start()) else {
        return;
    };
    find(&items[..middle], &last_ends[..middle], window, found);
    if of_root.start() < window.end() {
        found.extend((window.start() < of_root.end()).then_some(root));
        find(&items[middle + 1..], &last_ends[middle + 1..], window, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn window((start, length): (i64, i64)) -> Window {
        let at = |second| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        Window::new(at(start), at(start + length)).unwrap()
    }

    proptest! {
        #[test]
        fn what_overlaps_is_found_in_order(windows in vec((0..60_i64, 1..30_i64), 0..20), asked in (0..60_i64, 1..9_i64)) {
            let mut windows: Vec<Window> = windows.into_iter().map(window).collect();
            let timeline = Timeline::new(windows.iter().map(|window| (*window, *window)));
            windows.sort();
            windows.retain(|one| one.overlaps(&window(asked)));
            let found: Vec<Window> = timeline.overlapping(window(asked)).into_iter().copied().collect();
            prop_assert_eq!(found, windows);
        }
    }
}
