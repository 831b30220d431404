//! What people are called, and the addresses of the pages about people and resources. They last: whoever asks why may
//! be sent one.

use maud::{Markup, html};

use super::layout::query_string;
use crate::model::Names;

/// `Ana Lima (ana@example.com)`; the address alone if the name is not known.
pub(super) fn person(names: &Names, email: &str) -> Markup {
    html! {
        @match names.person(email).filter(|name| name.as_str() != email) {
            Some(name) => { (name) " " span.address { "(" (email) ")" } }
            None => { (email) }
        }
    }
}

/// The same, as a link to what there is about the person.
pub(super) fn linked(names: &Names, email: &str) -> Markup {
    html! { a href=(person_page(email)) { (person(names, email)) } }
}

/// Where it says why somebody has, or lacks, access to a resource.
pub(super) fn why(email: &str, resource: &str) -> String {
    format!("why?{}", query_string(&[("email", email), ("resource", resource)]))
}

/// The page about a person.
pub(super) fn person_page(email: &str) -> String {
    format!("why?{}", query_string(&[("email", email)]))
}

/// The page about a resource.
pub(super) fn resource_page(resource: &str) -> String {
    format!("why?{}", query_string(&[("resource", resource)]))
}
