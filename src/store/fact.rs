//! Facts: single values under a name, whose meaning is their owners' alone.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Lease, SharedStore, column::to_json};

/// The name of a fact whose value is a `T`, kept as JSON. The constant stands where the fact has its meaning, once for
/// each name.
#[derive(Debug)]
pub struct Fact<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Fact<T> {
    /// The fact of this name; another version may have written it already.
    pub const fn named(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// Reads the value that holds at `now`. One that only another version can read is as good as none: we learn or write
    /// it anew.
    pub async fn read(&self, store: &SharedStore, now: DateTime<Utc>) -> Result<Option<T>, Error> {
        let text = store.fact(self.name, now).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Replaces the value. It holds until `until`, or until it is replaced.
    pub async fn write(
        &self,
        store: &SharedStore,
        value: &T,
        until: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        store.set_fact(self.name, &to_json(value), until).await
    }

    /// Replaces the value for good, unless the lease is lost: whoever has it may have written something newer.
    pub async fn write_holding(&self, store: &SharedStore, lease: &Lease, value: &T) -> Result<(), Error> {
        store.set_fact_holding(lease, self.name, &to_json(value)).await
    }
}
