//! The names of things as answers carried them: in memory for whoever tells of something, and in the store, so that what
//! cannot be seen still has one. Nothing is decided by them.
//!
//! The store is written only when a name is new or changed, and once a day for those that are seen still, which keeps them
//! from being pruned. Whoever runs no passes reads what others wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use crate::{
    clock,
    model::{Aliases, Email, Names, SeenName, Thing},
    store::{self, SharedStore, StoredName},
};

/// How old the store's word may get that a name was seen. Names stay for three days at least after they were seen last.
const SEEN_AGAIN: TimeDelta = TimeDelta::days(1);
/// No account has so many schedules, policies, services and people on call; what comes beyond has no name.
const MOST: usize = 100_000;
/// Longer IDs and addresses are none of PagerDuty's.
const LONGEST: usize = 320;

/// The names last seen, here or by another replica.
#[derive(Debug)]
pub(crate) struct NameDirectory {
    aliases: Aliases,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<Thing, Entry>,
    /// What the store does not know yet.
    news: BTreeSet<Thing>,
    /// The newest change in the store that is known here.
    read_up_to: i64,
    /// The entries for readers, until something changes.
    book: Option<Arc<Names>>,
}

#[derive(Clone, Debug)]
struct Entry {
    seen: SeenName,
    /// When it was seen, as the store knows it; none if the store does not know it.
    stored_at: Option<DateTime<Utc>>,
}

impl NameDirectory {
    /// An empty one; people count under the addresses that `aliases` map theirs to as well.
    pub(crate) fn new(aliases: Aliases) -> Self {
        Self { aliases, known: Mutex::default() }
    }

    /// Takes in a name that an answer carried.
    pub(crate) fn observe(&self, seen: SeenName) {
        self.observe_at(seen, clock::now());
    }

    fn observe_at(&self, mut seen: SeenName, now: DateTime<Utc>) {
        if seen.thing.id().len() > LONGEST {
            return;
        }
        seen.address = seen.address.filter(|address| address.len() <= LONGEST);
        let mut known = self.known.lock();
        let entry = known.entries.get(&seen.thing);
        // Not every answer carries the address.
        seen.address = seen.address.or_else(|| entry?.seen.address.clone());
        match entry {
            Some(entry) if entry.seen == seen => {
                if entry.stored_at.is_some_and(|stored| now - stored >= SEEN_AGAIN) {
                    known.news.insert(seen.thing);
                }
            }
            None if known.entries.len() >= MOST => {}
            _ => {
                known.news.insert(seen.thing.clone());
                known.book = None;
                known.entries.insert(seen.thing.clone(), Entry { seen, stored_at: None });
            }
        }
    }

    /// All names that are known now, each with what it names.
    pub(crate) fn seen(&self) -> Vec<SeenName> {
        self.known.lock().entries.values().map(|entry| entry.seen.clone()).collect()
    }

    /// The names as they are known now.
    pub(crate) fn book(&self) -> Arc<Names> {
        let mut known = self.known.lock();
        if let Some(book) = &known.book {
            return Arc::clone(book);
        }
        let mut names = Names::default();
        for Entry { seen, .. } in known.entries.values() {
            let mapped = seen.address.as_deref().and_then(|raw| self.aliases.account_email(raw).ok());
            names.add(seen.clone(), mapped.as_ref().map(Email::as_str));
        }
        let book = Arc::new(names);
        known.book = Some(Arc::clone(&book));
        book
    }

    /// The names as they are known here and in the store. If it cannot be read, those that are known here will do.
    pub(crate) async fn refreshed(&self, store: &SharedStore) -> Arc<Names> {
        if let Err(error) = self.refresh(store).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot read names");
        }
        self.book()
    }

    /// Takes in what other replicas, or earlier processes, wrote.
    async fn refresh(&self, store: &SharedStore) -> Result<(), store::Error> {
        let read_up_to = self.known.lock().read_up_to;
        let found = store.names_since(read_up_to).await?;
        let mut known = self.known.lock();
        for StoredName { seen, seen_at, change } in found {
            known.read_up_to = known.read_up_to.max(change);
            let here = known.entries.get(&seen.thing).map(|entry| &entry.seen);
            let is_news = known.news.contains(&seen.thing);
            if is_news && here != Some(&seen) {
                // What was seen here is newer.
                continue;
            }
            if here != Some(&seen) {
                known.book = None;
            }
            if clock::now() - seen_at < SEEN_AGAIN {
                known.news.remove(&seen.thing);
            }
            known.entries.insert(seen.thing.clone(), Entry { seen, stored_at: Some(seen_at) });
        }
        Ok(())
    }

    /// Puts into the store what it does not know. Not worth failing a pass for: what is not stored now is stored later.
    pub(crate) async fn save(&self, store: &SharedStore) {
        if let Err(error) = self.try_to_save(store).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot store names");
        }
    }

    async fn try_to_save(&self, store: &SharedStore) -> Result<(), store::Error> {
        if self.known.lock().news.is_empty() {
            return Ok(());
        }
        // Another replica may have stored the same.
        self.refresh(store).await?;
        let news: Vec<SeenName> = {
            let known = self.known.lock();
            known.news.iter().filter_map(|thing| Some(known.entries.get(thing)?.seen.clone())).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        store.set_names(&news, now).await?;
        let mut known = self.known.lock();
        for seen in news {
            // What changed meanwhile is news still.
            if let Some(entry) = known.entries.get_mut(&seen.thing).filter(|entry| entry.seen == seen) {
                entry.stored_at = Some(now);
                known.news.remove(&seen.thing);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Name, store::sqlite::Sqlite};

    fn seen(name: &str) -> SeenName {
        SeenName { thing: Thing::Schedule("P1".into()), name: Name::new(name).unwrap(), address: None }
    }

    fn name_in(directory: &NameDirectory) -> String {
        directory.book().id_text(Thing::Schedule("P1".into()))
    }

    #[tokio::test]
    async fn the_store_is_written_when_a_name_changes_and_once_a_day() {
        let store: SharedStore = Arc::new(Sqlite::in_memory().await.unwrap());
        let change = async || store.names_since(0).await.unwrap().first().map(|stored| stored.change);
        let directory = NameDirectory::new(Aliases::default());
        let now = clock::now();
        directory.observe_at(seen("Day"), now);
        directory.save(&store).await;
        let first = change().await;
        directory.observe_at(seen("Day"), now + TimeDelta::hours(23));
        directory.save(&store).await;
        assert_eq!((change().await, name_in(&directory)), (first, "Day (P1)".to_owned()));
        directory.observe_at(seen("Night"), now);
        directory.save(&store).await;
        let second = change().await;
        assert!(second > first, "{second:?} after {first:?}");
        directory.observe_at(seen("Night"), now + TimeDelta::hours(25));
        assert!(!directory.known.lock().news.is_empty(), "it is seen still");
    }

    #[tokio::test]
    async fn replicas_read_what_others_wrote_and_do_not_write_it_again() {
        let store: SharedStore = Arc::new(Sqlite::in_memory().await.unwrap());
        let (here, there) = (NameDirectory::new(Aliases::default()), NameDirectory::new(Aliases::default()));
        here.observe(seen("Day"));
        here.save(&store).await;
        assert_eq!(there.refreshed(&store).await.id_text(Thing::Schedule("P1".into())), "Day (P1)");
        here.observe(seen("Night"));
        here.save(&store).await;
        there.observe(seen("Night"));
        let before = store.names_since(0).await.unwrap();
        there.save(&store).await;
        assert_eq!(store.names_since(0).await.unwrap(), before);
        there.observe(seen("Later"));
        assert_eq!(there.refreshed(&store).await.id_text(Thing::Schedule("P1".into())), "Later (P1)");
    }
}
