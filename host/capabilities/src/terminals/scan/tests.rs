use proptest::prelude::*;

use super::*;

/// What passes, what is asked, and the OSCs that were found.
fn scanned(chunks: &[&[u8]]) -> (Vec<u8>, Vec<Query>, Vec<Vec<u8>>) {
    let Scanned { output, queries, oscs, .. } = Scanned::of(chunks);
    (output, queries, oscs)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Scanned {
    output: Vec<u8>,
    /// Output and questions, where they stood.
    all: Vec<u8>,
    queries: Vec<Query>,
    oscs: Vec<Vec<u8>>,
    /// As the emulator is told, but for strings.
    shown: Vec<u8>,
}

impl Scanned {
    fn of(chunks: &[&[u8]]) -> Self {
        let mut scanned = Self::default();
        let mut scanner = Scanner::new();
        for chunk in chunks {
            scanner.push(chunk, |piece| scanned.take(piece));
        }
        scanner.finish(|piece| scanned.take(piece));
        scanned
    }

    fn take(&mut self, piece: Piece<'_>) {
        let passed = match piece {
            Piece::Plain(bytes) | Piece::Shown(bytes) => {
                self.shown.extend_from_slice(bytes);
                bytes
            }
            Piece::Wide { written, shown } => {
                self.shown.extend_from_slice(shown);
                written
            }
            Piece::Unshown(bytes) | Piece::Repeat(bytes, _) => bytes,
            Piece::Osc(content, _) => return self.oscs.push(content.to_owned()),
            Piece::Query(query, bytes) => {
                self.queries.push(query);
                return self.all.extend_from_slice(bytes);
            }
        };
        self.all.extend_from_slice(passed);
        self.output.extend_from_slice(passed);
    }
}

/// `stream` in pieces of these lengths, again and again.
fn cut<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut chunks, mut rest) = (Vec::new(), stream);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, later) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk);
        rest = later;
    }
    chunks
}

/// Every question, each with what it is.
fn questions() -> Vec<(&'static [u8], Query)> {
    let colors = |asked: &[Color], end: &[u8]| Query::Colors { asked: asked.to_vec(), end: end.to_vec() };
    vec![
        (b"\x1b[c", Query::PrimaryAttributes),
        (b"\x1bZ", Query::PrimaryAttributes),
        (b"\x1b[>0c", Query::SecondaryAttributes),
        (b"\x1b[=c", Query::TertiaryAttributes),
        (b"\x1b[5n", Query::Status),
        (b"\x1b[6n", Query::CursorPosition { private: false }),
        (b"\x1b[?6n", Query::CursorPosition { private: true }),
        (b"\x1b[?996n", Query::PrivateStatus(996)),
        (b"\x1b[?2026$p", Query::Mode { private: true, number: 2026 }),
        (b"\x1b[4$p", Query::Mode { private: false, number: 4 }),
        (b"\x1b[>q", Query::Version),
        (b"\x1b[18t", Query::Window(18)),
        (b"\x1b[x", Query::LineParameters(0)),
        (b"\x1b[?1;1;0S", Query::Graphics(1)),
        (b"\x1b[?u", Query::Unanswered),
        (b"\x1b]10;?\x07", colors(&[Color::Dynamic(10)], b"\x07")),
        (b"\x1b]11;?\x1b\\", colors(&[Color::Dynamic(11)], b"\x1b\\")),
        (b"\x1b]4;1;?;255;?\x07", colors(&[Color::Palette(1), Color::Palette(255)], b"\x07")),
        (b"\x1b]52;c;?\x07", Query::Unanswered),
        (b"\x1bP$qm\x1b\\", Query::Setting(b"m".to_vec())),
        (b"\x1bP+q544e;436f\x1b\\", Query::Capabilities(b"544e;436f".to_vec())),
        (b"\xc2\x9a", Query::PrimaryAttributes),
        (b"\xc2\x9b6n", Query::CursorPosition { private: false }),
        (b"\xc2\x9d11;?\xc2\x9c", colors(&[Color::Dynamic(11)], b"\x1b\\")),
        (b"\xc2\x90$qm\x1b\\", Query::Setting(b"m".to_vec())),
        (b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\", Query::Unanswered),
    ]
}

#[test]
fn questions_leave_the_output_wherever_a_read_cuts_them() {
    for (question, query) in questions() {
        let stream = [b"a\x1b[31mb", question, b"c\x1b]0;t\x1b\\d\xff\xc3"].concat();
        for cut in 0..stream.len() {
            let (output, queries, oscs) = scanned(&[&stream[..cut], &stream[cut..]]);
            assert_eq!(output, b"a\x1b[31mbc\x1b]0;t\x1b\\d\xff\xc3", "{query:?} cut at {cut}");
            assert_eq!(queries, std::slice::from_ref(&query), "cut at {cut}");
            assert_eq!(oscs, [b"0;t"]);
        }
    }
}

#[test]
fn all_else_passes_unchanged() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"m"].concat();
    let image = [b"\x1bPq".as_slice(), &[b'#'; 100_000], b"\x1b\\"].concat();
    for stream in [
        &every_byte[..],
        &long,
        &image,
        b"\x1b[\x186n",
        b"\x1b\x1b[1mx\x1b",
        b"\x1b(B\x1b[?1049h\x1b[2 q",
        b"\x1b[7n\x1b[?1c\x1b[8;24;80t\x1b[65535b",
        b"\x1b]10;#fff\x07\x1b]4;1;red\x1b\\\x1b]52;c;aGk=\x07",
        b"\x1b]0;\x1b[5x\x1b]11;?",
        b"\x1bP$q\x18m\x1b_Gi=1\x1b\\\x1b",
    ] {
        for cut in (0..stream.len()).step_by(1 + stream.len() / 300) {
            let (output, queries, _) = scanned(&[&stream[..cut], &stream[cut..]]);
            assert_eq!(output, stream, "cut at {cut}");
            assert_eq!(queries, []);
        }
    }
}

#[test]
fn a_control_within_a_question_is_kept_and_one_in_a_string_ends_it() {
    assert_eq!(scanned(&[b"\x1b[6\nn"]).0, b"\n");
    let (output, queries, _) = scanned(&[b"\x1b]0;title\x1b[6n"]);
    assert_eq!((&output[..], queries.len()), (&b"\x1b]0;title"[..], 1));
}

proptest! {
    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        tokens in proptest::collection::vec((0..questions().len() + 12, any::<u8>()), 0..40),
        cuts in proptest::collection::vec(1..9_usize, 1..200),
    ) {
        let stream: Vec<u8> = tokens.iter().flat_map(|&(kind, byte)| match kind.checked_sub(12) {
            Some(question) => questions()[question].0.to_vec(),
            None => [&b"\x1b"[..], b"[", b"]", b"P", b"\x07", b"\x1b\\", b";", b"?", b"6n", b"10;?", b"\x18", &[byte]][kind].to_vec(),
        }).collect();
        let whole = Scanned::of(&[&stream]);
        prop_assert_eq!(Scanned::of(&cut(&stream, &cuts)), whole);
    }

    /// Text, sequences, noise: nothing but questions is missing, and those can be put back where they stood.
    #[test]
    fn what_comes_in_is_what_goes_out_and_what_is_asked(
        tokens in proptest::collection::vec((0..questions().len() + 8, proptest::collection::vec(any::<u8>(), 0..6)), 0..60),
        cuts in proptest::collection::vec(1..40_usize, 1..50),
    ) {
        let stream: Vec<u8> = tokens.iter().flat_map(|(kind, noise)| match kind.checked_sub(8) {
            Some(question) => questions()[question].0.to_vec(),
            None => [[&b""[..], b"\x1b", b"\x1b[", b"\xc2", b"\xc2\x9b", b"\x1b]", b"\x1bP", b"\x1b_G"][*kind], noise].concat(),
        }).collect();
        let scanned = Scanned::of(&cut(&stream, &cuts));
        prop_assert_eq!(scanned.all.len(), stream.len());
        // A control within a question comes before it; so it does in the order of bytes by number.
        let sorted = |bytes: &[u8]| { let mut bytes = bytes.to_vec(); bytes.sort_unstable(); bytes };
        prop_assert_eq!(sorted(&scanned.all), sorted(&stream));
        let text: Vec<u8> = stream.iter().copied().filter(|byte| !matches!(byte, 0..=0x1a | 0x1c..=0x1f | 0x7f)).collect();
        let scanned = Scanned::of(&cut(&text, &cuts));
        prop_assert_eq!(scanned.all, text);
    }
}

#[test]
fn controls_of_two_bytes_pass_as_written_and_are_shown_as_what_they_mean() {
    let stream = "a\u{9b}1mb\u{85}c\u{a3}\u{9d}0;title\u{9c}d\u{9b}\u{9b}2J".as_bytes();
    for at in 0..stream.len() {
        let scanned = Scanned::of(&[&stream[..at], &stream[at..]]);
        assert_eq!(scanned.output, stream, "cut at {at}");
        assert_eq!(scanned.shown, "a\x1b[1mb\x1bEc\u{a3}d\x1b[\x1b[2J".as_bytes(), "cut at {at}");
        assert_eq!(scanned.oscs, [b"0;title"]);
    }
    // Alone in the stream they are no characters and no controls.
    assert_eq!(Scanned::of(&[b"\x9b6n\x9bc"]).output, b"\x9b6n\x9bc");
}
