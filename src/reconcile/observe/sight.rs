//! What one look has seen so far, and when that is worth showing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::question::Question;
use crate::{
    clock,
    model::{Email, Fault, Observed, Rule, Source, UserId, Window},
    reconcile::{
        plan::Settings,
        scope::Scope,
        world::{Extent, World},
    },
};

/// After the first on-calls came, and after each world that was shown, the rest is awaited so long before there is another.
const GRACE: Duration = Duration::from_secs(1);

/// What one look has seen so far.
#[derive(Debug)]
pub(super) struct Sight {
    settings: Arc<Settings>,
    scope: Scope,
    seen: Mutex<Seen>,
    /// There is news in `seen`.
    news: Notify,
}

#[derive(Debug)]
struct Seen {
    world: World,
    /// All that is asked about, as far as that is known.
    sources: BTreeSet<Source>,
    people: BTreeSet<UserId>,
    accounts: BTreeSet<Email>,
    has_news: bool,
    /// When the first on-calls came.
    first: Option<Instant>,
    shown: Option<Instant>,
}

impl Sight {
    /// Nothing yet of what PagerDuty is asked about `window` at `now`.
    pub(super) fn new(settings: Arc<Settings>, scope: Scope, now: DateTime<Utc>, window: Window) -> Self {
        let seen = Seen {
            world: World { asked: Some(window), asked_at: now, ..World::default() },
            sources: BTreeSet::new(),
            people: BTreeSet::new(),
            accounts: BTreeSet::new(),
            has_news: false,
            first: None,
            shown: None,
        };
        Self { settings, scope, seen: Mutex::new(seen), news: Notify::new() }
    }

    /// Records an answer.
    pub(super) fn record(&self, record: impl FnOnce(&mut World)) {
        let mut seen = self.seen.lock();
        record(&mut seen.world);
        seen.has_news = true;
        drop(seen);
        self.news.notify_one();
    }

    /// Records who a user is, and beside them those seen before who would be the same account.
    pub(super) fn record_person(&self, question: &Question, user: UserId, person: Observed<Option<String>>) {
        let others = match &person {
            Observed::Known(Some(raw)) => {
                question.cache.acquaintances.meet(&self.settings.aliases, &user, raw, question.now)
            }
            Observed::Known(None) | Observed::Unknown(_) => Vec::new(),
        };
        self.record(|world| {
            world.acquaintances.extend(others);
            world.people.insert(user, person);
        });
    }

    /// Says that what was recorded makes a difference to somebody.
    pub(super) fn has_on_calls(&self) {
        let mut seen = self.seen.lock();
        seen.first = seen.first.or_else(|| Some(Instant::now()));
        drop(seen);
        self.news.notify_one();
    }

    /// Those of `sources` that nobody asks about yet.
    pub(super) fn new_sources(&self, sources: &BTreeSet<Source>) -> Vec<Source> {
        let mut seen = self.seen.lock();
        let new: Vec<Source> = sources.difference(&seen.sources).cloned().collect();
        seen.sources.extend(new.iter().cloned());
        new
    }

    /// Whether nobody asks about this user yet, and no on-call told the address.
    pub(super) fn is_new_person(&self, user: &UserId) -> bool {
        let mut seen = self.seen.lock();
        !seen.world.people.contains_key(user) && seen.people.insert(user.clone())
    }

    /// Whether nobody asks about this address yet.
    pub(super) fn is_new_account(&self, email: &Email) -> bool {
        self.seen.lock().accounts.insert(email.clone())
    }

    /// The rules that are looked at, by what is known of their resources.
    pub(super) fn rules_in_scope<'r>(&self, rules: &'r [Rule]) -> Vec<&'r Rule> {
        self.scope.with_neighbours(rules, &self.seen.lock().world.resources)
    }

    /// Whether somebody is on call through a source that the look is about.
    pub(super) fn is_on_call_where_named(&self, user: &UserId) -> bool {
        let Scope::Sources(named) = &self.scope else { return true };
        let seen = self.seen.lock();
        named.iter().any(|source| seen.world.users_of(source).contains(user))
    }

    /// Under which address of strongDM somebody counts.
    pub(super) fn email_of(&self, person: &Observed<Option<String>>) -> Option<Email> {
        match person {
            Observed::Known(Some(raw)) => self.settings.aliases.account_email(raw).ok(),
            Observed::Known(None) | Observed::Unknown(_) => None,
        }
    }

    /// The world as far as it was seen. What is missing is unknown.
    pub(super) fn world(&self, extent: Extent) -> World {
        let (mut world, sources) = {
            let mut seen = self.seen.lock();
            seen.has_news = false;
            seen.shown = Some(Instant::now());
            (World { extent, seen_at: clock::now(), ..seen.world.clone() }, seen.sources.clone())
        };
        let missing = match extent {
            Extent::Part => Fault::from("no answer yet"),
            Extent::Whole => Fault::from("no answer came in time"),
        };
        self.fill(&mut world, sources, &missing);
        world
    }

    fn fill(&self, world: &mut World, sources: BTreeSet<Source>, missing: &Fault) {
        for source in sources {
            let missing = missing.clone();
            match source {
                Source::Service(id) => {
                    world.incidents.entry(id).or_insert(Observed::Unknown(missing));
                }
                Source::Schedule(_) | Source::Policy(_) => {
                    world.on_calls.entry(source).or_insert(Observed::Unknown(missing));
                }
            }
        }
        for selector in self.settings.rules.iter().flat_map(|rule| &rule.resources) {
            if !world.resources.contains_key(selector) {
                world.resources.insert(selector.clone(), Observed::Unknown(missing.clone()));
            }
        }
        let users: BTreeSet<UserId> = world.seen_users().cloned().collect();
        for user in users {
            world.people.entry(user).or_insert_with(|| Observed::Unknown(missing.clone()));
        }
        let emails: Vec<Email> = world.people.values().filter_map(|person| self.email_of(person)).collect();
        for email in emails {
            world.accounts.entry(email).or_insert_with(|| Observed::Unknown(missing.clone()));
        }
    }

    /// Ends when it is worthwhile to act on what was seen so far.
    pub(super) async fn is_worth_showing(&self) {
        loop {
            match self.shown_at() {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    () = self.news.notified() => {}
                },
                None => self.news.notified().await,
            }
        }
    }

    fn shown_at(&self) -> Option<Instant> {
        let seen = self.seen.lock();
        let first = seen.first.filter(|_| seen.has_news)?;
        match seen.shown {
            Some(shown) => Some(shown + GRACE),
            None if self.has_seen_what_is_named(&seen.world) => Some(first),
            None => Some(first + GRACE),
        }
    }

    /// Whether everything is seen that an event is about, and who is on call through it.
    fn has_seen_what_is_named(&self, world: &World) -> bool {
        let Scope::Sources(named) = &self.scope else { return false };
        let rules = self.settings.rules.iter().filter(|rule| self.scope.names(rule));
        let mut resources = rules.flat_map(|rule| &rule.resources);
        resources.all(|selector| world.resources.contains_key(selector))
            && named.iter().all(|source| {
                let is_seen = |user: &UserId| {
                    world.people.get(user).is_some_and(|person| {
                        self.email_of(person).is_none_or(|email| world.accounts.contains_key(&email))
                    })
                };
                world.is_asked(source) && world.users_of(source).into_iter().all(is_seen)
            })
    }
}
