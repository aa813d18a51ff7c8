//! The profile of terminals that programs work in: a shell without a person's habits, which marks its commands and never asks.

/// Programs with a person's habits are told that none is there; an editor that opens closes at once.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("EDITOR", "true"),
    ("GIT_EDITOR", "true"),
    ("MANPAGER", "cat"),
    ("NO_UPDATE_NOTIFIER", "1"),
    ("PIP_NO_INPUT", "1"),
    ("SUDO_ASKPASS", "/bin/false"),
    ("SYSTEMD_PAGER", "cat"),
    ("VISUAL", "true"),
];

/// Shells to try where none is named. The first marks commands and their output, the second their end.
pub const SHELLS: [&str; 2] = ["bash", "sh"];

/// Arguments and variables with which a shell that nobody gave arguments begins.
pub fn setting(shell: &str) -> (Vec<String>, Vec<(String, String)>) {
    let mut env: Vec<(String, String)> = ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
    let args: &[&str] = match shell.rsplit('/').next().unwrap_or(shell) {
        "bash" => {
            // Before each prompt: the exit code of what ran, and the folder. Before output: that it begins.
            set("PROMPT_COMMAND", r#"printf '\033]133;D;%s\007\033]7;file://%s%s\007' "$?" "$HOSTNAME" "$PWD""#);
            set("PS1", r"\[\e]133;A\a\]\w \$ \[\e]133;B\a\]");
            set("PS0", r"\e]133;C\a");
            &["--noprofile", "--norc"]
        }
        "zsh" => {
            set("PS1", "%{\x1b]133;D;%?\x07\x1b]133;A\x07%}%~ %# %{\x1b]133;B\x07%}");
            &["-f"]
        }
        "sh" | "dash" => {
            set("PS1", "\x1b]133;D;$?\x07\x1b]133;A\x07\\$ \x1b]133;B\x07");
            &[]
        }
        _ => &[],
    };
    (args.iter().map(|&arg| arg.to_owned()).collect(), env)
}
