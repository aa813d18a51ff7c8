//! `midplane:host@0.1`: what its components import, served by what there is now, and what they export, called as they
//! expect it.
//!
//! Most functions are the same in 0.2 and stand here by name. Three things changed: a log line had no fields, `start` and
//! `stop` were told nothing, and an event named only the plugin that published it.

use semver::Version;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::Wit;
use crate::{
    bindings::{self, imports as now},
    instance::Guest,
};

pub const VERSION: Version = Version::new(0, 1, 0);

pub const LIFECYCLE: &str = "midplane:host/lifecycle@0.1.0";
pub const SUBSCRIBER: &str = "midplane:host/subscriber@0.1.0";
pub const STATE: &str = "midplane:host/state@0.1.0";

pub const WIT: Wit = &[
    ("types.wit", include_str!("../../../../wit/host-0.1/types.wit")),
    ("context.wit", include_str!("../../../../wit/host-0.1/context.wit")),
    ("events.wit", include_str!("../../../../wit/host-0.1/events.wit")),
    ("services.wit", include_str!("../../../../wit/host-0.1/services.wit")),
    ("storage.wit", include_str!("../../../../wit/host-0.1/storage.wit")),
    ("config.wit", include_str!("../../../../wit/host-0.1/config.wit")),
    ("log.wit", include_str!("../../../../wit/host-0.1/log.wit")),
    ("timers.wit", include_str!("../../../../wit/host-0.1/timers.wit")),
    ("files.wit", include_str!("../../../../wit/host-0.1/files.wit")),
    ("terminals.wit", include_str!("../../../../wit/host-0.1/terminals.wit")),
    ("exports.wit", include_str!("../../../../wit/host-0.1/exports.wit")),
];

/// The event of 0.1.
#[derive(ComponentType, Lower)]
#[component(record)]
pub struct Event {
    stream: String,
    epoch: String,
    seq: u64,
    topic: String,
    time: String,
    payload: String,
    plugin: Option<String>,
}

impl From<bindings::Event> for Event {
    fn from(event: bindings::Event) -> Self {
        // What 0.2 adds has no place here: it may add more.
        let bindings::Event { stream, epoch, seq, topic, time, payload, origin, .. } = event;
        Self { stream, epoch, seq, topic, time, payload, plugin: origin.plugin }
    }
}

/// Functions that are now what they were: `"name" => method(parameters)`, with `-> ()` where there is no result.
macro_rules! same {
    ($instance:ident: $host:path { $($name:literal => $method:ident($($arg:ident),*) $(-> $none:tt)?),* $(,)? }) => {
        $($instance.func_wrap_async($name, |mut store, ($($arg,)*)| Box::new(async move {
            use $host as Host;
            let result = Host::$method(store.data_mut(), $($arg),*).await?;
            Ok(same!(result $($none)?))
        }))?;)*
    };
    ($result:ident) => { ($result,) };
    ($result:ident $none:tt) => { $result };
}

pub fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    plain(linker)?;
    broker_and_services(linker)?;
    storage(linker)?;
    files(linker)?;
    terminals(linker)
}

fn plain(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut context = linker.instance("midplane:host/context@0.1.0")?;
    same!(context: now::context::Host { "current" => current(), "plugin" => plugin() });
    let mut config = linker.instance("midplane:host/config@0.1.0")?;
    same!(config: now::config::Host { "get" => get() });
    let mut timers = linker.instance("midplane:host/timers@0.1.0")?;
    same!(timers: now::timers::Host { "set" => set(name, delay_ms, repeat), "cancel" => cancel(name) });
    let mut log = linker.instance("midplane:host/log@0.1.0")?;
    log.func_wrap_async("write", |mut store, (level, message)| {
        Box::new(async move { now::log::Host::write(store.data_mut(), level, message, Vec::new()).await })
    })
}

fn broker_and_services(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut events = linker.instance("midplane:host/events@0.1.0")?;
    same!(events: now::events::Host {
        "publish" => publish(topic, payload),
        "subscribe" => subscribe(patterns),
        "unsubscribe" => unsubscribe(patterns) -> (),
    });
    let mut services = linker.instance("midplane:host/services@0.1.0")?;
    same!(services: now::services::Host { "call" => call(method, params), "methods" => methods() });
    Ok(())
}

fn storage(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut storage = linker.instance("midplane:host/storage@0.1.0")?;
    same!(storage: now::storage::Host {
        "get" => get(key),
        "set" => set(key, value),
        "delete" => delete(key),
        "keys" => keys(prefix, after, limit),
        "compare-and-set" => compare_and_set(key, expected, value),
        "batch" => batch(operations),
    });
    Ok(())
}

fn files(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut files = linker.instance("midplane:host/files@0.1.0")?;
    same!(files: now::files::Host {
        "stat" => stat(path),
        "list" => list(path, depth, limit, cursor, hidden),
        "read" => read(path, offset, length),
        "write" => write(path, bytes, options),
        "mkdir" => mkdir(path, parents),
        "move" => move_(from, to, overwrite),
        "delete" => delete(path, recursive),
    });
    let mut watch = linker.instance("midplane:host/watch@0.1.0")?;
    same!(watch: now::watch::Host { "start" => start(), "stop" => stop() -> () });
    Ok(())
}

fn terminals(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut terminals = linker.instance("midplane:host/terminals@0.1.0")?;
    same!(terminals: now::terminals::Host {
        "open" => open(options),
        "list" => list(),
        "get" => get(id),
        "close" => close(id),
        "signal" => signal(id, signal),
        "write" => write(id, bytes),
        "resize" => resize(id, cols, rows),
        "rename" => rename(id, name),
        "attach" => attach(id, options),
        "screen" => screen(id),
        "read" => read(id, from, limit_bytes),
        "wait" => wait(id, until, timeout_ms),
    });
    Ok(())
}
