//! Names as the disk has them and as text: any name can be told, sent back, and is the same name.
//!
//! A name is bytes, and most are UTF-8, which are their own text. A byte that is not part of UTF-8 becomes the character
//! U+EF00 + byte, so one of U+EF80 to U+EFFF: a private use that no font and no other software gives a meaning (the encoding of MirBSD's
//! `OPTU`; Python's `surrogateescape` takes surrogates for it, which JSON and WIT have not). Where such a character is in a name itself, its
//! three bytes are written so too; so there is one text for a name, and one name for a text.

use std::{
    borrow::Cow,
    ffi::{CString, OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use rustix::io::Errno;

/// What a byte is added to.
const BASE: u32 = 0xef00;

fn byte_of(char: char) -> Option<u8> {
    u8::try_from(u32::from(char).wrapping_sub(BASE)).ok().filter(|byte| *byte >= 0x80)
}

/// Whether there may be such a character: the first byte that they all have in UTF-8.
fn may_escape(bytes: &[u8]) -> bool {
    memchr::memchr(0xee, bytes).is_some()
}

/// The text of a name, or of a path, as the disk has it.
pub(crate) fn text_of(name: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(name) {
        Ok(text) if !may_escape(name) => Cow::Borrowed(text),
        _ => Cow::Owned(escape(name)),
    }
}

fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len() * 3);
    let escape = |text: &mut String, bytes: &[u8]| {
        text.extend(bytes.iter().filter_map(|byte| char::from_u32(BASE + u32::from(*byte))));
    };
    for chunk in name.utf8_chunks() {
        for char in chunk.valid().chars() {
            match byte_of(char) {
                None => text.push(char),
                Some(_) => escape(&mut text, char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// The name, or the path, that a text stands for.
pub(crate) fn on_disk(text: &str) -> Cow<'_, OsStr> {
    if !may_escape(text.as_bytes()) || !text.chars().any(|char| byte_of(char).is_some()) {
        return Cow::Borrowed(OsStr::new(text));
    }
    let mut name = Vec::with_capacity(text.len());
    for char in text.chars() {
        match byte_of(char) {
            Some(byte) => name.push(byte),
            None => name.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(OsString::from_vec(name))
}

/// As [`on_disk`], for loops over names of the disk.
///
/// # Errors
/// `EINVAL` for a text with NUL, which no name has.
pub(crate) fn on_disk_c(text: &str) -> Result<CString, Errno> {
    CString::new(on_disk(text).as_bytes()).map_err(|_| Errno::INVAL)
}

/// The one text for what a text stands for: bytes that are UTF-8 together need no escape.
pub(crate) fn canonical(text: &str) -> Cow<'_, str> {
    match on_disk(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(name) => Cow::Owned(text_of(name.as_bytes()).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_as_short_as_it_can_be() {
        assert_eq!(text_of(b"plain \xc3\xbc"), "plain \u{fc}");
        assert_eq!(text_of(b"caf\xe9"), "caf\u{efe9}");
        assert_eq!(text_of("\u{efe9}".as_bytes()), "\u{efee}\u{efbf}\u{efa9}");
        assert_eq!(text_of("\u{e000}\u{ef7f}\u{f000}".as_bytes()), "\u{e000}\u{ef7f}\u{f000}");
        assert_eq!(canonical("\u{efc3}\u{efbc}"), "\u{fc}");
    }

    proptest! {
        #[test]
        fn every_name_has_one_text_and_comes_back(
            name in prop_oneof![
                proptest::collection::vec(1_u8.., 0..40),
                "[a\u{ee}\u{ef80}-\u{efff}\u{fc}]{0,10}".prop_map(String::into_bytes),
            ],
        ) {
            let text = text_of(&name).into_owned();
            prop_assert_eq!(on_disk(&text).as_bytes().to_vec(), name);
            prop_assert_eq!(&*canonical(&text), &*text);
        }

        #[test]
        fn two_texts_for_one_name_become_one(text in "[a\u{ef80}-\u{efff}\u{fc}]{0,10}") {
            let one = canonical(&text).into_owned();
            prop_assert_eq!(on_disk(&one), on_disk(&text));
            prop_assert_eq!(&*canonical(&one), &*one);
        }
    }
}
