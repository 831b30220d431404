//! What things are called, as answers carry it beside what they are asked for.

use std::sync::Arc;

use super::Client;
use crate::{
    model::{Name, SeenName, Thing},
    pagerduty::wire::{Called, Reference, User},
};

/// Is told of every name that an answer carries. Must not block.
pub(crate) type NameObserver = Arc<dyn Fn(SeenName) + Send + Sync>;

impl Client {
    /// Tells what something is called, if the answer carried that.
    pub(super) fn tell_name(&self, thing: Thing, called: &Called) {
        self.tell_name_at(thing, called.name(), None);
    }

    /// Tells what this person is called.
    pub(super) fn tell_user(&self, user: &User) {
        let address = user.email.as_deref().filter(|address| !address.is_empty());
        self.tell_name_at(Thing::User(user.id.0.as_str().into()), user.called.name(), address);
    }

    /// Tells what something is called that an answer only refers to.
    pub(super) fn tell_reference(&self, thing: fn(&str) -> Thing, reference: &Reference) {
        self.tell_name(thing(&reference.id.0), &reference.called);
    }

    pub(super) fn tell_name_at(&self, thing: Thing, name: Option<&str>, address: Option<&str>) {
        let Some(observer) = &self.names else { return };
        if let Some(name) = name.and_then(Name::new) {
            observer(SeenName { thing, name, address: address.map(str::to_owned) });
        }
    }
}
