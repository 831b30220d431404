//! Windows that are longer than PagerDuty answers for: asked for in pieces, whose answers are put together again.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::model::{OnCall, Window};

/// PagerDuty speaks of 90 days in one place, of three months in another, and the shortest three months have 89 days.
const LONGEST: TimeDelta = TimeDelta::days(89);

/// The window in pieces that PagerDuty answers for, in order; neighbours touch.
pub(super) fn pieces(window: Window) -> Vec<Window> {
    let mut pieces = Vec::new();
    let mut start = window.start();
    while start < window.end() {
        let end = window.end().min(start + LONGEST);
        pieces.extend(Window::new(start, end));
        start = end;
    }
    pieces
}

/// What all pieces told, sorted and without duplicates. PagerDuty may cut an on-call where a piece ends; both halves are one
/// again.
pub(super) fn joined(mut on_calls: BTreeSet<OnCall>, pieces: &[Window]) -> Vec<OnCall> {
    for cut in pieces.iter().skip(1).map(|piece| Some(piece.start())) {
        let first_halves: Vec<OnCall> = on_calls.iter().filter(|half| half.end == cut).cloned().collect();
        for first in first_halves {
            let belongs = |second: &&OnCall| {
                second.start == cut
                    && **second == OnCall { start: second.start, end: second.end, ..first.clone() }
            };
            let Some(second) = on_calls.iter().find(belongs).cloned() else { continue };
            on_calls.remove(&first);
            on_calls.remove(&second);
            on_calls.insert(OnCall { end: second.end, ..first });
        }
    }
    on_calls.into_iter().collect()
}
