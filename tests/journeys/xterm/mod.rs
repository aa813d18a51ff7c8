//! xterm.js and its attach addon as npm has them, in a real browser, on a page of another origin.

use anyhow::{Context, Result, bail};
use midplane_tests::{Browser, Client, Host, Options, PATIENCE, Site, fetched, request};
use serde_json::{Value, json};

/// A page with one terminal of a host in it.
struct Page {
    host: Host,
    client: Client,
    browser: Browser,
    site: Site,
    id: Value,
}

impl Page {
    /// None where there is no npm, unless this is CI.
    async fn open(program: &[&str]) -> Result<Option<Self>> {
        let scripts = ["/xterm/lib/xterm.js", "/xterm/css/xterm.css", "/addon-attach/lib/addon-attach.js"];
        let mut files = vec![("/", include_bytes!("page.html").to_vec())];
        for script in scripts {
            let name = &script[script.rfind('/').context("a path")?..];
            match fetched(&format!("@xterm{script}")) {
                Ok(content) => files.push((name, content)),
                Err(error) if std::env::var_os("CI").is_none() => {
                    eprintln!("skipped: {error:#}");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let site = Site::start(files).await?;
        let arguments = vec!["--allow-origin".to_owned(), site.origin.clone()];
        let host = Host::start_with(Options { arguments, ..Options::default() }, |_| Ok(())).await?;
        let mut client = host.connect().await?;
        let env = [["HOME", "/nonexistent"], ["PS1", "ready> "], ["LANG", "C.UTF-8"]];
        let params = json!({ "shell": program[0], "args": program[1..], "env": env });
        let id = client.call("terminals.open", params).await?["id"].clone();
        let mut page = Self { host, client, browser: Browser::start().await?, site, id };
        page.browser.open("about:blank").await?;
        page.load().await?;
        Ok(Some(page))
    }

    /// Loads the page, or loads it again: the former one is gone with its terminal and its socket.
    async fn load(&mut self) -> Result<()> {
        let info = self.client.call("terminals.get", json!({ "id": self.id })).await?;
        let bearer = format!("Bearer {}", self.host.token);
        let headers = [("authorization", bearer.as_str())];
        let ticket: Value =
            serde_json::from_str(&request(&self.host.url, "POST", "/auth/ticket", &headers, "").await?.body)?;
        let id = self.id.as_str().context("id")?;
        let ticket = ticket["ticket"].as_str().context("ticket")?;
        let socket = format!("{}/ws/terminals/{id}%3Fticket={ticket}", self.host.url.replacen("http", "ws", 1));
        let query = format!("socket={socket}&cols={}&rows={}", info["cols"], info["rows"]);
        self.browser.go(&format!("{}/?{query}", self.site.origin)).await?;
        let loaded =
            "document.readyState === 'complete' || new Promise((resolve) => addEventListener('load', resolve))";
        self.browser.evaluate(&format!("Promise.resolve({loaded}).then(() => true)")).await.map(drop)
    }

    /// Types a line, key by key.
    async fn enter(&mut self, line: &str) -> Result<()> {
        self.browser.type_text(line).await?;
        self.browser.press("Enter", 13, false).await
    }

    /// Waits until the terminal in the page shows this.
    async fn shows(&mut self, text: &str) -> Result<()> {
        self.until(&format!("lines(0).some((line) => line.includes({}))", json!(text))).await
    }

    async fn until(&mut self, condition: &str) -> Result<()> {
        let expression = format!("until(() => {condition})");
        match tokio::time::timeout(PATIENCE, self.browser.evaluate(&expression)).await {
            Ok(shown) => shown.map(drop),
            Err(_) => {
                // The other connection has been silent for too long.
                let mut client = self.host.connect().await?;
                let host = client.call("terminals.screen", json!({ "id": self.id })).await?;
                bail!("never: {condition}\nbut {}\nand in the host {host}", self.browser.evaluate("grid()").await?)
            }
        }
    }

    /// Waits until the program is quiet and the page shows the very grid that the host has.
    async fn agrees(&mut self) -> Result<()> {
        let quiet = json!({ "id": self.id, "until": { "idle": 400 }, "timeout_ms": 30000 });
        self.client.call("terminals.wait", quiet).await?;
        let screen = self.client.call("terminals.screen", json!({ "id": self.id })).await?;
        let grid = json!({ "lines": screen["lines"], "row": screen["cursor_row"], "col": screen["cursor_col"] });
        self.until(&format!("grid() === {}", json!(grid.to_string()))).await
    }

    /// Every cell of the last lines that the page has, above the screen too, with its colours and attributes.
    async fn cells(&mut self) -> Result<Value> {
        self.browser.evaluate("lines(Math.max(0, term.buffer.active.length - 200), true)").await
    }

    /// The page again, which must look as it did.
    async fn reload_changes_nothing(&mut self) -> Result<()> {
        self.agrees().await?;
        let before = self.cells().await?;
        self.load().await?;
        self.agrees().await?;
        let after = self.cells().await?;
        let lines = |cells: &Value| cells.as_array().map(Vec::len);
        assert_eq!(lines(&after), lines(&before));
        for (index, (after, before)) in
            after.as_array().into_iter().flatten().zip(before.as_array().into_iter().flatten()).enumerate()
        {
            assert_eq!(after, before, "line {index}");
        }
        Ok(())
    }

    /// How much the program has written.
    async fn offset(&mut self) -> Result<u64> {
        let info = self.client.call("terminals.get", json!({ "id": self.id })).await?;
        info["offset"].as_u64().context("offset")
    }

    async fn resize(&mut self, cols: u16, rows: u16) -> Result<()> {
        self.browser.evaluate(&format!("term.resize({cols}, {rows})")).await?;
        self.client.call("terminals.resize", json!({ "id": self.id, "cols": cols, "rows": rows })).await.map(drop)
    }
}

/// Colours of all kinds, attributes, wide letters, marks, a line that wraps, and more lines than the screen has.
const SHOW: &str = r#"
i=0
while [ $i -lt 40 ]; do
    printf '\033[3%dmline %d\033[0m \033[48;5;%dmblock\033[0m \033[38;2;%d;20;200mrgb\033[0m\n' $((i % 8)) $i $((i * 5)) $((i * 6))
    i=$((i + 1))
done
printf '\033[1mbold\033[0m \033[2mdim\033[0m \033[3mitalic\033[0m \033[4munder\033[0m \033[7mturned\033[0m \033[9mstruck\033[0m\n'
printf '漢字かな e\314\201 \360\237\230\200 한글\n'
printf 'wraps %s\n' "$(printf '漢%.0s' $(seq 60))"
printf '\033[44mto the end\033[K\033[0m\n'
"#;

#[tokio::test]
async fn a_shell_in_a_page_shows_what_the_host_has_also_to_a_page_that_was_loaded_again() -> Result<()> {
    let Some(mut page) = Page::open(&["/bin/sh"]).await? else { return Ok(()) };
    page.host.write_file("show.sh", SHOW)?;
    page.shows("ready>").await?;
    page.enter("echo typed-$((40+2)); stty size").await?;
    page.shows("typed-42").await?;
    page.enter("sh show.sh; echo sh''own").await?;
    page.shows("shown").await?;
    page.reload_changes_nothing().await?;
    page.resize(100, 30).await?;
    page.enter("stty size").await?;
    page.shows("30 100").await?;
    page.reload_changes_nothing().await?;
    // A key that is none of the alphabet's, through output.
    page.enter("yes").await?;
    page.until("lines(0).some((line) => line === 'y')").await?;
    page.browser.press("c", 67, true).await?;
    // What is typed before the shell is back is flushed with the rest.
    page.until("lines(0).filter((line) => line).at(-1)?.endsWith('ready>')").await?;
    page.enter("echo over-$((40+2))").await?;
    page.shows("over-42").await?;
    page.reload_changes_nothing().await
}

#[tokio::test]
async fn an_editor_in_a_page_survives_the_page_and_a_new_size() -> Result<()> {
    let Some(mut page) = Page::open(&["/bin/sh"]).await? else { return Ok(()) };
    let text: String = (1..300).map(|line| format!("fn line_{line}() {{ \"漢字 {line}\" }} // words\n")).collect();
    page.host.write_file("text.rs", &text)?;
    page.shows("ready>").await?;
    page.enter("vim -u NONE -N -i NONE text.rs").await?;
    page.shows("line_1()").await?;
    page.enter(":syntax on").await?;
    page.enter(":set number hlsearch").await?;
    page.enter("/words").await?;
    page.browser.type_text("50%ihello ").await?;
    page.shows("hello").await?;
    page.reload_changes_nothing().await?;
    let before = page.offset().await?;
    page.resize(91, 33).await?;
    // It was quiet for long: that it is now does not mean that it has heard of its size.
    while page.offset().await? == before {}
    page.reload_changes_nothing().await?;
    page.browser.press("Escape", 27, false).await?;
    page.enter(":q!").await?;
    // What is typed while it ends is lost.
    page.until("lines(0).some((line) => line === 'ready>')").await?;
    page.enter("echo back-$((40+2))").await?;
    page.shows("back-42").await?;
    page.agrees().await
}

#[tokio::test]
async fn a_paste_of_megabytes_into_a_page_arrives_whole() -> Result<()> {
    const BYTES: usize = 3_000_000;
    let Some(mut page) = Page::open(&["/bin/sh"]).await? else { return Ok(()) };
    let line = "0123456789 all that is pasted ".repeat(BYTES / 30);
    page.host.write_file("pasted", &line)?;
    page.shows("ready>").await?;
    page.enter(&format!("stty raw -echo; echo st''arted; head -c {BYTES} | cmp - pasted && echo sa''me; stty sane"))
        .await?;
    page.shows("started").await?;
    page.browser.evaluate(&format!("paste('0123456789 all that is pasted '.repeat({}))", BYTES / 30)).await?;
    page.shows("same").await
}
