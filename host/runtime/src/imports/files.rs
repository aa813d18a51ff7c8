//! Files and their changes, as far as `[grants] files` goes.
//!
//! Sets of changes are put together in [`sets`], answers in [`shown`]. A path is looked up in a jail that is narrowed to the grant which covers it: a link below a grant leads nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use midplane_capabilities::files::{
    ApplyOptions, CopyOptions, Create, DeleteOptions, EditOptions, Entry, FilesError, Ignored, ListOptions, Listing,
    MakeDirOptions, RelativePath, RenameOptions, Root, Trashed, Version, WriteOptions,
};
use midplane_capabilities::watch::Scope;
use midplane_model::{ErrorCode, Fault};

mod sets;
mod shown;

use super::denied;
use crate::{
    bindings::{
        Error,
        imports::{files, watch},
    },
    inbox::Command,
    instance::Guest,
    manifest::Access,
};
use shown::{described, entry, trashed, written};

/// Entries of a page where the guest names no limit.
const LIST_DEFAULT: usize = 1000;
/// Most bytes of one read: they are copied into the guest's memory.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

/// A path that the manifest grants, and the files as far as that grant goes.
pub(super) struct Granted {
    pub root: Root,
    pub path: RelativePath,
    /// Narrower than the served directory.
    narrowed: bool,
}

impl Granted {
    pub fn fault(&self, error: FilesError) -> Fault {
        match error {
            FilesError::OutsideRoot { path } if self.narrowed => {
                denied("files", &format!("following {path}, a way out,"))
            }
            error => error.into(),
        }
    }
}

impl Guest {
    pub(super) fn granted(&self, path: &str, access: Access) -> Result<Granted, Fault> {
        let path = RelativePath::parse(path)?;
        match self.package.manifest.grants.floor_of(&path, access) {
            Some(floor) => {
                Ok(Granted { root: self.host.parts.files.within(floor.clone()), narrowed: !floor.is_root(), path })
            }
            None => {
                let verb = if access == Access::Read { "reading" } else { "changing" };
                Err(denied("files", &format!("{verb} {:?}", path.as_str())))
            }
        }
    }

    /// The parts of the served directory that may be read.
    pub(super) fn readable(&self) -> Result<Scope, Fault> {
        let floors: Vec<RelativePath> = self.package.manifest.grants.readable().cloned().collect();
        if floors.is_empty() { Err(denied("files", "reading files")) } else { Ok(Scope::of(floors)) }
    }

    /// Which request changes a file: comes back with the watcher's news of it.
    pub(super) fn origin(&self) -> Option<Arc<str>> {
        Some(self.outgoing().request_id)
    }
}

async fn read(granted: &Granted, offset: u64, length: Option<u64>) -> Result<files::Content, Fault> {
    let Granted { root, path, .. } = granted;
    let fault = |error| granted.fault(error);
    if length.is_some_and(|length| length > READ_BYTES_MAX) {
        return Err(too_large());
    }
    let end = length.map_or(u64::MAX, |length| offset.saturating_add(length));
    let range = (offset > 0 || length.is_some()).then_some(offset..end);
    let content = root.read_up_to(path, range, READ_BYTES_MAX).await.map_err(fault)?;
    Ok(files::Content {
        bytes: content.bytes.into(),
        version: content.version.as_str().to_owned(),
        size_bytes: content.size,
    })
}

fn create(mode: files::CreateMode) -> Create {
    match mode {
        files::CreateMode::Never => Create::Never,
        files::CreateMode::Always => Create::Always,
        files::CreateMode::MustNotExist => Create::MustNotExist,
    }
}

pub(super) fn write_options(options: &files::WriteOptions, origin: Option<Arc<str>>) -> WriteOptions {
    WriteOptions {
        if_version: options.if_version.as_deref().map(Version::new),
        create: create(options.create),
        create_dirs: options.create_dirs,
        durable: options.durable,
        origin,
    }
}

fn too_large() -> Fault {
    let message = format!("more than {READ_BYTES_MAX} bytes at once; read ranges");
    Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", READ_BYTES_MAX)
}

async fn stat(granted: Result<Granted, Fault>) -> Result<Entry, Fault> {
    let granted = granted?;
    granted.root.stat(&granted.path).await.map_err(|error| granted.fault(error))
}

async fn list(granted: Result<Granted, Fault>, options: ListOptions) -> Result<Listing, Fault> {
    let granted = granted?;
    granted.root.list(&granted.path, options).await.map_err(|error| granted.fault(error))
}

/// Entries of a page; none said is `LIST_DEFAULT`.
fn page_limit(limit: u32) -> usize {
    if limit == 0 { LIST_DEFAULT } else { limit as usize }
}

// What is granted is settled before each await: a store is not shared between threads, so `&self` may not live across one.
impl files::Host for Guest {
    async fn stat(&mut self, path: String) -> Answer<files::Entry> {
        let granted = self.granted(&path, Access::Read);
        answer(self.in_time(stat(granted)).await.map(|found| entry(&found)))
    }

    async fn list(
        &mut self,
        path: String,
        depth: u32,
        limit: u32,
        cursor: Option<String>,
        hidden: bool,
    ) -> Answer<files::Page> {
        let granted = self.granted(&path, Access::Read);
        let (depth, limit) = (depth.max(1) as usize, page_limit(limit));
        let options = ListOptions { depth, limit, cursor, hidden, ignored: Ignored::Unasked };
        answer(self.in_time(list(granted, options)).await.map(|listing| files::Page {
            entries: listing.entries.iter().map(entry).collect(),
            next_cursor: listing.next_cursor,
        }))
    }

    async fn describe(&mut self, path: String) -> Answer<files::Described> {
        let granted = self.granted(&path, Access::Read);
        answer(self.in_time(stat(granted)).await.map(|found| described(&found)))
    }

    async fn list_described(&mut self, path: String, options: files::ListOptions) -> Answer<files::DescribedPage> {
        let granted = self.granted(&path, Access::Read);
        let files::ListOptions { depth, limit, cursor, hidden, ignored } = options;
        let ignored = if ignored { Ignored::Told } else { Ignored::LeftOut };
        let (depth, limit) = (depth.max(1) as usize, page_limit(limit));
        let options = ListOptions { depth, limit, cursor, hidden, ignored };
        answer(self.in_time(list(granted, options)).await.map(|listing| files::DescribedPage {
            entries: listing.entries.iter().map(described).collect(),
            next_cursor: listing.next_cursor,
            unnameable: u32::try_from(listing.unnameable).unwrap_or(u32::MAX),
        }))
    }

    async fn read(&mut self, path: String, offset: u64, length: Option<u64>) -> Answer<files::Content> {
        let granted = self.granted(&path, Access::Read);
        let content = async { read(&granted?, offset, length).await };
        answer(self.in_time(content).await)
    }

    async fn write(&mut self, path: String, bytes: Vec<u8>, options: files::WriteOptions) -> Answer<files::Written> {
        let granted = self.granted(&path, Access::Write);
        let options = write_options(&options, self.origin());
        let write = async {
            let granted = granted?;
            let written = granted.root.write(&granted.path, Bytes::from(bytes), options).await;
            written.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(write).await.map(|done| written(&done)))
    }

    async fn edit(
        &mut self,
        path: String,
        edits: Vec<files::Replacement>,
        options: files::EditOptions,
    ) -> Answer<files::Edited> {
        let granted = self.granted(&path, Access::Write);
        let options = EditOptions {
            if_version: options.if_version.as_deref().map(Version::new),
            durable: options.durable,
            dry_run: options.dry_run,
            origin: self.origin(),
        };
        let edit = async {
            let granted = granted?;
            let edited = granted.root.edit(&granted.path, sets::replacements(edits), options).await;
            edited.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(edit).await.map(|edited| files::Edited {
            written: written(&edited.written),
            replaced: u32::try_from(edited.replaced).unwrap_or(u32::MAX),
            diff: edited.diff,
        }))
    }

    async fn apply(&mut self, changes: Vec<files::Change>, dry_run: bool) -> Answer<Vec<files::Outcome>> {
        let changes = sets::changes(self, changes);
        let options = ApplyOptions { dry_run, origin: self.origin() };
        let root = self.host.parts.files.clone();
        let apply = async { Ok(root.apply(changes?, options).await?) };
        answer(self.in_time(apply).await.map(|outcomes| outcomes.into_iter().map(sets::outcome).collect()))
    }

    async fn mkdir(&mut self, path: String, parents: bool) -> Answer<()> {
        let granted = self.granted(&path, Access::Write);
        let options = MakeDirOptions { parents, origin: self.origin() };
        let make = async {
            let granted = granted?;
            granted.root.make_dir(&granted.path, options).await.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(make).await)
    }

    async fn move_(&mut self, from: String, to: String, overwrite: bool) -> Answer<()> {
        let (from, to) = (self.granted(&from, Access::Write), self.granted(&to, Access::Write));
        let options = RenameOptions { overwrite, origin: self.origin(), ..RenameOptions::default() };
        answer(self.in_time(relocate(from, to, options)).await)
    }

    async fn delete(&mut self, path: String, recursive: bool) -> Answer<()> {
        let granted = self.granted(&path, Access::Write);
        let options = DeleteOptions { recursive, origin: self.origin(), ..DeleteOptions::default() };
        let delete = async {
            let granted = granted?;
            granted.root.delete(&granted.path, options).await.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(delete).await)
    }

    async fn copy(&mut self, from: String, to: String, overwrite: bool) -> Answer<()> {
        let (from, to) = (self.granted(&from, Access::Read), self.granted(&to, Access::Write));
        let options = CopyOptions { overwrite, origin: self.origin() };
        let copy = async {
            let (from, to) = (from?, to?);
            let copied = from.root.copy(&from.path, &to.root, &to.path, options).await;
            copied.map_err(|error| if to.narrowed { to.fault(error) } else { from.fault(error) })
        };
        answer(self.in_time(copy).await)
    }

    async fn trash(&mut self, path: String) -> Answer<String> {
        let granted = self.granted(&path, Access::Write);
        let options = DeleteOptions { recursive: true, origin: self.origin(), ..DeleteOptions::default() };
        let trash = async {
            let granted = granted?;
            granted.root.trash(&granted.path, options).await.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(trash).await)
    }

    async fn delete_version(&mut self, path: String, version: String, trash: bool) -> Answer<Option<String>> {
        let granted = self.granted(&path, Access::Write);
        let if_version = Some(Version::new(&version));
        let options = DeleteOptions { if_version, origin: self.origin(), ..DeleteOptions::default() };
        let delete = async {
            let granted = granted?;
            let deleted = match trash {
                true => granted.root.trash(&granted.path, options).await.map(Some),
                false => granted.root.delete(&granted.path, options).await.map(|()| None),
            };
            deleted.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(delete).await)
    }

    async fn move_version(&mut self, from: String, to: String, version: String, overwrite: bool) -> Answer<()> {
        let (from, to) = (self.granted(&from, Access::Write), self.granted(&to, Access::Write));
        let options = RenameOptions { overwrite, if_version: Some(Version::new(&version)), origin: self.origin() };
        answer(self.in_time(relocate(from, to, options)).await)
    }

    async fn list_trash(&mut self) -> Answer<Vec<files::Trashed>> {
        let root = self.host.parts.files.clone();
        let listed = self.in_time(async { Ok(root.trashed().await?) }).await;
        answer(listed.map(|entries| {
            let reached = entries.into_iter().filter(|entry| self.granted(entry.path.as_str(), Access::Read).is_ok());
            reached.map(trashed).collect()
        }))
    }

    async fn restore(&mut self, id: String, to: Option<String>, overwrite: bool) -> Answer<String> {
        let root = self.host.parts.files.clone();
        let found = match self.in_time(trashed_as(root, id.clone())).await {
            Ok(found) => found,
            Err(fault) => return answer(Err(fault)),
        };
        // What was deleted where no grant reaches is not there.
        let known = self.granted(found.path.as_str(), Access::Write).map(drop);
        let to = to.unwrap_or_else(|| found.path.as_str().to_owned());
        let granted = known.and_then(|()| self.granted(&to, Access::Write));
        let options = RenameOptions { overwrite, origin: self.origin(), ..RenameOptions::default() };
        let restore = async {
            let granted = granted?;
            granted.root.restore(&id, &granted.path, options).await.map_err(|error| granted.fault(error))
        };
        answer(self.in_time(restore).await.map(|()| to))
    }

    async fn empty_trash(&mut self, id: Option<String>) -> Answer<u32> {
        let root = self.host.parts.files.clone();
        let listed = match &id {
            Some(id) => self.in_time(trashed_as(root.clone(), id.clone())).await.map(|found| vec![found]),
            None => self.in_time(async { Ok(root.trashed().await?) }).await,
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(fault) => return answer(Err(fault)),
        };
        let reached = |entry: &Trashed| self.granted(entry.path.as_str(), Access::Write).is_ok();
        let ids: Vec<String> = listed.into_iter().filter(reached).map(|entry| entry.id).collect();
        let empty = async {
            for id in &ids {
                root.empty_trash(Some(id.clone())).await?;
            }
            Ok(u32::try_from(ids.len()).unwrap_or(u32::MAX))
        };
        answer(self.in_time(empty).await)
    }
}

async fn relocate(
    from: Result<Granted, Fault>,
    to: Result<Granted, Fault>,
    options: RenameOptions,
) -> Result<(), Fault> {
    let (from, to) = (from?, to?);
    let renamed = from.root.rename_into(&from.path, &to.root, &to.path, options).await;
    renamed.map_err(|error| if to.narrowed { to.fault(error) } else { from.fault(error) })
}

async fn trashed_as(root: Root, id: String) -> Result<Trashed, Fault> {
    let missing = || Fault::not_found("there is nothing of that name in the trash; list_trash names what there is");
    root.trashed().await?.into_iter().find(|entry| entry.id == id).ok_or_else(missing)
}

impl watch::Host for Guest {
    async fn start(&mut self) -> Answer<()> {
        let scope = self.readable();
        if let Ok(scope) = &scope {
            _ = self.inbox.send(Command::Watch(Some(scope.clone()))).await;
        }
        answer(scope.map(drop))
    }

    async fn stop(&mut self) -> wasmtime::Result<()> {
        _ = self.inbox.send(Command::Watch(None)).await;
        Ok(())
    }
}
