//! Renders a schedule: from shifts and overrides to who is on call when.

use chrono::{DateTime, Utc};

use super::schedule::{Generation, Schedule, Shift};

/// The range that a request asks about; both ends may be the same instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
}

impl Range {
    /// Whether any instant of the shift lies in this range.
    pub(crate) fn overlaps(&self, shift: &Shift) -> bool {
        (shift.start < self.until || shift.start <= self.since)
            && shift.end.is_none_or(|end| end > self.since)
    }

    /// The part of the shift that lies in this range.
    pub(crate) fn cut(&self, shift: &Shift) -> Shift {
        let end = shift.end.map_or(self.until, |end| end.min(self.until));
        Shift { user: shift.user.clone(), start: shift.start.max(self.since), end: Some(end) }
    }
}

/// The entries of the final schedule, as the schedule's own endpoints show them: split by overrides, not joined.
pub(crate) fn final_entries(schedule: &Schedule) -> Vec<Shift> {
    if schedule.generation == Generation::Shifts {
        let mut entries = schedule.shifts.clone();
        entries.sort_by_key(|shift| shift.start);
        return entries;
    }
    let overrides = schedule
        .overrides
        .iter()
        .map(|over| Shift::new(&over.user, over.start, over.end))
        .collect::<Vec<_>>();
    layered(schedule.shifts.iter().chain(&overrides))
}

/// The entries of the layers alone, without the overrides.
pub(crate) fn layer_entries(schedule: &Schedule) -> Vec<Shift> {
    layered(&schedule.shifts)
}

/// The unbroken stretches of each person in one schedule, by start; entries of nobody are left out.
pub(crate) fn unbroken(schedule: &Schedule) -> Vec<Shift> {
    let mut joined: Vec<Shift> = Vec::new();
    for entry in final_entries(schedule).into_iter().filter(|entry| entry.user.is_some()) {
        // Entries come by start, so only the latest stretch of the same person can touch this one.
        let before = joined.iter_mut().rev().find(|shift| shift.user == entry.user);
        match before {
            Some(shift) if shift.end.is_none_or(|end| end >= entry.start) => {
                shift.end = shift.end.zip(entry.end).map(|(a, b)| a.max(b));
            }
            _ => joined.push(entry),
        }
    }
    joined
}

/// Makes a layer-based schedule a shift-based one, which keeps its ID and who is on call when.
pub(crate) fn upgrade(schedule: &mut Schedule) {
    schedule.shifts = final_entries(schedule);
    schedule.overrides.clear();
    schedule.generation = Generation::Shifts;
}

/// Lays the shifts over each other: a later one takes its time from those before it.
fn layered<'a>(shifts: impl IntoIterator<Item = &'a Shift>) -> Vec<Shift> {
    let mut entries: Vec<Shift> = Vec::new();
    for over in shifts {
        let mut next = Vec::with_capacity(entries.len() + 2);
        for under in entries {
            if under.start < over.start {
                let end = under.end.map_or(over.start, |end| end.min(over.start));
                next.push(Shift { end: Some(end), ..under.clone() });
            }
            if let Some(over_end) = over.end
                && under.end.is_none_or(|end| end > over_end)
            {
                next.push(Shift { start: under.start.max(over_end), ..under });
            }
        }
        next.push(over.clone());
        entries = next;
    }
    entries.retain(|entry| entry.user.is_some() && entry.end.is_none_or(|end| end > entry.start));
    entries.sort_by_key(|entry| entry.start);
    entries
}

#[cfg(test)]
mod tests;
