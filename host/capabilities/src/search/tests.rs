//! Real trees, and the tool that everybody knows beside them.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use midplane_model::limits::SEARCH_DEPTH_MAX;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

struct Tree {
    dir: tempfile::TempDir,
    root: Root,
    searches: Searches,
}

/// What a search has told.
struct Told {
    files: Vec<FileHits>,
    summary: Summary,
}

impl Tree {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        for (path, bytes) in files {
            write(dir.path(), path, bytes);
        }
        let root = Root::open(dir.path()).expect("root");
        Self { dir, root, searches: Searches::default() }
    }

    async fn search(&self, query: Query) -> Result<Told, SearchError> {
        let mut search = self.searches.start(&self.root, query, &CancellationToken::new());
        let mut files = Vec::new();
        loop {
            match search.next().await? {
                News::Found(batch) => files.extend(batch),
                News::Done(summary) => return Ok(Told { files, summary }),
            }
        }
    }

    /// Waits until no thread works for a search.
    async fn idle(&self) {
        while self.searches.stats().running > 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Told {
    fn paths(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    /// `path:line` of everything.
    fn places(&self) -> Vec<String> {
        let of = |file: &FileHits| -> Vec<String> {
            file.hits.iter().map(|hit| format!("{}:{}", file.path, hit.line.number)).collect()
        };
        self.files.iter().flat_map(of).collect()
    }
}

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
    fs::write(path, bytes).expect("write");
}

fn query(text: &str) -> Query {
    Query::new(text, PATIENCE)
}

#[tokio::test]
async fn lines_are_found_in_the_order_of_paths_with_places_context_and_version() {
    let text = "one\ntwo\nneedle and needle\nfour\n";
    let tree = Tree::new(&[("b.txt", text.as_bytes()), ("a/z.txt", b"x needle\n"), ("a-b.txt", b"no\n")]);
    let told = tree.search(Query { context_lines: 1, ..query("needle") }).await.expect("search");
    assert_eq!(told.places(), ["a/z.txt:1", "b.txt:3"]);
    let file = &told.files[1];
    let hit = &file.hits[0];
    assert_eq!(hit.spans, [Span { column: 1, length: 6 }, Span { column: 12, length: 6 }]);
    let around = |lines: &[Line]| lines.iter().map(|line| (line.number, line.text.clone())).collect::<Vec<_>>();
    assert_eq!((around(&hit.before), around(&hit.after)), (vec![(2, "two".into())], vec![(4, "four".into())]));
    let stat = tree.root.stat(&file.path).await.expect("stat");
    assert_eq!(file.version, stat.version);
    assert_eq!(told.summary, Summary { results: 2, files: 3, ..Summary::default() });
}

#[tokio::test]
async fn case_words_and_expressions_are_as_asked_for() {
    let tree = Tree::new(&[("a", b"Word\nword\nwording\nw.rd\n")]);
    let lines = async |query: Query| -> Vec<u64> {
        let told = tree.search(query).await.expect("search");
        told.files.iter().flat_map(|file| &file.hits).map(|hit| hit.line.number).collect()
    };
    assert_eq!(lines(query("word")).await, [1, 2, 3]);
    assert_eq!(lines(query("Word")).await, [1]);
    assert_eq!(lines(Query { case: Case::Sensitive, ..query("word") }).await, [2, 3]);
    assert_eq!(lines(Query { case: Case::Insensitive, ..query("WORD") }).await, [1, 2, 3]);
    assert_eq!(lines(Query { word: true, ..query("word") }).await, [1, 2]);
    assert_eq!(lines(query("w.rd")).await, [4]);
    assert_eq!(lines(Query { regex: true, ..query("^w.rd$") }).await, [1, 2, 4]);
}

#[tokio::test]
async fn what_is_ignored_hidden_binary_or_not_included_is_left_out_unless_asked_for() {
    let tree = Tree::new(&[
        (".gitignore", b"*.log\nout/\n"),
        ("a.rs", b"needle\n"),
        ("b.log", b"needle\n"),
        (".hidden", b"needle\n"),
        ("out/c.rs", b"needle\n"),
        ("bin.rs", b"needle\0\n"),
        (".git/config", b"needle\n"),
        ("wide.txt", b"\xff\xfen\0e\0e\0d\0l\0e\0\n\0"),
    ]);
    let all = tree.search(query("needle")).await.expect("search");
    assert_eq!(all.paths(), ["a.rs", "wide.txt"]);
    assert_eq!(all.summary.binary, 1);
    let paths = async |query: Query| -> Vec<String> {
        tree.search(query).await.expect("search").paths().into_iter().map(str::to_owned).collect()
    };
    assert_eq!(paths(Query { include: vec!["*.rs".into()], ..query("needle") }).await, ["a.rs"]);
    assert_eq!(paths(Query { exclude: vec!["*.rs".into()], ..query("needle") }).await, ["wide.txt"]);
    assert_eq!(paths(Query { hidden: true, ..query("needle") }).await, [".hidden", "a.rs", "wide.txt"]);
    let ignored = paths(Query { ignored: true, ..query("needle") }).await;
    assert_eq!(ignored, ["a.rs", "b.log", "out/c.rs", "wide.txt"]);
    let one = Query { path: RelativePath::parse("b.log").expect("path"), ..query("needle") };
    assert_eq!(paths(one).await, ["b.log"]);
}

#[tokio::test]
async fn nothing_outside_the_root_or_above_a_floor_is_searched() {
    let outside = tempfile::tempdir().expect("temporary directory");
    write(outside.path(), "secret", b"needle\n");
    let tree = Tree::new(&[("in/a", b"needle\n"), ("b", b"needle\n")]);
    std::os::unix::fs::symlink(outside.path(), tree.dir.path().join("in/link")).expect("link");
    std::os::unix::fs::symlink(outside.path().join("secret"), tree.dir.path().join("in/secret")).expect("link");
    assert_eq!(tree.search(query("needle")).await.expect("search").paths(), ["b", "in/a"]);
    let through = Query { path: RelativePath::parse("in/link").expect("path"), ..query("needle") };
    assert!(matches!(tree.search(through).await, Err(SearchError::Path(_))));
    let narrow = Tree { root: tree.root.within(RelativePath::parse("in").expect("path")), ..tree };
    assert!(matches!(narrow.search(query("needle")).await, Err(SearchError::Path(_))));
    let inside = Query { path: RelativePath::parse("in").expect("path"), ..query("needle") };
    assert_eq!(narrow.search(inside).await.expect("search").paths(), ["in/a"]);
}

#[tokio::test]
async fn the_first_results_are_told_and_what_is_beyond_a_limit_is_said() {
    let files: Vec<(String, Vec<u8>)> = (0..200).map(|n| (format!("{n:03}"), b"needle\nneedle\n".to_vec())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    let tree = Tree::new(&files);
    let told = tree.search(Query { results_max: 3, ..query("needle") }).await.expect("search");
    assert_eq!(
        (told.places(), told.summary.limit),
        (vec!["000:1".into(), "000:2".into(), "001:1".into()], Some(Limit::Results))
    );
    let exact = tree.search(Query { results_max: 400, ..query("needle") }).await.expect("search");
    assert_eq!((exact.summary.results, exact.summary.limit), (400, None));
    let told = tree.search(Query { bytes_max: 1000, ..query("needle") }).await.expect("search");
    assert_eq!((told.summary.limit, told.places().last().is_some()), (Some(Limit::Bytes), true));
    assert!(told.files.len() < 20);
    let late = Query { time_max: Duration::ZERO, ..query("needle") };
    assert_eq!(tree.search(late).await.expect("search").summary.limit, Some(Limit::Time));
}

#[tokio::test]
async fn a_query_that_cannot_be_is_refused_by_the_name_of_its_parameter() {
    let tree = Tree::new(&[("a", b"x\n")]);
    let path = async |query: Query| -> String {
        let error = tree.search(query).await.err().expect("an error");
        midplane_model::Fault::from(error).details["path"].as_str().expect("path").to_owned()
    };
    assert_eq!(path(query("")).await, "params.query");
    assert_eq!(path(query("a\nb")).await, "params.query");
    assert_eq!(path(Query { regex: true, ..query("(") }).await, "params.query");
    assert_eq!(path(Query { regex: true, ..query(r"\w{1000}{1000}") }).await, "params.query");
    assert_eq!(path(Query { include: vec!["[".into()], ..query("a") }).await, "params.include");
    assert_eq!(path(Query { exclude: vec!["!a".into()], ..query("a") }).await, "params.exclude");
    assert_eq!(path(Query { context_lines: 1000, ..query("a") }).await, "params.context");
}

/// So much to find that a search lasts until somebody takes it all.
fn endless() -> Tree {
    let lines = "needle needle needle\n".repeat(20_000);
    Tree::new(&[("a", lines.as_bytes()), ("b", lines.as_bytes()), ("c", lines.as_bytes())])
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_ends_its_threads() {
    let tree = endless();
    let cancel = CancellationToken::new();
    let mut search = tree.searches.start(&tree.root, query("needle"), &cancel);
    assert!(matches!(search.next().await, Ok(News::Found(_))));
    assert_eq!(tree.searches.stats().running, 1);
    cancel.cancel();
    tree.idle().await;

    let mut dropped = tree.searches.start(&tree.root, query("needle"), &CancellationToken::new());
    assert!(dropped.next().await.is_ok());
    drop(dropped);
    tree.idle().await;
    assert_eq!(tree.searches.stats().begun, 2);
}

#[tokio::test]
async fn a_line_that_is_too_long_for_memory_costs_its_file_and_no_other() {
    let tree = Tree::new(&[("b", b"needle\n")]);
    let long = fs::File::create(tree.dir.path().join("a")).expect("create");
    std::io::Write::write_all(&mut &long, &vec![b'x'; 9 * 1024 * 1024]).expect("write");
    let told = tree.search(query("needle")).await.expect("search");
    assert_eq!((told.paths(), told.summary.unreadable), (vec!["b"], 1));
}

#[tokio::test]
async fn what_lies_deeper_than_a_search_goes_is_said_to_be_left_out() {
    let reached = format!("{}a", "d/".repeat(SEARCH_DEPTH_MAX - 1));
    let beyond = format!("{}b", "d/".repeat(SEARCH_DEPTH_MAX));
    let tree = Tree::new(&[(&reached, b"needle\n"), (&beyond, b"needle\n")]);
    let told = tree.search(query("needle")).await.expect("search");
    assert_eq!((told.paths(), told.summary.unreadable), (vec![reached.as_str()], 1));
}

#[tokio::test]
async fn closing_ends_what_runs_and_what_comes_later() {
    let tree = endless();
    let mut search = tree.searches.start(&tree.root, query("needle"), &CancellationToken::new());
    assert!(search.next().await.is_ok());
    tree.searches.close().await;
    assert_eq!(tree.searches.stats().running, 0);
    let mut later = tree.searches.start(&tree.root, query("needle"), &CancellationToken::new());
    assert!(matches!(later.next().await, Err(SearchError::Over)));
}

#[tokio::test]
async fn more_searches_than_may_run_take_turns() {
    let tree = Tree::new(&[("a", b"needle\n")]);
    let mut running: Vec<Search> = (0..3 * SEARCHES_MAX)
        .map(|_| tree.searches.start(&tree.root, query("needle"), &CancellationToken::new()))
        .collect();
    for search in &mut running {
        assert!(matches!(search.next().await, Ok(News::Found(_))));
        assert!(matches!(search.next().await, Ok(News::Done(Summary { results: 1, .. }))));
    }
}

/// A tree as projects have them: rules at several depths, exceptions from them, hidden and binary files.
fn project() -> Tree {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let words = ["alpha", "Beta", "needle", "haystack", "Needle", "naïve", "fn", "end"];
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("32 bits") % below
    };
    for directory in
        ["", "src", "src/deep/er", "target/debug", "docs", "vendor/pkg", "vendor/pkg/src", ".cache", "src-gen"]
    {
        for n in 0..12 {
            let ending = if n % 4 == 0 { "\r\n" } else { "\n" };
            let mut text = String::new();
            for _ in 0..random(60) {
                let line: Vec<&str> = (0..random(9)).map(|_| words[random(words.len())]).collect();
                text.push_str(&line.join(" "));
                text.push_str(ending);
            }
            let name =
                ["a.rs", "b.txt", "c.log", "keep.log", "e.md", ".f", "g", "h.rs.bak", "i-1", "i.1", "i1", "Z"][n];
            let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
            files.insert(path, text.into_bytes());
        }
    }
    files.insert(".gitignore".into(), b"target/\n*.log\n!keep.log\n/src-gen/i*\n".to_vec());
    files.insert("src/.gitignore".into(), b"*.bak\n!c.log\n".to_vec());
    files.insert("vendor/.ignore".into(), b"/pkg/src/g\n!*.log\n".to_vec());
    files.insert("docs/image".into(), b"needle\0needle\n".to_vec());
    files.insert(".git/HEAD".into(), b"ref: needle\n".to_vec());
    files.insert(".git/info/exclude".into(), b"docs/e.md\n".to_vec());
    Tree::new(&files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

#[tokio::test]
async fn the_same_lines_are_found_in_the_same_order_as_by_ripgrep() {
    if Command::new("rg").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "ripgrep is missing, which .ci/run installs");
        return;
    }
    let tree = project();
    let cases: [(&[&str], Query); 7] = [
        (&["--smart-case", "--fixed-strings", "needle"], query("needle")),
        (&["--fixed-strings", "Needle"], Query { case: Case::Sensitive, ..query("Needle") }),
        (
            &["--ignore-case", r"\bnai?ï?ve\b|end$"],
            Query { regex: true, case: Case::Insensitive, ..query(r"\bnai?ï?ve\b|end$") },
        ),
        (&["--word-regexp", "--smart-case", "fn"], Query { word: true, ..query("fn") }),
        (
            &["--smart-case", "--glob", "*.rs", "--glob", "!src/deep/**", "alpha"],
            Query { include: vec!["*.rs".into()], exclude: vec!["src/deep/**".into()], ..query("alpha") },
        ),
        (&["--smart-case", "--glob", "*.log", "alpha"], Query { include: vec!["*.log".into()], ..query("alpha") }),
        (&["--smart-case", "--hidden", "--glob", "!.git", "alpha"], Query { hidden: true, ..query("alpha") }),
    ];
    for (arguments, query) in cases {
        let output = Command::new("rg")
            .current_dir(tree.dir.path())
            .args(["--no-config", "--no-ignore-global", "--no-ignore-parent", "--no-require-git", "--crlf"])
            .args(["--sort", "path", "--with-filename", "--line-number", "--no-heading", "--color", "never"])
            .args(arguments)
            .output()
            .expect("rg");
        let theirs = String::from_utf8(output.stdout).expect("text");
        let theirs: Vec<&str> = theirs.lines().map(|line| line.trim_end_matches('\r')).collect();
        let told = tree.search(query).await.expect("search");
        let of = |file: &FileHits| -> Vec<String> {
            file.hits.iter().map(|hit| format!("{}:{}:{}", file.path, hit.line.number, hit.line.text)).collect()
        };
        let ours: Vec<String> = told.files.iter().flat_map(of).collect();
        assert!(!theirs.is_empty(), "{arguments:?} finds something");
        assert_eq!(ours, theirs, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_replacement_says_what_lines_would_be_with_the_groups_of_an_expression() {
    let tree = Tree::new(&[("a", b"fn old(a)\r\nother old $1\n")]);
    let lines = async |query: Query| -> Vec<String> {
        let told = tree.search(query).await.expect("search");
        told.files.into_iter().flat_map(|file| file.hits).filter_map(|hit| hit.replaced).collect()
    };
    let plain = Query { replacement: Some("$1".into()), ..query("old") };
    assert_eq!(lines(plain).await, ["fn $1(a)", "other $1 $1"]);
    let groups = Query { regex: true, replacement: Some("${2}_$1".into()), ..query(r"(fn) (\w+)") };
    assert_eq!(lines(groups).await, ["old_fn(a)"]);
}
