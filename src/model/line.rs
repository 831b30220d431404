//! Other people's text in a line of ours.

/// Whether a character acts on the text around it in a log, a terminal or a message, rather than stand in it: line breaks,
/// escapes, and what turns the direction of writing around.
pub fn acts_on_text(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
