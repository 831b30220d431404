//! What the reader can choose of the timeline, and what its bars mean.

use maud::{Markup, html};

use super::{
    query::{PageQuery, Show},
    timeline::Kind,
};

/// The form above the timeline. A new choice begins with the first page.
pub(super) fn controls(query: &PageQuery, show: Show) -> Markup {
    html! {
        form.controls method="get" action="./" role="search" {
            fieldset {
                legend { "Stretch of time" }
                @for (value, words) in PageQuery::RANGES {
                    label {
                        input type="radio" name="range" value=(value) checked[query.range() == value];
                        span { (words) }
                    }
                }
            }
            fieldset {
                legend { "Who is shown" }
                @for (value, words) in Show::BOTH {
                    label {
                        input type="radio" name="show" value=(value.as_str()) checked[show == value];
                        span { (words) }
                    }
                }
            }
            label.find {
                span { "Person or resource" }
                input type="search" name="q" value=(query.search()) maxlength="100" autocomplete="off";
            }
            button type="submit" { "Show" }
        }
    }
}

/// What the bars mean.
pub(super) fn legend() -> Markup {
    let kinds = [
        (Kind::Shift, "on call"),
        (Kind::InForce, "access now"),
        (Kind::Coming, "access to come"),
        (Kind::Held, "held: should go"),
        (Kind::Deferred, "deferred: waits"),
        (Kind::Gap, "nobody on call"),
        (Kind::Unknown, "unknown"),
    ];
    html! {
        ul.legend aria-label="What the bars mean" {
            @for (kind, words) in kinds {
                li {
                    svg aria-hidden="true" width="30" height="16" { (swatch(kind)) }
                    (words)
                }
            }
        }
    }
}

fn swatch(kind: Kind) -> Markup {
    match kind {
        Kind::Shift => html! { rect.shift x="0" y="5" width="30" height="6" rx="3" {} },
        Kind::Unknown => html! { text.doubt x="5" y="12" { "? ?" } },
        kind => html! { rect class=(kind.class()) x="1" y="1" width="28" height="14" rx="4" {} },
    }
}
