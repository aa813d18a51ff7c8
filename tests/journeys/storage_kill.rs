//! kill -9 of the host while plugins write: nothing acknowledged is lost, nothing is done by half.

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

/// Two plugins, so that writes of several share commits.
const PLUGINS: [&str; 2] = ["first", "second"];
const KINDS: [Kind; 3] = [Kind::Set, Kind::Batch, Kind::Swap];
const KILLS: usize = 20;
/// Keys that a batch sets to the same value.
const BATCH: usize = 5;
/// What an entry counts beside its key and value.
const ENTRY_BYTES: usize = 32;
/// Answers that are waited for before a kill, at most.
const WAITED_FOR_MAX: usize = 30;

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A key of its own for each number.
    Set,
    /// Some keys that bear the number, and one whose name does and that takes the place of the former.
    Batch,
    /// One key, from the former number to the next.
    Swap,
}

/// Writes 1, 2, 3 …, each after the one before was acknowledged.
struct Writer {
    plugin: &'static str,
    kind: Kind,
    acknowledged: u64,
}

#[tokio::test]
async fn kill_9_at_any_moment_loses_nothing_acknowledged_and_splits_no_batch() -> Result<()> {
    let mut host = Host::start_with(Options::default(), |plugins| {
        PLUGINS.iter().try_for_each(|name| {
            let folder = plugins.join(name);
            copy_folder(&guest("keeper")?, &folder)?;
            set_in_manifest(&folder, "name", &format!("name = {name:?}"))
        })
    })
    .await?;
    let of_plugin = |plugin| KINDS.map(|kind| Writer { plugin, kind, acknowledged: 0 });
    let mut writers: Vec<Writer> = PLUGINS.into_iter().flat_map(of_plugin).collect();
    for round in 0..KILLS {
        let (acknowledged, mut answers) = mpsc::channel(WAITED_FOR_MAX);
        let mut writing = JoinSet::new();
        for writer in writers {
            writing.spawn(writer.write(host.connect().await?, acknowledged.clone()));
        }
        // All the others are on their way when one has its answer; so the moment is another one each time.
        for _ in 0..=(round * 7) % WAITED_FOR_MAX {
            answers.recv().await.context("the host serves")?;
        }
        host = host.kill_and_restart().await?;
        writers = writing.join_all().await.into_iter().collect::<Result<_>>()?;
        let mut client = host.connect().await?;
        for writer in &mut writers {
            writer.check(&mut client).await.with_context(|| format!("after kill {round}"))?;
        }
        for plugin in PLUGINS {
            check_account(&mut client, plugin).await?;
        }
    }
    let least = writers.iter().map(|writer| writer.acknowledged).min();
    assert!(least > Some(1), "every writer came to write");
    Ok(())
}

impl Writer {
    /// Writes until the connection ends.
    async fn write(mut self, mut client: Client, acknowledged: mpsc::Sender<()>) -> Result<Self> {
        loop {
            let next = self.acknowledged + 1;
            let (function, params) = self.request(next);
            let method = format!("{}.keeper.{function}", self.plugin);
            let Ok(response) = client.response(&method, params).await else { return Ok(self) };
            ensure!(response.get("error").is_none() && response["result"] != false, "{method}: {response}");
            self.acknowledged = next;
            // Nobody counts any more once the host is to be killed, and whoever counts has enough when there is no room.
            _ = acknowledged.try_send(());
        }
    }

    fn request(&self, n: u64) -> (&'static str, Value) {
        let former = n - 1;
        match self.kind {
            Kind::Set => ("set", json!([set_key(n), n.to_string()])),
            Kind::Batch => {
                let mut steps: Vec<_> = (0..BATCH).map(|key| json!([format!("batch/{key}"), n.to_string()])).collect();
                steps.extend([json!([format!("newest/{former}"), null]), json!([format!("newest/{n}"), ""])]);
                ("batch", json!([steps]))
            }
            Kind::Swap => ("swap", json!(["swap", (former > 0).then(|| former.to_string()), n.to_string()])),
        }
    }

    /// What is there is what was acknowledged, or the write after it as a whole.
    async fn check(&mut self, client: &mut Client) -> Result<()> {
        let found = match self.kind {
            Kind::Set => {
                let found = entries(client, self.plugin, "set/").await?;
                for (n, (key, value)) in (1..).zip(&found) {
                    ensure!((key, value) == (&set_key(n), &n.to_string()), "{key} is where {n} should be");
                }
                found.len() as u64
            }
            Kind::Batch => {
                let values = entries(client, self.plugin, "batch/").await?;
                let newest = entries(client, self.plugin, "newest/").await?;
                let n = values.first().map_or("0", |(_, value)| value);
                ensure!(values.iter().all(|(_, value)| value == n), "a batch by half: {values:?}");
                let expected = if n == "0" { vec![] } else { vec![(format!("newest/{n}"), String::new())] };
                ensure!(newest == expected && [0, BATCH].contains(&values.len()), "a batch by half: {newest:?}");
                n.parse()?
            }
            Kind::Swap => {
                let value = client.call(&format!("{}.keeper.get", self.plugin), json!(["swap"])).await?;
                value.as_str().unwrap_or("0").parse()?
            }
        };
        let (kind, acknowledged) = (self.kind, self.acknowledged);
        ensure!((acknowledged..=acknowledged + 1).contains(&found), "{kind:?}: {found} of {acknowledged}");
        self.acknowledged = found;
        Ok(())
    }
}

fn set_key(n: u64) -> String {
    format!("set/{n:08}")
}

async fn entries(client: &mut Client, plugin: &str, prefix: &str) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key.clone());
        let page = client.call(&format!("{plugin}.keeper.entries"), json!([prefix, after, 0])).await?;
        let page: Vec<(String, String)> = serde_json::from_value(page)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// What counts for the quota is exactly what is there.
async fn check_account(client: &mut Client, plugin: &str) -> Result<()> {
    let all = entries(client, plugin, "").await?;
    let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len() + ENTRY_BYTES).sum();
    let account = client.call("plugin.get", json!({ "name": plugin })).await?["metrics"]["storage"].take();
    ensure!(account["entries"] == all.len() && account["bytes"] == bytes, "{plugin}: {account}, counted {bytes}");
    Ok(())
}
