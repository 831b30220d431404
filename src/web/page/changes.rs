//! What changes next by itself: whose access begins or ends.

use maud::{Markup, html};

use super::{
    access::{Changes, at},
    facts::Facts,
    layout::{Tone, chip, distance, time},
    person::{linked, why},
    query::PageQuery,
};
use crate::{model::Grant, store::Boundary};

/// The section "What changes next".
pub(super) fn changes(facts: &Facts<'_>, query: &PageQuery, changes: &Changes) -> Markup {
    html! {
        section #next aria-labelledby="next-title" {
            div.section-head {
                h2 #next-title { "What changes next" }
                p { "Grants begin and end by themselves" }
            }
            @if changes.shown.is_empty() { p.empty { "Nobody's access begins or ends, as far as grants are made." } }
            @else {
                div.scroll role="region" aria-label="What changes next" tabindex="0" {
                    table {
                        caption.sr { "The next beginnings and ends of access, in the order of time" }
                        thead { tr {
                            th scope="col" { "When" } th scope="col" { "Person" } th scope="col" { "Access" }
                            th scope="col" { "Resource" }
                        } }
                        tbody {
                            @for alike in changes.shown.chunk_by(is_alike) { (row(facts, alike)) }
                        }
                    }
                }
                @if changes.more {
                    p.after { "More follows: " a href=(query.link("show", "all", "access")) { "everything in view" } "." }
                }
            }
        }
    }
}

/// Whether both happen to the same person at the same time.
fn is_alike(one: &(Boundary, Grant), other: &(Boundary, Grant)) -> bool {
    at(one) == at(other) && one.0 == other.0 && one.1.email == other.1.email
}

fn row(facts: &Facts<'_>, alike: &[(Boundary, Grant)]) -> Markup {
    let now = facts.now;
    let Some(change) = alike.first() else { return html! {} };
    let email = change.1.email.as_str();
    html! {
        tr {
            td { (time(now, at(change))) " " span.quiet { (distance(now, at(change))) } }
            th scope="row" { (linked(&facts.names, email)) }
            td { @match change.0 {
                Boundary::Start => { (chip(Tone::Info, "begins")) }
                Boundary::End => { (chip(Tone::Quiet, "ends")) }
            } }
            td {
                @for (number, (_, grant)) in alike.iter().enumerate() {
                    @if number > 0 { ", " }
                    a href=(why(email, &grant.resource)) { (grant.resource) span.sr { ": why " (email) } }
                }
            }
        }
    }
}
