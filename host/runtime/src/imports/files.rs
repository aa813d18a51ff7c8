//! Files and their changes, as far as `[grants] files` goes.

use std::{sync::Arc, time::UNIX_EPOCH};

use bytes::Bytes;
use midplane_capabilities::files::{
    Create, DeleteOptions, Entry, FilesError, Kind, ListOptions, MakeDirOptions, RelativePath, RenameOptions, Root,
    Version, WriteMode, WriteOptions, Written,
};
use midplane_model::{ErrorCode, Fault};

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

/// Entries of a page where the guest names no limit.
const LIST_DEFAULT: usize = 1000;
/// Most bytes of one read: they are copied into the guest's memory.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

fn fault(error: FilesError) -> Fault {
    error.into()
}

impl Guest {
    fn granted(&self, path: &str, access: Access) -> Result<RelativePath, Fault> {
        let path = RelativePath::parse(path).map_err(fault)?;
        if self.package.manifest.grants.allows_file(path.as_str(), access) {
            return Ok(path);
        }
        let verb = if access == Access::Read { "reading" } else { "changing" };
        Err(denied("files", &format!("{verb} {:?}", path.as_str())))
    }

    /// Which request changes a file: comes back with the watcher's news of it.
    fn origin(&self) -> Option<Arc<str>> {
        Some(self.outgoing().request_id)
    }

    /// The root and a path in it that the manifest grants.
    fn open(&self, path: &str, access: Access) -> Result<(Root, RelativePath), Fault> {
        Ok((self.host.parts.files.clone(), self.granted(path, access)?))
    }
}

async fn read(root: &Root, path: &RelativePath, offset: u64, length: Option<u64>) -> Result<files::Content, Fault> {
    if length.is_some_and(|length| length > READ_BYTES_MAX) {
        return Err(too_large());
    }
    if length.is_none() && root.stat(path).await.map_err(fault)?.size.saturating_sub(offset) > READ_BYTES_MAX {
        return Err(too_large());
    }
    let end = length.map_or(u64::MAX, |length| offset.saturating_add(length));
    let range = (offset > 0 || length.is_some()).then_some(offset..end);
    let content = root.read(path, range).await.map_err(fault)?;
    Ok(files::Content {
        bytes: content.bytes.to_vec(),
        version: content.version.as_str().to_owned(),
        size_bytes: content.size,
    })
}

fn write_options(options: &files::WriteOptions, origin: Option<Arc<str>>) -> WriteOptions {
    WriteOptions {
        if_version: options.if_version.as_deref().map(Version::new),
        create: match options.create {
            files::CreateMode::Never => Create::Never,
            files::CreateMode::Always => Create::Always,
            files::CreateMode::MustNotExist => Create::MustNotExist,
        },
        create_dirs: options.create_dirs,
        durable: options.durable,
        origin,
    }
}

fn written(written: &Written) -> files::Written {
    files::Written {
        version: written.version.as_str().to_owned(),
        size_bytes: written.size,
        created: written.created,
        unchanged: written.unchanged,
        mode: match written.write_mode {
            WriteMode::Atomic => files::WriteMode::Atomic,
            WriteMode::InPlace => files::WriteMode::InPlace,
        },
    }
}

fn too_large() -> Fault {
    let message = format!("more than {READ_BYTES_MAX} bytes at once; read ranges");
    Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", READ_BYTES_MAX)
}

fn entry(entry: &Entry) -> files::Entry {
    let modified = entry.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    files::Entry {
        path: entry.path.as_str().to_owned(),
        name: entry.path.name().to_owned(),
        kind: match entry.kind {
            Kind::File => files::Kind::File,
            Kind::Directory => files::Kind::Directory,
            Kind::Symlink => files::Kind::Symlink,
            Kind::Other => files::Kind::Other,
        },
        size_bytes: entry.size,
        modified_ms: u64::try_from(modified.as_millis()).unwrap_or(u64::MAX),
        mode: entry.mode,
        version: entry.version.as_ref().map(|version| version.as_str().to_owned()),
        target: entry.symlink.as_ref().and_then(|link| link.target.clone()),
        link_outside: entry.symlink.as_ref().is_some_and(|link| link.link_outside),
        hidden: entry.path.name().starts_with('.'),
    }
}

// The root is cloned before each await: a store is not shared between threads, so `&self` may not live across one.
impl files::Host for Guest {
    async fn stat(&mut self, path: String) -> Answer<files::Entry> {
        let opened = self.open(&path, Access::Read);
        let stat = async {
            let (root, path) = opened?;
            root.stat(&path).await.map_err(fault)
        };
        answer(stat.await.map(|found| entry(&found)))
    }

    async fn list(
        &mut self,
        path: String,
        depth: u32,
        limit: u32,
        cursor: Option<String>,
        hidden: bool,
    ) -> Answer<files::Page> {
        let opened = self.open(&path, Access::Read);
        let limit = if limit == 0 { LIST_DEFAULT } else { limit as usize };
        let options = ListOptions { depth: depth.max(1) as usize, limit, cursor, hidden };
        let list = async {
            let (root, path) = opened?;
            root.list(&path, options).await.map_err(fault)
        };
        answer(list.await.map(|listing| files::Page {
            entries: listing.entries.iter().map(entry).collect(),
            next_cursor: listing.next_cursor,
        }))
    }

    async fn read(&mut self, path: String, offset: u64, length: Option<u64>) -> Answer<files::Content> {
        let opened = self.open(&path, Access::Read);
        let content = async {
            let (root, path) = opened?;
            read(&root, &path, offset, length).await
        };
        answer(content.await)
    }

    async fn write(&mut self, path: String, bytes: Vec<u8>, options: files::WriteOptions) -> Answer<files::Written> {
        let opened = self.open(&path, Access::Write);
        let options = write_options(&options, self.origin());
        let write = async {
            let (root, path) = opened?;
            root.write(&path, Bytes::from(bytes), options).await.map_err(fault)
        };
        answer(write.await.map(|done| written(&done)))
    }

    async fn mkdir(&mut self, path: String, parents: bool) -> Answer<()> {
        let opened = self.open(&path, Access::Write);
        let options = MakeDirOptions { parents, origin: self.origin() };
        let make = async {
            let (root, path) = opened?;
            root.make_dir(&path, options).await.map_err(fault)
        };
        answer(make.await)
    }

    async fn move_(&mut self, from: String, to: String, overwrite: bool) -> Answer<()> {
        let opened = self.open(&from, Access::Write);
        let to = self.granted(&to, Access::Write);
        let options = RenameOptions { overwrite, origin: self.origin() };
        let rename = async {
            let (root, from) = opened?;
            root.rename(&from, &to?, options).await.map_err(fault)
        };
        answer(rename.await)
    }

    async fn delete(&mut self, path: String, recursive: bool) -> Answer<()> {
        let opened = self.open(&path, Access::Write);
        let options = DeleteOptions { recursive, origin: self.origin() };
        let delete = async {
            let (root, path) = opened?;
            root.delete(&path, options).await.map_err(fault)
        };
        answer(delete.await)
    }
}

impl watch::Host for Guest {
    async fn start(&mut self) -> Answer<()> {
        let granted = self.granted("", Access::Read).map(drop);
        if granted.is_ok() {
            _ = self.inbox.send(Command::Watch(true)).await;
        }
        answer(granted)
    }

    async fn stop(&mut self) -> wasmtime::Result<()> {
        _ = self.inbox.send(Command::Watch(false)).await;
        Ok(())
    }
}
