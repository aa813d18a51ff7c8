//! What the shell in a terminal says about itself: its folder (OSC 7), and where prompts, commands and their output begin
//! and end (OSC 133, and 633 as one editor has it). A shell says it only if it was told to.

use std::{collections::VecDeque, time::SystemTime};

use midplane_model::{event::rfc3339, limits::TERMINAL_COMMANDS_MAX};
use serde::{Serialize, Serializer};

/// Longest folder or command line that is kept; the rest is cut.
const TEXT_CHARS_MAX: usize = 4096;

/// A command that a shell has run, or runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// 1, 2, 3 … within the terminal.
    pub number: u64,
    /// As it was typed, where the shell tells.
    pub line: Option<String>,
    /// Where it was started, where the shell tells.
    pub cwd: Option<String>,
    /// Its output begins at this offset.
    pub from: u64,
    /// Its output ends here; `None` while it runs.
    pub to: Option<u64>,
    /// `None` while it runs, and where the shell does not say.
    pub exit_code: Option<i32>,
    #[serde(serialize_with = "as_rfc3339")]
    pub started_at: SystemTime,
    /// From start to end.
    pub duration_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No prompt yet, or a command has ended.
    Between,
    Prompt,
    /// After the prompt, from this offset.
    Line(u64),
    Running,
}

pub(super) struct ShellLog {
    cwd: Option<String>,
    /// The newest, oldest first.
    commands: VecDeque<Command>,
    begun: u64,
    ended: u64,
    stage: Stage,
    /// It says where output begins, so what ends without that was an empty line.
    marks_output: bool,
    line: Option<String>,
}

impl ShellLog {
    pub(super) fn new() -> Self {
        Self {
            cwd: None,
            commands: VecDeque::new(),
            begun: 0,
            ended: 0,
            stage: Stage::Between,
            marks_output: false,
            line: None,
        }
    }

    pub(super) fn cwd(&self) -> Option<&str> {
        self.cwd.as_deref()
    }

    /// The newest commands, oldest first; the last one may still run.
    pub(super) fn commands(&self, limit: usize) -> Vec<Command> {
        self.commands.iter().skip(self.commands.len().saturating_sub(limit)).cloned().collect()
    }

    /// How many commands have ended, ever.
    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// Takes what an OSC says, if it is of this kind. It stands at `at` in the output and takes `bytes`.
    pub(super) fn hear(&mut self, osc: &[u8], at: u64, bytes: u64) {
        let Ok(text) = std::str::from_utf8(osc) else { return };
        match text.split_once(';') {
            Some(("7", url)) => self.set_cwd(folder_of(url)),
            Some(("9", rest)) => self.set_cwd(rest.strip_prefix("9;").map(|path| path.trim_matches('"').to_owned())),
            Some(("1337", rest)) => self.set_cwd(rest.strip_prefix("CurrentDir=").map(str::to_owned)),
            Some(("133" | "633", mark)) => self.mark(mark, at, bytes),
            _ => {}
        }
    }

    fn mark(&mut self, mark: &str, at: u64, bytes: u64) {
        let (kind, rest) = mark.split_once(';').unwrap_or((mark, ""));
        match kind {
            "A" => {
                self.end(at, None);
                self.stage = Stage::Prompt;
            }
            "B" => self.stage = Stage::Line(at + bytes),
            "C" => {
                self.marks_output = true;
                self.end(at, None);
                let told = rest.split(';').find_map(|part| part.strip_prefix("cmdline_url=")).map(percent_decoded);
                self.begin(at + bytes, told);
            }
            "D" => {
                if let Stage::Line(from) = self.stage
                    && !self.marks_output
                {
                    self.begin(from, None);
                }
                self.end(at, rest.split(';').next().and_then(|code| code.parse().ok()));
            }
            "E" => self.line = Some(unescaped(rest.split(';').next().unwrap_or_default())),
            "P" => self.set_cwd(rest.strip_prefix("Cwd=").map(unescaped)),
            _ => {}
        }
    }

    fn begin(&mut self, from: u64, line: Option<String>) {
        self.begun += 1;
        if self.commands.len() == TERMINAL_COMMANDS_MAX {
            self.commands.pop_front();
        }
        self.commands.push_back(Command {
            number: self.begun,
            line: self.line.take().or(line).map(cut),
            cwd: self.cwd.clone(),
            from,
            to: None,
            exit_code: None,
            started_at: SystemTime::now(),
            duration_ms: None,
        });
        self.stage = Stage::Running;
    }

    fn end(&mut self, at: u64, exit_code: Option<i32>) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Between;
        self.ended += 1;
        if let Some(command) = self.commands.back_mut() {
            command.to = Some(at.max(command.from));
            command.exit_code = exit_code;
            let took = command.started_at.elapsed().unwrap_or_default();
            command.duration_ms = Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        }
    }

    fn set_cwd(&mut self, cwd: Option<String>) {
        if let Some(cwd) = cwd.filter(|cwd| !cwd.is_empty() && !cwd.contains(char::is_control)) {
            self.cwd = Some(cut(cwd));
        }
    }
}

/// The path of `file://host/path`.
fn folder_of(url: &str) -> Option<String> {
    let (_, path) = url.strip_prefix("file://")?.split_once('/')?;
    Some(percent_decoded(&format!("/{path}")))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1..at + 3).and_then(hex)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// `\\` is a backslash, `\x3b` the byte with that number.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let number = after.strip_prefix(b"x").and_then(|after| after.get(..2)).and_then(hex);
        rest = match (first, after.first(), number) {
            (b'\\', _, Some(byte)) => {
                bytes.push(byte);
                &after[3..]
            }
            (b'\\', Some(b'\\'), _) => {
                bytes.push(b'\\');
                &after[1..]
            }
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

fn as_rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(oscs: &[(&str, u64)]) -> ShellLog {
        let mut log = ShellLog::new();
        for (osc, at) in oscs {
            log.hear(osc.as_bytes(), *at, 10);
        }
        log
    }

    #[test]
    fn a_command_is_from_its_mark_to_the_next_with_its_exit_code() {
        let log = heard(&[
            ("7;file://host/home/ada/a%20b", 0),
            ("133;A", 0),
            ("133;B", 10),
            ("633;E;make \\x3b echo \\\\n;nonce", 20),
            ("133;C", 30),
            ("133;D;2", 90),
            ("133;A", 100),
        ]);
        let commands = log.commands(10);
        assert_eq!((commands.len(), log.ended(), log.cwd()), (1, 1, Some("/home/ada/a b")));
        let command = &commands[0];
        assert_eq!((command.from, command.to, command.exit_code, command.number), (40, Some(90), Some(2), 1));
        assert_eq!((command.line.as_deref(), command.cwd.as_deref()), (Some("make ; echo \\n"), Some("/home/ada/a b")));
    }

    #[test]
    fn a_shell_without_the_mark_of_output_has_commands_from_the_prompt_on() {
        let log = heard(&[("133;D;0", 0), ("133;A", 0), ("133;B", 10), ("133;D;1", 50), ("133;A", 60)]);
        let commands = log.commands(10);
        assert_eq!(commands.len(), 1);
        assert_eq!((commands[0].from, commands[0].to, commands[0].exit_code), (20, Some(50), Some(1)));
    }

    #[test]
    fn nonsense_is_not_heard() {
        let log = heard(&[
            ("7;nowhere", 0),
            ("133;", 0),
            ("133;D;x", 0),
            ("633;P;Cwd=", 0),
            ("9;text", 0),
            ("133;C;cmdline_url=a%2", 0),
        ]);
        assert_eq!((log.cwd(), log.ended()), (None, 0));
        assert_eq!(log.commands(1)[0].line.as_deref(), Some("a%2"));
    }
}
