//! From the kernel's notifications to hints about relative paths. The only file that knows what `notify` says.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc::SyncSender},
    time::Instant,
};

use notify::{
    Event, EventHandler, EventKind,
    event::{ModifyKind, RenameMode},
};

use super::{Status, exclusions::Exclusions};
use crate::files::{RelativePath, text_of};

/// Something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hint {
    /// Look at this path.
    Touched(RelativePath),
    /// Look, and what was renamed to this path before is not what is there now.
    Replaced(RelativePath),
    /// One name of a rename: look, and if a directory is there, nobody watches it any more.
    Unwatched(RelativePath),
    /// Both names of one rename.
    Renamed { from: RelativePath, to: RelativePath },
    /// Notifications are missing: look at everything below.
    Lost(RelativePath),
}

/// Where `notify` delivers, on its own thread. It must never wait: the watcher's thread waits for that thread whenever it
/// adds a watch.
pub(super) struct Tap {
    pub location: PathBuf,
    pub exclusions: Arc<Exclusions>,
    pub status: Arc<Status>,
    pub wake: SyncSender<()>,
}

impl EventHandler for Tap {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) => {
                for hint in hints(&event, |path| self.relative(path)) {
                    self.note(hint);
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the kernel lost changes of the workspace, so all of it is looked at"
                );
                self.note(Hint::Lost(RelativePath::root()));
            }
        }
    }
}

impl Tap {
    fn note(&self, hint: Hint) {
        if self.status.pending().note(hint, Instant::now()) {
            // If there is no room, the thread is awake anyway.
            _ = self.wake.try_send(());
        }
    }

    /// None for what nobody hears of.
    fn relative(&self, path: &Path) -> Option<RelativePath> {
        let path = path.strip_prefix(&self.location).ok()?;
        let path = RelativePath::parse(&text_of(path.as_os_str().as_bytes())).ok()?;
        (!self.exclusions.hides(&path)).then_some(path)
    }
}

fn hints(event: &Event, relative: impl Fn(&Path) -> Option<RelativePath>) -> Vec<Hint> {
    if event.need_rescan() {
        return vec![Hint::Lost(RelativePath::root())];
    }
    let paths = || event.paths.iter().filter_map(|path| relative(path));
    match event.kind {
        // Reading is no change.
        EventKind::Access(_) => Vec::new(),
        EventKind::Create(_) | EventKind::Remove(_) => paths().map(Hint::Replaced).collect(),
        // The halves come one by one before; this one says that they belong together.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => match event.paths.as_slice() {
            [from, to] => renamed(relative(from), relative(to)),
            _ => paths().map(Hint::Replaced).collect(),
        },
        // `notify` drops the watches at and below the old name, also where the directory is back by now.
        EventKind::Modify(ModifyKind::Name(_)) => paths().map(Hint::Unwatched).collect(),
        EventKind::Any | EventKind::Modify(_) | EventKind::Other => paths().map(Hint::Touched).collect(),
    }
}

fn renamed(from: Option<RelativePath>, to: Option<RelativePath>) -> Vec<Hint> {
    match (from, to) {
        (Some(from), Some(to)) => vec![Hint::Renamed { from, to }],
        // Out of or into what is hidden: one end comes or goes.
        (Some(path), None) | (None, Some(path)) => vec![Hint::Replaced(path)],
        (None, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag};

    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).expect("path")
    }

    fn translate(event: &Event) -> Vec<Hint> {
        hints(event, |path| RelativePath::parse(path.to_str()?).ok().filter(|path| path.as_str() != "hidden"))
    }

    #[test]
    fn notifications_become_hints() {
        let event = |kind| Event::new(kind).add_path("a".into());
        assert_eq!(translate(&event(EventKind::Access(AccessKind::Any))), []);
        assert_eq!(translate(&event(EventKind::Create(CreateKind::File))), [Hint::Replaced(path("a"))]);
        assert_eq!(translate(&event(EventKind::Modify(ModifyKind::Any))), [Hint::Touched(path("a"))]);
        let from = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        assert_eq!(translate(&event(from)), [Hint::Unwatched(path("a"))]);
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(translate(&overflow), [Hint::Lost(RelativePath::root())]);
    }

    #[test]
    fn a_rename_from_a_hidden_name_is_something_new_at_the_other() {
        let both = Event::new(EventKind::Modify(ModifyKind::Name(RenameMode::Both)));
        let rename = |from: &str, to: &str| translate(&both.clone().add_path(from.into()).add_path(to.into()));
        assert_eq!(rename("a", "b"), [Hint::Renamed { from: path("a"), to: path("b") }]);
        assert_eq!(rename("hidden", "b"), [Hint::Replaced(path("b"))]);
        assert_eq!(rename("a", "hidden"), [Hint::Replaced(path("a"))]);
    }
}
