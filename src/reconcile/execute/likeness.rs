//! Whether a grant that strongDM lists is the one that a creation without an answer asked for. Pure.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::{
    model::{FOREVER, Fault, ForeignGrant, Pair, Window, instant::to_second},
    store::{LedgerEntry, State},
    strongdm::RemoteGrant,
};

/// How late a call can take effect whose answer was lost. What turns up later was made by somebody else. The row stays
/// until its window ends all the same: a replica that was frozen may yet settle it.
///
/// It stays also once the same window was made under another row. What a call that is late by minutes leaves then is a
/// second grant that nobody would take back; only this row can tell that it is ours. strongDM lists no times of creation,
/// so nothing tells it from one that somebody else makes in these minutes for the same window to the second.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// By how much the start can differ that strongDM gives a grant whose start lies in the past: it becomes its now, when it
/// carries the call out. A call takes half a minute at most, and clocks differ.
const MOVED: TimeDelta = TimeDelta::minutes(1);

/// Whether a grant that turns up at `now` cannot come from the creation of this row any more.
pub(crate) fn is_too_late(entry: &LedgerEntry, now: DateTime<Utc>) -> bool {
    entry.state == State::Lost && now - entry.intended_at > LATE
}

/// How much a listed grant is like the one that a creation asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// The window that was asked for.
    Exact,
    /// What strongDM may have made of it, in a way that nobody else would hit: the same end, and a start at the moment of
    /// the call; or a start in the second in which we asked, and some end.
    Certain,
    /// What strongDM or somebody else may have made.
    Vague,
}

impl Likeness {
    pub(super) fn of(found: &RemoteGrant, entry: &LedgerEntry) -> Option<Self> {
        let RemoteGrant { id: _, account, resource, start, end, groups } = found;
        let LedgerEntry { own, state: _, intended_at } = entry;
        let (grant, asked) = (&own.grant, own.grant.window);
        if *account != grant.account_id || *resource != grant.resource_id {
            return None;
        }
        let (is_start, is_end) = (*start == Some(asked.start()), *end == Some(asked.end()));
        let is_moved = asked.start() <= *intended_at
            && start.is_some_and(|start| asked.start() <= start && start - intended_at <= MOVED);
        let is_our_second = is_start && asked.start() == intended_at.trunc_subsecs(0);
        // Whoever else makes a grant for the same window hardly makes it with our groups.
        let has_groups = groups.as_ref().is_none_or(|groups| *groups == grant.kubernetes_groups);
        match (is_start, is_end) {
            _ if !has_groups && (is_start || is_moved) => Some(Self::Vague),
            (true, true) => Some(Self::Exact),
            (false, true) if is_moved => Some(Self::Certain),
            (true, false) if is_our_second && end.is_some() => Some(Self::Certain),
            _ if is_start || is_moved => Some(Self::Vague),
            _ => None,
        }
    }
}

/// What is told of a grant that nothing proves to be ours.
pub(super) fn perhaps(found: &RemoteGrant) -> Fault {
    let id = &found.id;
    let end = match found.end {
        Some(end) => format!("ends at {}", to_second(end)),
        None => "has no end".to_owned(),
    };
    Fault {
        error: format!(
            "strongDM has the grant {id}, which {end}; it may come from a call of ours whose answer was lost, but nothing \
             proves that, so it is left alone"
        ),
        remedy: format!("unless somebody else made {id}, remove it in strongDM"),
    }
}

/// A listed grant as somebody else's, if it has not ended; one without an end reaches to [`FOREVER`].
pub(crate) fn as_foreign(found: &RemoteGrant, now: DateTime<Utc>) -> Option<ForeignGrant> {
    let RemoteGrant { id, account, resource, start, end, groups } = found.clone();
    let window = Window::new(start.unwrap_or(now), end.unwrap_or(FOREVER))?;
    (window.end() > now).then_some(ForeignGrant {
        id,
        pair: Pair { account, resource },
        window,
        groups: groups.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::{Grant, KubernetesGroups, OwnGrant};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// A creation from second to second that we decided on half a second after second 0.
    fn entry(state: State, start: i64, end: i64) -> LedgerEntry {
        let grant = Grant {
            id: None,
            email: "ana@example.com".parse().unwrap(),
            name: None,
            account_id: "a-1".into(),
            resource: "db".to_owned(),
            resource_id: "rs-1".into(),
            window: Window::new(at(start), at(end)).unwrap(),
            kubernetes_groups: KubernetesGroups::default(),
            rules: Vec::new(),
        };
        let own = OwnGrant { row: 1.into(), grant, causes: Vec::new() };
        LedgerEntry { own, state, intended_at: at(0) + TimeDelta::milliseconds(500) }
    }

    #[test]
    fn a_lost_creation_takes_effect_within_minutes_or_never() {
        let after = |minutes| at(1) + TimeDelta::minutes(minutes);
        assert!(!is_too_late(&entry(State::Lost, 0, 60), after(4)));
        assert!(is_too_late(&entry(State::Lost, 0, 60), after(5)));
        let last = entry(State::Lost, 0, 60);
        assert!(!is_too_late(&last, last.intended_at + TimeDelta::minutes(5)), "to the end of them");
        assert!(!is_too_late(&entry(State::Creating, 0, 60), after(600)), "nobody has looked for it yet");
    }

    #[test]
    fn only_what_nobody_else_would_have_made_is_taken_for_ours() {
        use Likeness::{Certain, Exact, Vague};
        let in_groups = Cell::new(false);
        let like = |asked: (i64, i64), start, end: Option<i64>| {
            let (account, resource) = ("a-1".into(), "rs-1".into());
            let (start, end) = (Some(at(start)), end.map(at));
            let groups = Some(in_groups.get().then_some("admin").into_iter().collect());
            let found = RemoteGrant { id: "ag-1".into(), account, resource, start, end, groups };
            Likeness::of(&found, &entry(State::Creating, asked.0, asked.1))
        };
        let now = (0, 3600);
        assert_eq!(like(now, 0, Some(3600)), Some(Exact));
        assert_eq!(like(now, 20, Some(3600)), Some(Certain), "moved to when the call was carried out");
        assert_eq!(like(now, 60, Some(3600)), Some(Certain));
        assert_eq!(like(now, 61, Some(3600)), None);
        assert_eq!(like(now, -1, Some(3600)), None, "it began before we asked");
        assert_eq!(like(now, 0, Some(60)), Some(Certain), "ends early");
        assert_eq!(like(now, 0, Some(9999)), Some(Certain), "ends late");
        assert_eq!(like(now, 0, None), Some(Vague), "without an end nothing is sure");
        assert_eq!(like(now, 20, Some(60)), Some(Vague));
        assert_eq!(like(now, 20, None), Some(Vague));
        // Whatever begins on the hour may be anybody's.
        let later = (600, 3600);
        assert_eq!(like(later, 600, Some(3600)), Some(Exact));
        assert_eq!(like(later, 600, Some(1200)), Some(Vague));
        assert_eq!(like(later, 600, None), Some(Vague));
        assert_eq!(like(later, 20, Some(3600)), None, "no start in the past was asked for");
        assert_eq!(like((-30, 3600), -30, Some(60)), Some(Vague), "not the second in which we asked");
        in_groups.replace(true);
        assert_eq!(like(now, 0, Some(3600)), Some(Vague), "in groups that we did not ask for");
        assert_eq!(like(now, 20, Some(3600)), Some(Vague), "the same, moved");
        assert_eq!(like(now, 61, Some(3600)), None, "in these groups, and at another time");
    }

    /// A grant of the account and the resource of [`entry`], which strongDM tells neither start nor groups of.
    fn found(end: Option<i64>) -> RemoteGrant {
        let (account, resource) = ("a-1".into(), "rs-1".into());
        RemoteGrant { id: "ag-1".into(), account, resource, start: None, end: end.map(at), groups: None }
    }

    #[test]
    fn a_grant_of_another_account_or_resource_is_never_ours() {
        let asked = entry(State::Creating, 0, 3600);
        let same = RemoteGrant { start: Some(at(0)), ..found(Some(3600)) };
        assert_eq!(
            Likeness::of(&same, &asked),
            Some(Likeness::Exact),
            "whatever its groups, which nobody can read"
        );
        let other_account = RemoteGrant { account: "a-2".into(), ..same.clone() };
        let other_resource = RemoteGrant { resource: "rs-2".into(), ..same };
        assert_eq!([other_account, other_resource].map(|other| Likeness::of(&other, &asked)), [None, None]);
    }

    #[test]
    fn what_nothing_proves_to_be_ours_is_told_with_its_end() {
        let ends = perhaps(&found(Some(60)));
        assert!(
            ends.error.starts_with("strongDM has the grant ag-1, which ends at 2027-01-15T08:01:00Z; "),
            "{ends}"
        );
        assert!(perhaps(&found(None)).error.starts_with("strongDM has the grant ag-1, which has no end; "));
        assert_eq!(ends.remedy, "unless somebody else made ag-1, remove it in strongDM");
    }

    #[test]
    fn what_has_not_ended_is_somebody_elses() {
        let window = |end| as_foreign(&found(end), at(60)).map(|foreign| foreign.window);
        assert_eq!(window(Some(61)), Window::new(at(60), at(61)));
        assert_eq!(window(None), Window::new(at(60), FOREVER));
        assert_eq!(window(Some(60)), None);
        let began = RemoteGrant { start: Some(at(0)), ..found(Some(60)) };
        assert_eq!(as_foreign(&began, at(59)).map(|foreign| foreign.window), Window::new(at(0), at(60)));
        assert_eq!([60, 61].map(|now| as_foreign(&began, at(now))), [None, None]);
    }
}
