//! What was observed, as a file: for a rule in a code review, whose effect anybody can see without a key.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Email, Names, Observed, OnCall, ResourceSelector, SeenName, Source, UserId, Window},
    reconcile::{
        plan::Settings,
        world::{AccountMatch, Extent, Recorded, ResourceMatch, World},
    },
};

/// The form of the file.
const FORM: u32 = 1;

/// What PagerDuty and strongDM answered. Holds names and addresses of people, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedWorld {
    #[serde(rename = "oncall_grants_world")]
    form: u32,
    /// The stretch for which it can be simulated.
    pub(crate) window: Window,
    /// What it took to observe it.
    pub(crate) calls: Calls,
    on_calls: Vec<Answer<Source, Vec<OnCall>>>,
    people: Vec<Answer<UserId, Option<String>>>,
    accounts: Vec<Answer<Email, AccountMatch>>,
    resources: Vec<Answer<ResourceSelector, ResourceMatch>>,
    names: Vec<SeenName>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer<Q, A> {
    of: Q,
    #[serde(flatten)]
    answer: Observed<A>,
}

/// Requests to the upstreams, and how many they allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls {
    /// To PagerDuty.
    pub(crate) pagerduty: u64,
    /// To strongDM.
    pub(crate) strongdm: u64,
    /// How many requests a minute PagerDuty allows, as its answers told; none if they did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pagerduty_limit: Option<u64>,
}

/// The file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWorld {
    /// It is something else, or it was changed by hand.
    #[error("it is no world that simulate --save wrote: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("it has form {0}, and this version reads form {FORM}: save it anew")]
    OtherForm(u32),
}

impl SavedWorld {
    /// Keeps what of a world lasts, for simulations within `window`.
    pub(super) fn new(world: World, window: Window, names: Vec<SeenName>, calls: Calls) -> Self {
        let World { on_calls, people, accounts, resources, .. } = world;
        Self {
            form: FORM,
            window,
            calls,
            on_calls: answers(on_calls),
            people: answers(people),
            accounts: answers(accounts),
            resources: answers(resources),
            names,
        }
    }

    /// Reads the file.
    pub(crate) fn read(text: &str) -> Result<Self, NoWorld> {
        /// What every form begins with.
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "oncall_grants_world")]
            form: u32,
        }
        let Head { form } = serde_json::from_str(text)?;
        if form != FORM {
            return Err(NoWorld::OtherForm(form));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The file, so that two of them can be compared line by line.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The names that were seen.
    pub(crate) fn names(&self, settings: &Settings) -> Names {
        let mut names = Names::default();
        for seen in &self.names {
            let mapped = seen.address.as_deref().and_then(|raw| settings.aliases.account_email(raw).ok());
            names.add(seen.clone(), mapped.as_ref().map(Email::as_str));
        }
        names
    }

    /// The on-calls of each source that answered.
    pub(super) fn known_on_calls(&self) -> impl Iterator<Item = (&Source, &[OnCall])> {
        self.on_calls.iter().filter_map(|Answer { of, answer }| match answer {
            Observed::Known(on_calls) => Some((of, on_calls.as_slice())),
            Observed::Unknown(_) => None,
        })
    }

    /// What a pass at `now` would see, with what it remembers.
    pub(super) fn at(&self, now: DateTime<Utc>, settings: &Settings, recorded: Recorded) -> World {
        let window = asked(now, settings);
        let is_seen = |on_call: &&OnCall| {
            on_call.start.is_none_or(|start| start < window.end())
                && on_call.end.is_none_or(|end| end > window.start())
        };
        let seen = |answer: &Observed<Vec<OnCall>>| match answer {
            Observed::Known(all) => Observed::Known(all.iter().filter(is_seen).cloned().collect()),
            Observed::Unknown(fault) => Observed::Unknown(fault.clone()),
        };
        World {
            on_calls: self.on_calls.iter().map(|one| (one.of.clone(), seen(&one.answer))).collect(),
            people: known(&self.people),
            accounts: known(&self.accounts),
            resources: known(&self.resources),
            recorded,
            asked: Some(window),
            asked_at: now,
            extent: Extent::Whole,
            seen_at: now,
            ..World::default()
        }
    }

    /// What these rules ask about and the file does not tell: it was saved with other rules.
    pub(super) fn lacks(&self, settings: &Settings) -> BTreeSet<Source> {
        let told: BTreeSet<&Source> = self.on_calls.iter().map(|one| &one.of).collect();
        let rules = settings.rules.iter().flat_map(crate::model::Rule::sources);
        rules.filter(|source| !told.contains(source)).collect()
    }
}

/// What PagerDuty is asked about at `now`.
fn asked(now: DateTime<Utc>, settings: &Settings) -> Window {
    let margin =
        |of: fn(&crate::model::Rule) -> TimeDelta| settings.rules.iter().map(of).max().unwrap_or_default();
    let since = now - margin(|rule| rule.end_late);
    let until = now + settings.horizon + margin(|rule| rule.start_early);
    Window::new(since, until).expect("the horizon is longer than a second")
}

fn answers<Q, A>(seen: BTreeMap<Q, Observed<A>>) -> Vec<Answer<Q, A>> {
    seen.into_iter().map(|(of, answer)| Answer { of, answer }).collect()
}

fn known<Q: Ord + Clone, A: Clone>(answers: &[Answer<Q, A>]) -> BTreeMap<Q, Observed<A>> {
    answers.iter().map(|one| (one.of.clone(), one.answer.clone())).collect()
}
