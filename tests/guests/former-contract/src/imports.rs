//! Every function of the contract once, in the order in which somebody might use them.

use crate::midplane::host::{
    config, context, events,
    files::{self, CreateMode, WriteOptions},
    log, services,
    storage::{self, Operation},
    terminals::{self, AttachOptions, Condition, Options, Role},
    timers,
    types::Error,
    watch,
};

/// The keys that are left in the end.
pub fn storage() -> Result<Vec<String>, Error> {
    storage::set("a", b"1")?;
    let swapped = storage::compare_and_set("a", Some(b"1"), Some(b"2"))?;
    storage::batch(&[Operation::Set(("b".to_owned(), b"3".to_vec())), Operation::Set(("c".to_owned(), Vec::new()))])?;
    let deleted = storage::delete("c")?;
    let value = storage::get("a")?;
    assert!(swapped && deleted && value.as_deref() == Some(b"2"));
    storage::keys("", None, 0)
}

/// The names that are left in the end.
pub fn files() -> Result<Vec<String>, Error> {
    files::mkdir("made", true)?;
    let options =
        WriteOptions { if_version: None, create: CreateMode::MustNotExist, create_dirs: false, durable: false };
    let written = files::write("made/one.txt", b"text", &options)?;
    files::move_("made/one.txt", "made/two.txt", false)?;
    let content = files::read("made/two.txt", 1, Some(2))?;
    let entry = files::stat("made/two.txt")?;
    assert!(content.bytes == b"ex" && entry.version == Some(written.version) && entry.size_bytes == 4);
    files::write("made/three.txt", b"", &options)?;
    files::delete("made/two.txt", false)?;
    watch::start()?;
    watch::stop();
    let page = files::list("made", 1, 0, None, false)?;
    Ok(page.entries.into_iter().map(|entry| entry.name).collect())
}

/// What the terminal shows in the end. Needs a connection, to attach to.
pub fn terminals() -> Result<String, Error> {
    let options = Options {
        shell: Some("/bin/sh".to_owned()),
        args: Vec::new(),
        cwd: None,
        env: vec![("WORD".to_owned(), "former".to_owned())],
        cols: 80,
        rows: 24,
        name: None,
        agent: true,
    };
    let id = terminals::open(&options)?.id;
    let view = AttachOptions { role: Role::View, resume: None, lossless: false, max_unacked_bytes: None };
    terminals::attach(&id, &view)?;
    terminals::rename(&id, "renamed")?;
    terminals::resize(&id, 100, 30)?;
    terminals::write(&id, b"echo $WORD-contract\n")?;
    terminals::wait(&id, &Condition::Text("former-contract".to_owned()), 10_000)?;
    let output = terminals::read(&id, 0, 4096)?;
    let screen = terminals::screen(&id)?;
    let info = terminals::get(&id)?;
    let known = terminals::list().iter().any(|terminal| terminal.id == id);
    assert!(known && !output.bytes.is_empty() && info.name == "renamed" && screen.cols == 100);
    terminals::signal(&id, "HUP")?;
    terminals::close(&id)?;
    Ok(screen.lines.join("\n"))
}

/// The plugin's name and version, its configuration, its caller, the methods it may call.
pub fn others() -> Result<Vec<String>, Error> {
    let (name, version) = context::plugin();
    let caller = context::current().map(|caller| caller.principal).unwrap_or_default();
    timers::set("soon", 60_000, false)?;
    assert!(timers::cancel("soon"));
    events::subscribe(&["test.more".to_owned()])?;
    events::unsubscribe(&["test.more".to_owned()]);
    log::write(log::Level::Warn, "as it was");
    let plugins = services::call("plugin.list", "{}")?;
    assert!(plugins.contains(&name) && services::methods().iter().any(|method| method == "plugin.list"));
    Ok(vec![name, version, config::get(), caller])
}
