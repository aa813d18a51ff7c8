//! Output as text: recordings are UTF-8, and pieces of output end anywhere.

use super::super::scan::unfinished_char;

/// Turns pieces of output into text: a character that is cut waits for its rest, bytes that are none become U+FFFD.
#[derive(Default)]
pub struct TextPieces {
    begun: Vec<u8>,
}

impl TextPieces {
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let whole = self.begun.len() - unfinished_char(&self.begun);
        let later = self.begun.split_off(whole);
        let text = String::from_utf8_lossy(&self.begun).into_owned();
        self.begun = later;
        text
    }

    /// What waits for a rest that does not come.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_cut_come_whole_and_others_as_replacements() {
        let mut pieces = TextPieces::default();
        let bytes = "ä漢\u{1f600}".as_bytes();
        let text: String = bytes.iter().map(|byte| pieces.push(&[*byte])).collect();
        assert_eq!(text + &pieces.finish(), "ä漢\u{1f600}");
        assert_eq!((pieces.push(b"a\xffb\xe6\xbc"), pieces.finish()), ("a\u{fffd}b".into(), "\u{fffd}".into()));
    }
}
