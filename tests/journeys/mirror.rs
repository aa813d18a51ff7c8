//! A client that knows the tree by events alone, while other programs change thousands of files at once.
//!
//! `MIDPLANE_TEST_FILES` is the number of files that differ between the two branches; 2,000 where there is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host};
use serde_json::Value;

/// The tree as events tell it: directories and files, and the files whose content was told to be new.
#[derive(Default, Debug)]
struct Mirror {
    paths: BTreeMap<String, bool>,
    /// Modified or created: a file that is deleted and written again while a batch is cut is one of each batch.
    renewed: BTreeSet<String>,
    /// That ask to look.
    rescans: usize,
    /// That tell of a loss which is made up for.
    repaired: usize,
}

impl Mirror {
    fn apply(&mut self, event: &Value) -> Result<()> {
        if event["payload"].get("rescan").is_some() {
            let repaired = event["payload"]["repaired"].as_bool().context("repaired")?;
            *if repaired { &mut self.repaired } else { &mut self.rescans } += 1;
        }
        for change in event["payload"]["changes"].as_array().context("changes")? {
            let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
            let (path, dir) = (text("path"), change["dir"] == true);
            match text("kind").as_str() {
                "created" => {
                    ensure!(self.paths.insert(path.clone(), dir).is_none(), "{path} was there already");
                    self.renewed.insert(path);
                }
                "modified" => {
                    ensure!(self.paths.get(&path) == Some(&false), "{path} is no file that is known");
                    self.renewed.insert(path);
                }
                "deleted" => drop(self.take(&path)),
                "moved" => {
                    let from = text("from");
                    self.take(&path);
                    for (moved, dir) in self.take(&from) {
                        self.paths.insert(moved.replacen(&from, &path, 1), dir);
                    }
                }
                kind => anyhow::bail!("{kind}"),
            }
        }
        Ok(())
    }

    /// Takes out a path with all that is below.
    fn take(&mut self, path: &str) -> Vec<(String, bool)> {
        let below = format!("{path}/");
        let inside = self.paths.range(below.clone()..).map(|(entry, _)| entry.clone());
        let inside: Vec<_> = inside.take_while(|entry| entry.starts_with(&below)).collect();
        let all = [path.to_owned()].into_iter().chain(inside);
        all.filter_map(|entry| self.paths.remove_entry(&entry)).collect()
    }
}

/// What is there, but for the inside of `.git`.
fn disk(root: &Path) -> Result<BTreeMap<String, bool>> {
    fn read(root: &Path, below: &str, found: &mut BTreeMap<String, bool>) -> Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("name")?;
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let dir = entry.file_type()?.is_dir();
            found.insert(path.clone(), dir);
            if dir && path != ".git" {
                read(root, &path, found)?;
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    read(root, "", &mut found)?;
    Ok(found)
}

/// Applies events until everything that has happened before is told. Two marks, since the first may come with other
/// changes, and before them.
async fn catch_up(client: &mut Client, host: &Host, mirror: &mut Mirror) -> Result<()> {
    for mark in ["mark-1", "mark-2"] {
        host.write_file(mark, "")?;
        while !mirror.paths.contains_key(mark) {
            let event = client.event_on("files.changed").await?;
            mirror.apply(&event)?;
        }
    }
    for mark in ["mark-1", "mark-2"] {
        fs::remove_file(host.directory.join(mark))?;
    }
    while mirror.paths.contains_key("mark-1") || mirror.paths.contains_key("mark-2") {
        let event = client.event_on("files.changed").await?;
        mirror.apply(&event)?;
    }
    Ok(())
}

fn same(mirror: &Mirror, host: &Host) -> Result<()> {
    let disk = disk(&host.directory)?;
    let differs = |entry: &(&String, &bool), other: &BTreeMap<String, bool>| other.get(entry.0) != Some(entry.1);
    let missing: Vec<_> = disk.iter().filter(|entry| differs(entry, &mirror.paths)).take(5).collect();
    let extra: Vec<_> = mirror.paths.iter().filter(|entry| differs(entry, &disk)).take(5).collect();
    ensure!(missing.is_empty() && extra.is_empty(), "not told: {missing:?}, told and not there: {extra:?}");
    ensure!(mirror.rescans == 0, "the events alone were not enough: {} rescans", mirror.rescans);
    Ok(())
}

fn git(directory: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"])
        .args(["-c", "init.defaultBranch=one", "-c", "gc.auto=0"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Makes the two branches.
fn make_branches(directory: &Path) -> Result<()> {
    git(directory, &["init", "-q"])?;
    for branch in ["one", "two"] {
        git(directory, &["checkout", "-q", "--orphan", branch])?;
        git(directory, &["rm", "-rfq", "--ignore-unmatch", "."])?;
        for (path, content) in (0..count()).filter_map(|number| place(branch, number)) {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().context("parent")?)?;
            fs::write(path, content)?;
        }
        git(directory, &["add", "."])?;
        git(directory, &["commit", "-qm", branch])?;
    }
    Ok(())
}

/// Applies events while others work: a client that did not read would be disconnected after a while.
async fn during(
    client: &mut Client,
    host: &Host,
    mirror: &mut Mirror,
    work: impl FnOnce(&Path) -> Result<()> + Send + 'static,
) -> Result<()> {
    let directory = host.directory.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&directory));
    loop {
        tokio::select! {
            done = &mut work => return done?,
            event = client.event_on("files.changed") => mirror.apply(&event?)?,
        }
    }
}

fn count() -> usize {
    std::env::var("MIDPLANE_TEST_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

/// Where a file of a branch is: a fifth in each of five ways in which branches differ.
fn place(branch: &str, number: usize) -> Option<(String, String)> {
    let directory = number / 50;
    let content = format!("{branch} {number}\n");
    let path = match number % 5 {
        0 => format!("both/{directory}/{number}"),
        1 => format!("{branch}/{directory}/{number}"),
        2 if branch == "one" => format!("early/{directory}/{number}"),
        2 => return None,
        3 if branch == "one" => format!("swaps/{number}"),
        3 => format!("swaps/{number}/inside"),
        _ => return Some((format!("moves-{branch}/{directory}/{number}"), format!("same {number}\n"))),
    };
    Some((path, content))
}

#[tokio::test]
async fn a_mirror_made_from_events_alone_is_the_disk_after_checkouts_and_deletions() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    let mut mirror = Mirror::default();
    during(&mut client, &host, &mut mirror, make_branches).await?;
    catch_up(&mut client, &host, &mut mirror).await?;
    same(&mirror, &host)?;

    for branch in ["one", "two", "one"] {
        mirror.renewed.clear();
        during(&mut client, &host, &mut mirror, |directory| git(directory, &["checkout", "-q", branch])).await?;
        catch_up(&mut client, &host, &mut mirror).await?;
        same(&mirror, &host).with_context(|| format!("after the checkout of {branch}"))?;
        let both = (0..count()).filter(|number| number % 5 == 0).map(|number| format!("both/{}/{number}", number / 50));
        let untold: Vec<String> = both.filter(|path| !mirror.renewed.contains(path)).take(5).collect();
        ensure!(untold.is_empty(), "these have other contents, and nobody was told: {untold:?}");
    }

    let remove = |directory: &Path| {
        let names = ["both", "one", "early", "swaps", "moves-one"];
        names.iter().try_for_each(|name| Ok(fs::remove_dir_all(directory.join(name))?))
    };
    during(&mut client, &host, &mut mirror, remove).await?;
    catch_up(&mut client, &host, &mut mirror).await?;
    same(&mirror, &host)?;
    assert_eq!(mirror.paths.keys().collect::<Vec<_>>(), [".git"]);
    Ok(())
}

/// The kernel keeps 16,384 notifications for one who does not read them.
#[tokio::test]
async fn where_the_kernel_lost_changes_that_is_said_and_the_differences_are_told_all_the_same() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    let mut mirror = Mirror::default();
    let signal = |name: &str| -> Result<()> {
        let sent = Command::new("kill").args([name, &host.pid().to_string()]).status()?;
        ensure!(sent.success(), "kill {name}");
        Ok(())
    };
    fs::create_dir(host.directory.join("many"))?;
    catch_up(&mut client, &host, &mut mirror).await?;
    signal("-STOP")?;
    let made = (0..6_000).try_for_each(|number| host.write_file(&format!("many/{number}"), "x"));
    signal("-CONT")?;
    made?;
    catch_up(&mut client, &host, &mut mirror).await?;
    same(&mirror, &host)?;
    assert_eq!(mirror.repaired, 1);
    Ok(())
}
