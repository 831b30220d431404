//! What changes next by itself: whose access begins or ends.

use maud::{Markup, html};

use super::{
    access::{Changes, at},
    facts::Facts,
    layout::{Tone, chip, distance, query_string, time},
    query::PageQuery,
};
use crate::store::Boundary;

/// The section "What changes next".
pub(super) fn changes(facts: &Facts<'_>, query: &PageQuery, changes: &Changes) -> Markup {
    let now = facts.now;
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
                            @for change in &changes.shown {
                                @let (boundary, grant) = change;
                                tr {
                                    td { (time(now, at(change))) " " span.quiet { (distance(now, at(change))) } }
                                    th scope="row" { (facts.names.person_text(grant.email.as_str())) }
                                    td { @match boundary {
                                        Boundary::Start => { (chip(Tone::Info, "begins")) }
                                        Boundary::End => { (chip(Tone::Quiet, "ends")) }
                                    } }
                                    td {
                                        a href={ "why?" (query_string(&[("email", grant.email.as_str()), ("resource", &grant.resource)])) } {
                                            (grant.resource) span.sr { ": why " (grant.email) }
                                        }
                                    }
                                }
                            }
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
