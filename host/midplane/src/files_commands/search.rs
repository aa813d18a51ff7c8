//! `midplane files search`: hits are printed as the host finds them.

use std::{ops::ControlFlow, process::ExitCode};

use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    cli::Target,
    client::{Connection, Failure, finish, print_text},
};

/// The largest number of hits that the host tells.
const RESULTS_MAX: u32 = 20_000;

#[derive(Args)]
pub struct SearchArguments {
    /// The text, sought in every line.
    query: String,
    /// A directory, or the one file to search.
    #[arg(value_parser = super::there)]
    path: Option<String>,
    /// The query is a regular expression.
    #[arg(short = 'e', long)]
    regex: bool,
    /// Capitals and small letters are the same. Without this and -s, they are unless the query has a capital.
    #[arg(short, long)]
    ignore_case: bool,
    #[arg(short = 's', long, conflicts_with = "ignore_case")]
    case_sensitive: bool,
    /// Whole words only.
    #[arg(short, long)]
    word: bool,
    /// Files to search, or with a ! before it to leave out, as in .gitignore. May be repeated.
    #[arg(short, long = "glob")]
    globs: Vec<String>,
    /// Lines to show before and after each hit.
    #[arg(short = 'C', long, default_value_t = 0)]
    context: u32,
    /// Also names that begin with a dot.
    #[arg(long)]
    hidden: bool,
    /// Also what .gitignore and its like ignore.
    #[arg(long)]
    no_ignore: bool,
    /// Hits at most.
    #[arg(short, long, default_value_t = RESULTS_MAX)]
    max_results: u32,
    #[command(flatten)]
    target: Target,
}

impl SearchArguments {
    fn params(&self) -> Value {
        let (exclude, include): (Vec<&str>, Vec<&str>) =
            self.globs.iter().map(String::as_str).partition(|glob| glob.starts_with('!'));
        let exclude: Vec<&str> = exclude.iter().map(|glob| &glob[1..]).collect();
        let case = match (self.ignore_case, self.case_sensitive) {
            (true, _) => "insensitive",
            (_, true) => "sensitive",
            _ => "smart",
        };
        let mut params = json!({
            "query": self.query, "regex": self.regex, "case": case, "word": self.word,
            "include": include, "exclude": exclude, "context": self.context,
            "hidden": self.hidden, "ignored": self.no_ignore, "max_results": self.max_results,
            "timeout_ms": u64::try_from(self.target.timeout().as_millis()).unwrap_or(u64::MAX),
        });
        if let (Some(path), Some(params)) = (&self.path, params.as_object_mut()) {
            params.insert("path".into(), path.as_str().into());
        }
        params
    }
}

pub fn run(arguments: SearchArguments) -> ExitCode {
    let target = arguments.target.clone();
    finish(&target, search(arguments))
}

async fn search(arguments: SearchArguments) -> Result<(), Failure> {
    let (target, params) = (&arguments.target, arguments.params());
    let mut printer = Printer { json: target.json, context: arguments.context > 0, last: None };
    let mut connection = Connection::open(target).await?;
    let told = |part: &Value| printer.files(&part["files"]);
    let result = connection.call_told(target, "files.search", params, told).await.map_err(usage)?;
    // A closed pipe: whoever reads has enough, and the host stops when the connection ends.
    let Some(result) = result else { return Ok(()) };
    _ = printer.files(&result["files"]);
    if target.json {
        let rest: Map<String, Value> = result.as_object().cloned().unwrap_or_default();
        print_text(&Value::Object(rest.into_iter().filter(|(key, _)| key != "files").collect()).to_string());
    } else if let Some(limit) = result["truncated"].as_str() {
        eprintln!("midplane: there is more ({limit}); narrow the search, or raise the limit");
    }
    if result["hits"] == 0 { Err(Failure::Nothing) } else { Ok(()) }
}

/// A query that cannot be is a wrong argument.
fn usage(failure: Failure) -> Failure {
    match failure {
        Failure::Answer(error) if error["data"]["code"] == "invalid_params" => {
            Failure::Usage(error["message"].as_str().unwrap_or_default().to_owned())
        }
        failure => failure,
    }
}

struct Printer {
    /// A line of JSON for each file.
    json: bool,
    context: bool,
    /// The file and line that were printed last, to see where a gap is.
    last: Option<(String, u64)>,
}

impl Printer {
    /// Breaks when nobody reads any more.
    fn files(&mut self, files: &Value) -> ControlFlow<()> {
        for file in files.as_array().map_or(&[][..], Vec::as_slice) {
            if self.json {
                wrote(print_text(&file.to_string()))?;
                continue;
            }
            let path = file["path"].as_str().unwrap_or_default();
            for hit in file["hits"].as_array().map_or(&[][..], Vec::as_slice) {
                self.hit(path, hit)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn hit(&mut self, path: &str, hit: &Value) -> ControlFlow<()> {
        let around = |key: &str| hit[key].as_array().cloned().unwrap_or_default();
        for line in around("before") {
            self.line(path, &line, '-')?;
        }
        self.line(path, hit, ':')?;
        for line in around("after") {
            self.line(path, &line, '-')?;
        }
        ControlFlow::Continue(())
    }

    fn line(&mut self, path: &str, line: &Value, mark: char) -> ControlFlow<()> {
        let number = line["line"].as_u64().unwrap_or_default();
        let follows = |(last, before): &(String, u64)| last == path && before + 1 == number;
        if self.context && self.last.as_ref().is_some_and(|last| !follows(last)) {
            wrote(print_text("--"))?;
        }
        self.last = Some((path.to_owned(), number));
        let (start, end) = match line["cut"].as_bool() {
            Some(true) => (if line["text_column"] == 1 { "" } else { "…" }, "…"),
            _ => ("", ""),
        };
        let text = line["text"].as_str().unwrap_or_default();
        wrote(print_text(&format!("{path}{mark}{number}{mark}{start}{text}{end}")))
    }
}

fn wrote(wrote: bool) -> ControlFlow<()> {
    if wrote { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
