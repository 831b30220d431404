//! Guesses what a mistyped key was meant to be.

/// The known word that is nearest to `word`, if it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    // A third of the letters may differ, and two at least, such as two swapped ones; of the shortest words one. More is
    // another word.
    let tolerated =
        |candidate: &str| (word.len().max(candidate.len()) / 3).max(if candidate.len() > 3 { 2 } else { 1 });
    known
        .iter()
        .map(|candidate| (strsim::levenshtein(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= tolerated(candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word_and_nonsense_does_not() {
        let known = ["schedules", "escalation_policies", "escalation_levels", "name"];
        assert_eq!(nearest("schedule", &known), Some("schedules"));
        assert_eq!(nearest("Escalation-Level", &known), Some("escalation_levels"));
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("nam", &known), Some("name"));
        assert_eq!(nearest("colour", &known), None);
    }
}
