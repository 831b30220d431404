//! What should be: the specification's answer to the true state of the upstreams.

use chrono::{DateTime, Utc};

use super::{
    check::Given,
    rotas::Minute,
    upstream::{ACCOUNTS, Down, GROUPS, RESOURCES, Shown, Upstream, pair},
};
use crate::reconcile::{
    plan::{Settings, specification::Specification},
    world::World,
};

/// Who should have what.
pub(super) type Wanted = [[Given; RESOURCES.len()]; ACCOUNTS];

/// The true state, asked anew when something has happened or has come into view, and what follows from it until a shift
/// begins or ends.
#[derive(Default)]
pub(super) struct Truth {
    shown: Option<Shown>,
    world: World,
    wanted: Wanted,
    until: DateTime<Utc>,
}

impl Truth {
    /// Who should have what at an instant of this minute.
    pub(super) fn wanted(
        &mut self,
        settings: &Settings,
        upstream: &Upstream,
        minute: Minute,
        at: DateTime<Utc>,
    ) -> &Wanted {
        let shown = upstream.shown(minute, Down::default());
        let is_new = self.shown.as_ref() != Some(&shown);
        if is_new {
            self.world = upstream.tell(minute, Down::default());
            self.shown = Some(shown);
        }
        if is_new || at >= self.until {
            let world = &self.world;
            let moment = Specification { settings, world, now: at, noticed: at }.at(at);
            for (person, of_person) in self.wanted.iter_mut().enumerate() {
                for (name, given) in RESOURCES.into_iter().zip(of_person) {
                    let pair = pair(person, name);
                    let groups = moment.groups(&pair);
                    *given = Given {
                        access: moment.wants(&pair),
                        groups: GROUPS.map(|group| groups.contain(group)),
                    };
                }
            }
            self.until = next_boundary(settings, world, at);
        }
        &self.wanted
    }
}

/// When the next on-call begins or ends, by the margins of any rule.
fn next_boundary(settings: &Settings, world: &World, at: DateTime<Utc>) -> DateTime<Utc> {
    let boundaries = world.seen_on_calls().flat_map(|one| {
        settings.rules.iter().flat_map(move |rule| {
            [one.start.map(|start| start - rule.start_early), one.end.map(|end| end + rule.end_late)]
        })
    });
    boundaries.flatten().filter(|boundary| *boundary > at).min().unwrap_or(DateTime::<Utc>::MAX_UTC)
}
