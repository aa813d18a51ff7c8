//! Uploads over several requests, as far as `[grants] files` goes for changing.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use midplane_capabilities::files::{Appending, FilesError, Upload, UploadOptions, Version};
use midplane_model::{BoxFuture, Fault, Reply, bulk, event::rfc3339};
use serde_json::json;

use super::{
    content::described,
    files::{Granted, write_options},
};
use crate::{
    bindings::{
        Error,
        imports::{files, uploads},
    },
    instance::Guest,
    manifest::Access,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    fn find_upload(&self, id: String) -> impl Future<Output = Result<Upload, Fault>> + use<> {
        let root = self.host.parts.files.clone();
        async move { Ok(root.upload(&id).await?) }
    }

    /// Where no grant reaches there is no upload.
    fn reached(&self, found: Result<Upload, Fault>) -> Result<(Granted, Upload), Fault> {
        let upload = found?;
        let granted = self.granted(upload.path.as_str(), Access::Write).map_err(|_| FilesError::NoUpload)?;
        Ok((granted, upload))
    }
}

impl uploads::Host for Guest {
    async fn begin(
        &mut self,
        path: String,
        size_bytes: u64,
        sha256: Option<String>,
        options: files::WriteOptions,
    ) -> Answer<uploads::Upload> {
        let granted = self.granted(&path, Access::Write);
        let options = UploadOptions { size: size_bytes, sha256, write: write_options(&options, self.origin()) };
        let begin = async {
            let granted = granted?;
            granted.root.begin_upload(&granted.path, options).await.map_err(|error| granted.fault(error))
        };
        Ok(self.in_time(begin).await.map(|begun| shown(&begun.upload)).map_err(Error::from))
    }

    async fn get(&mut self, id: String) -> Answer<uploads::Upload> {
        let found = self.in_time(self.find_upload(id)).await;
        Ok(self.reached(found).map(|(_, upload)| shown(&upload)).map_err(Error::from))
    }

    async fn list(&mut self) -> Answer<Vec<uploads::Upload>> {
        let root = self.host.parts.files.clone();
        let listed = self.in_time(async { Ok(root.uploads().await?) }).await;
        Ok(listed
            .map(|uploads| {
                let reached = |upload: &&Upload| self.granted(upload.path.as_str(), Access::Write).is_ok();
                uploads.iter().filter(reached).map(shown).collect()
            })
            .map_err(Error::from))
    }

    async fn append(&mut self, id: String, offset_bytes: u64, if_version: Option<String>) -> Answer<()> {
        let exchange = self.exchange();
        let found = self.in_time(self.find_upload(id)).await;
        let (reached, origin) = (self.reached(found), self.origin());
        let append = async {
            let (exchange, (granted, upload)) = (exchange?, reached?);
            let if_version = if_version.as_deref().map(Version::new);
            let appending = granted.root.append_upload(&upload.id, offset_bytes, if_version, origin).await;
            let appending = appending.map_err(|error| granted.fault(error))?;
            exchange.receive_into(Box::new(Sink(appending)))
        };
        Ok(self.in_time(append).await.map_err(Error::from))
    }

    async fn cancel(&mut self, id: String) -> Answer<()> {
        let found = self.in_time(self.find_upload(id)).await;
        let reached = self.reached(found);
        let cancel = async {
            let (granted, upload) = reached?;
            Ok(granted.root.cancel_upload(&upload.id).await?)
        };
        Ok(self.in_time(cancel).await.map_err(Error::from))
    }
}

fn shown(upload: &Upload) -> uploads::Upload {
    let expires = upload.expires.duration_since(UNIX_EPOCH).unwrap_or_default();
    uploads::Upload {
        id: upload.id.clone(),
        path: upload.path.as_str().to_owned(),
        offset_bytes: upload.offset,
        size_bytes: upload.size,
        sha256: upload.sha256.clone(),
        expires_ms: u64::try_from(expires.as_millis()).unwrap_or(u64::MAX),
        complete: upload.complete,
    }
}

struct Sink(Appending);

impl bulk::Upload for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move { Ok(self.0.write(bytes).await?) })
    }

    /// The answer is the upload as the service shows it.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Reply, Fault>> {
        Box::pin(async move {
            let appended = self.0.finish().await?;
            let upload = appended.upload;
            Reply::of(&json!({
                "id": upload.id,
                "path": upload.path.as_str(),
                "offset": upload.offset,
                "size": upload.size,
                "sha256": upload.sha256,
                "expires_at": rfc3339(upload.expires),
                "complete": upload.complete,
                "written": appended.written.map(|written| described(upload.path.as_str(), &written)),
            }))
        })
    }
}
