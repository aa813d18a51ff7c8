//! Recordings of terminals as asciicast v2 (docs.asciinema.org/manual/asciicast/v2): a header and one event a line, each line
//! JSON, so that a file which ends anywhere is a recording up to its last whole line.
//!
//! Knows neither terminals nor clocks: bytes to lines and back.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod pace;
mod text;

use std::{
    io::{self, BufRead, Read},
    time::Duration,
};

use serde_json::{Value, json};

use super::size::Size;
pub use pace::Pace;
pub use text::TextPieces;

/// Longest line that is read; an event of this host's has at most 64 KiB of output, six times that as JSON.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The first line.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Of the screen when the recording begins.
    pub size: Size,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    pub title: Option<String>,
    /// Players should not wait longer than this between two events, in seconds.
    pub idle_time_limit: Option<f64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The program wrote.
    Output(String),
    /// Somebody typed.
    Input(String),
    Resize(Size),
    /// A place with a name.
    Marker(String),
}

impl Header {
    /// As a line, with its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut header = json!({ "version": 2, "width": self.size.cols, "height": self.size.rows });
        if let Some(timestamp) = self.timestamp {
            header["timestamp"] = timestamp.into();
        }
        if let Some(title) = self.title.as_deref().filter(|title| !title.is_empty()) {
            header["title"] = title.into();
        }
        if let Some(limit) = self.idle_time_limit {
            header["idle_time_limit"] = limit.into();
        }
        header["env"] = json!({ "TERM": "xterm-256color" });
        line(&header)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let header: Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
        match &header["version"] {
            Value::Number(version) if version.as_u64() == Some(2) => {}
            version => return Err(format!("is not the header of an asciicast v2: its version is {version}")),
        }
        let cells = |name: &str| header[name].as_u64().and_then(|cells| u16::try_from(cells).ok()).unwrap_or(0);
        Ok(Self {
            size: Size::new(cells("width"), cells("height")).map_err(|error| error.to_string())?,
            timestamp: header["timestamp"].as_u64(),
            title: header["title"].as_str().map(str::to_owned),
            idle_time_limit: header["idle_time_limit"].as_f64().filter(|limit| *limit >= 0.0),
        })
    }
}

impl Event {
    /// As a line, with its end; `at` counts from the beginning.
    #[must_use]
    pub fn line(&self, at: Duration) -> Vec<u8> {
        let (code, data) = match self {
            Self::Output(text) => ("o", text.clone()),
            Self::Input(text) => ("i", text.clone()),
            Self::Resize(Size { cols, rows }) => ("r", format!("{cols}x{rows}")),
            Self::Marker(label) => ("m", label.clone()),
        };
        // Whole microseconds: fractions of them are noise that makes lines longer.
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
        let seconds = at.as_micros() as f64 / 1e6;
        line(&json!([seconds, code, data]))
    }

    /// `None` for an event of a kind that is not known, which is to be skipped.
    fn parse(text: &str) -> Result<Option<(Duration, Self)>, String> {
        let (seconds, code, data): (f64, String, String) =
            serde_json::from_str(text).map_err(|error| format!("is no event: {error}"))?;
        let at = Duration::try_from_secs_f64(seconds).map_err(|_| format!("has no time: {seconds}"))?;
        let event = match code.as_str() {
            "o" => Self::Output(data),
            "i" => Self::Input(data),
            "m" => Self::Marker(data),
            "r" => {
                let cells =
                    data.split_once('x').and_then(|(cols, rows)| Some((cols.parse().ok()?, rows.parse().ok()?)));
                let (cols, rows) = cells.ok_or_else(|| format!("has no size: {data:?}"))?;
                Self::Resize(Size::new(cols, rows).map_err(|error| error.to_string())?)
            }
            _ => return Ok(None),
        };
        Ok(Some((at, event)))
    }
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Reads a recording line by line; the first whole line was its header.
pub struct Cast<R> {
    pub header: Header,
    lines: R,
    /// Of the line that was read last.
    number: u64,
}

impl<R: BufRead> Cast<R> {
    /// # Errors
    /// `InvalidData`, with the line, for what is no recording; those of reading.
    pub fn open(mut lines: R) -> io::Result<Self> {
        let header = next_line(&mut lines, 1)?.ok_or_else(|| refused(1, "is missing"))?;
        Ok(Self { header: Header::parse(&header).map_err(|problem| refused(1, &problem))?, lines, number: 1 })
    }

    /// The next event with its time since the beginning; `None` at the end. A last line without its end, as a crash leaves it,
    /// is the end.
    ///
    /// # Errors
    /// As [`Cast::open`].
    pub fn next_event(&mut self) -> io::Result<Option<(Duration, Event)>> {
        loop {
            self.number += 1;
            let Some(text) = next_line(&mut self.lines, self.number)? else { return Ok(None) };
            if text.trim().is_empty() {
                continue;
            }
            if let Some(event) = Event::parse(&text).map_err(|problem| refused(self.number, &problem))? {
                return Ok(Some(event));
            }
        }
    }
}

fn next_line(lines: &mut impl BufRead, number: u64) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        return if bytes.len() as u64 == LINE_BYTES_MAX { Err(refused(number, "is too long")) } else { Ok(None) };
    }
    String::from_utf8(bytes).map(Some).map_err(|_| refused(number, "is not UTF-8"))
}

fn refused(number: u64, problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {number} {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { cols: 80, rows: 24 };

    #[test]
    fn lines_are_as_the_format_says_and_are_read_back() {
        let header =
            Header { size: SIZE, timestamp: Some(1_504_467_315), title: Some("demo".into()), idle_time_limit: None };
        let events = [
            (Duration::from_micros(248_848), Event::Output("\u{1b}[1;31mHello \u{1b}[32m\u{2713}\u{1b}[0m".into())),
            (Duration::from_secs(1), Event::Input("l\r".into())),
            (Duration::from_secs(2), Event::Resize(Size { cols: 100, rows: 50 })),
            (Duration::from_millis(2500), Event::Marker("chapter".into())),
        ];
        let mut file = header.line();
        events.iter().for_each(|(at, event)| file.extend(event.line(*at)));
        let text = String::from_utf8(file.clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                r#"{"version":2,"width":80,"height":24,"timestamp":1504467315,"title":"demo","env":{"TERM":"xterm-256color"}}"#,
                r#"[0.248848,"o","\u001b[1;31mHello \u001b[32m✓\u001b[0m"]"#,
                r#"[1.0,"i","l\r"]"#,
                r#"[2.0,"r","100x50"]"#,
                r#"[2.5,"m","chapter"]"#,
            ]
        );
        // Cut anywhere, what is read are the first events.
        for length in lines[0].len() + 1..=file.len() {
            let mut cast = Cast::open(&file[..length]).unwrap();
            assert_eq!(cast.header, header);
            let mut read = Vec::new();
            while let Some(event) = cast.next_event().unwrap() {
                read.push(event);
            }
            assert_eq!(read, events[..read.len()]);
            assert_eq!(read.len(), file[lines[0].len() + 1..length].iter().filter(|byte| **byte == b'\n').count());
        }
    }

    proptest::proptest! {
        /// Whatever stands in a file, reading and pacing it ends.
        #[test]
        fn any_lines_are_read_or_refused(lines in proptest::collection::vec("(\\[[0-9e.-]{1,6}, ?\"[oirmx]\", ?\"[a-z0-9x]{0,9}\"\\]|\\PC{0,20})", 0..9)) {
            let text = format!("{{\"version\": 2, \"width\": 80, \"height\": 24}}\n{}", lines.join("\n"));
            let mut cast = Cast::open(text.as_bytes()).unwrap();
            let mut pace = Pace::new(0.01, None);
            let mut last = Duration::ZERO;
            while let Ok(Some((at, event))) = cast.next_event() {
                let due = pace.due(at);
                assert!(due >= last);
                last = due;
                assert_eq!(Event::parse(std::str::from_utf8(&event.line(at)).unwrap()).map(|read| read.map(|(_, event)| event)), Ok(Some(event)));
            }
        }
    }

    #[test]
    fn what_others_write_is_read_and_what_is_no_recording_is_refused_by_line() {
        let theirs = "{\"version\": 2, \"width\": 80, \"height\": 24, \"theme\": {}}\n[0, \"x\", \"?\"]\n\n[1.5e0, \"o\", \"a\"]\n";
        let mut cast = Cast::open(theirs.as_bytes()).unwrap();
        assert_eq!(cast.next_event().unwrap(), Some((Duration::from_millis(1500), Event::Output("a".into()))));
        assert_eq!(cast.next_event().unwrap(), None);
        let problem = |text: &str| {
            let mut cast = Cast::open(text.as_bytes()).map_err(|error| error.to_string())?;
            while cast.next_event().map_err(|error| error.to_string())?.is_some() {}
            Ok::<_, String>(())
        };
        for (text, line) in [
            ("", "line 1"),
            ("{\"version\": 1}\n", "line 1"),
            ("{\"version\": 2, \"width\": 0, \"height\": 24}\n", "line 1"),
            ("{\"version\": 2, \"width\": 80, \"height\": 24}\n[]\n", "line 2"),
            ("{\"version\": 2, \"width\": 80, \"height\": 24}\n[-1, \"o\", \"\"]\n", "line 2"),
            ("{\"version\": 2, \"width\": 80, \"height\": 24}\n[1, \"o\", \"\"]\n[1, \"r\", \"9\"]\n", "line 3"),
        ] {
            assert!(problem(text).unwrap_err().starts_with(line), "{text:?}");
        }
    }
}
