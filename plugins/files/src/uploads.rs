//! Uploads that can be resumed: the host gathers the bytes, here are the defaults and what clients see.

use midplane_sdk::{host::uploads as disk, time};

use crate::{
    Plugin,
    exports::midplane::files::uploads::{CreateMode, Error, Guest, Upload},
    sets,
};

impl Guest for Plugin {
    fn begin(
        path: String,
        size: u64,
        sha256: Option<String>,
        if_version: Option<String>,
        create: Option<CreateMode>,
        create_dirs: Option<bool>,
        durable: Option<bool>,
    ) -> Result<Upload, Error> {
        let options = sets::write_options(if_version, create, create_dirs, durable);
        disk::begin(&path, size, sha256.as_deref(), &options).map(shown)
    }

    fn get(id: String) -> Result<Upload, Error> {
        disk::get(&id).map(shown)
    }

    fn list(all: Option<bool>) -> Result<Vec<Upload>, Error> {
        let listed = if all.unwrap_or(false) { disk::list_all()? } else { disk::list()? };
        Ok(listed.into_iter().map(shown).collect())
    }

    /// The host answers when the bytes have come; until then this is what there is.
    fn append(id: String, offset: u64, if_version: Option<String>) -> Result<Upload, Error> {
        disk::append(&id, offset, if_version.as_deref())?;
        disk::get(&id).map(shown)
    }

    fn cancel(id: String) -> Result<(), Error> {
        disk::cancel(&id)
    }
}

fn shown(upload: disk::Upload) -> Upload {
    let disk::Upload { id, path, offset_bytes: offset, size_bytes: size, sha256, expires_ms, complete } = upload;
    Upload { id, path, offset, size, sha256, expires_at: time::rfc3339(expires_ms), complete, written: None }
}
