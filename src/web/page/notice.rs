//! A notice at the top of the page.

use maud::{Markup, html};

use super::layout::Tone;

/// Something that an operator must know.
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) text: Markup,
}

impl Notice {
    pub(super) fn render(&self) -> Markup {
        html! {
            div class={ "notice " (self.tone) } { h2 { (self.title) } p { (self.text) } }
        }
    }
}
