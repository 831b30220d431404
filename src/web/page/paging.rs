//! The way to the other pages of a list.

use maud::{Markup, html};

use super::query::{PageQuery, Part};

/// What follows the part of a list that is shown, if there is more of it.
pub(super) fn pages<T>(
    query: &PageQuery,
    part: &Part<'_, T>,
    parameter: &str,
    section: &str,
    total: usize,
) -> Markup {
    let Part { items, number, pages, before } = part;
    let link = |number: usize| query.link(parameter, &number.to_string(), section);
    html! {
        @if *pages > 1 {
            nav.pages aria-label={ "Pages of " (section) } {
                span { (before + 1) " to " (before + items.len()) " of " (total) }
                @if *number > 1 { a rel="prev" href=(link(number - 1)) { "Previous" } }
                @if number < pages { a rel="next" href=(link(number + 1)) { "Next" } }
            }
        }
    }
}
