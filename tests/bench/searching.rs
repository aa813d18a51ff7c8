//! Searching a large tree, beside ripgrep over the same tree: the same lines in the same order, or an error.

use std::{fmt::Write, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use midplane_tests::Host;
use serde_json::{Value, json};

use crate::{
    report::{Samples, line},
    wire::Connection,
};

const FILES: usize = 20_000;
const ROUNDS: usize = 10;

pub async fn searching() -> Result<()> {
    let host = Host::start().await?;
    make_tree(&host.directory)?;
    for (what, query, regex) in [
        ("a text in 200 files of 20,000", "a needle", false),
        ("a text that is nowhere", "no such text", false),
        ("a regular expression, 2,000 lines", r"needle \w+ number [0-9]+7\b|rare thing", true),
    ] {
        search(&host, what, query, regex).await?;
    }
    Ok(())
}

/// 20,000 files of some 60 lines in 400 directories, a tenth of them ignored.
fn make_tree(root: &Path) -> Result<()> {
    std::fs::write(root.join(".gitignore"), "ignored-*/\n")?;
    for number in 0..FILES {
        let directory = number / 50;
        let kind = if directory % 10 == 9 { "ignored" } else { "module" };
        let folder = root.join(format!("{kind}-{}/{directory}", directory / 20));
        std::fs::create_dir_all(&folder)?;
        let mut text = String::new();
        for row in 0..60 {
            writeln!(text, "    let value_{row} = compute(&{number}, {row} * {});", number % 97)?;
        }
        if number % 90 == 0 {
            writeln!(text, "// a needle in file {number}")?;
        }
        if number % 9 == 0 {
            writeln!(text, "// needle with number {number}7")?;
        }
        std::fs::write(folder.join(format!("{number}.rs")), text)?;
    }
    Ok(())
}

async fn search(host: &Host, what: &str, query: &str, regex: bool) -> Result<()> {
    let mut connection = Connection::to(host).await?;
    let body = json!({ "query": query, "regex": regex, "case": "sensitive", "max_results": 20_000 }).to_string();
    let (mut ours, mut sorted, mut unsorted) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let answer = connection.exchange("POST", "/api/v1/files/search", body.as_bytes()).await?;
        ours.push(begin.elapsed());
        let begin = Instant::now();
        let expected = ripgrep(host, query, regex, &["--sort", "path"])?;
        sorted.push(begin.elapsed());
        let begin = Instant::now();
        ripgrep(host, query, regex, &[])?;
        unsorted.push(begin.elapsed());
        ensure!(lines_of(&answer)? == expected, "{what}: other lines than ripgrep, or in another order");
    }
    line(&format!("search: {what}, median"), ours.quantile(0.5), "rg", unsorted.quantile(0.5));
    line("the same", ours.quantile(0.5), "rg --sort path", sorted.quantile(0.5));
    Ok(())
}

/// `path:line:` of each hit.
fn lines_of(answer: &[u8]) -> Result<Vec<String>> {
    let answer: Value = serde_json::from_slice(answer)?;
    ensure!(answer["truncated"].is_null(), "not all was searched: {}", answer["truncated"]);
    let mut lines = Vec::new();
    for file in answer["files"].as_array().context("files")? {
        let path = file["path"].as_str().context("path")?;
        for hit in file["hits"].as_array().context("hits")? {
            lines.push(format!("{path}:{}", hit["line"]));
        }
    }
    Ok(lines)
}

fn ripgrep(host: &Host, query: &str, regex: bool, order: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("rg");
    command.current_dir(&host.directory).args(["--no-require-git", "--no-config", "--no-heading", "--line-number"]);
    command.args(order).args((!regex).then_some("--fixed-strings")).args(["--", query, "."]);
    let output = command.output().context("ripgrep (`rg`) is needed beside this benchmark")?;
    let text = String::from_utf8(output.stdout)?;
    let place = |line: &str| {
        let mut parts = line.trim_start_matches("./").splitn(3, ':');
        Some(format!("{}:{}", parts.next()?, parts.next()?))
    };
    Ok(text.lines().filter_map(place).collect())
}
