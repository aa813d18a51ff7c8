//! Words, and which of them are close to another one. Pure: tested natively with `cargo test`.

use std::collections::BTreeSet;

const BUILT_IN: &str = "a an and are as at be by can does each every file for from has have host in is it its list means \
    no not of on one or plugin say service terminal text that the their them then there this to was what where which who \
    with word workspace you";
/// Suggestions for one word.
const SUGGESTIONS_MAX: usize = 3;
/// Changed letters up to which a word is close to another one.
const DISTANCE_MAX: usize = 2;

pub struct Dictionary(BTreeSet<String>);

impl Dictionary {
    pub fn built_in() -> Self {
        Self(BUILT_IN.split_whitespace().map(str::to_owned).collect())
    }

    pub fn extend<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        self.0.extend(words.map(str::to_lowercase));
    }

    pub fn knows(&self, word: &str) -> bool {
        self.0.contains(&word.to_lowercase())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn suggestions(&self, word: &str) -> Vec<String> {
        let word = word.to_lowercase();
        let mut close: Vec<(usize, &String)> = self
            .0
            .iter()
            .map(|known| (distance(known, &word), known))
            .filter(|(far, _)| *far <= DISTANCE_MAX)
            .collect();
        close.sort();
        close.into_iter().take(SUGGESTIONS_MAX).map(|(_, known)| known.clone()).collect()
    }
}

/// The words of a text with their byte offsets.
pub fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// Letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_byte_offsets() {
        assert_eq!(words("gr\u{fc}n, two").collect::<Vec<_>>(), [(0, "gr\u{fc}n"), (7, "two")]);
    }

    #[test]
    fn close_words_are_suggested_the_closest_first() {
        let dictionary = Dictionary::built_in();
        assert!(dictionary.knows("The"));
        assert_eq!(dictionary.suggestions("plugni").first().map(String::as_str), Some("plugin"));
        assert!(dictionary.suggestions("zzzzzzzz").is_empty());
    }
}
