//! Uploads over several requests, as far as `[grants] files` goes for changing.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use midplane_capabilities::files::{Appending, FilesError, Upload, UploadOptions, Version};
use midplane_model::{BoxFuture, ErrorCode, Fault, Principal, Reply, Scope, bulk, event::rfc3339};
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

    /// Where no grant reaches, and to strangers, there is no upload.
    fn reached(&self, found: Result<Upload, Fault>, by: &Principal) -> Result<(Granted, Upload), Fault> {
        let upload = found?;
        if !is_of(&upload, by) && !by.may(&Scope::Admin) {
            return Err(FilesError::NoUpload.into());
        }
        let granted = self.granted(upload.path.as_str(), Access::Write).map_err(|_| FilesError::NoUpload)?;
        Ok((granted, upload))
    }

    async fn listed(&mut self, whose: impl Fn(&Upload) -> bool) -> Answer<Vec<uploads::Upload>> {
        let root = self.host.parts.files.clone();
        let listed = self.in_time(async { Ok(root.uploads().await?) }).await;
        let reached = |upload: &&Upload| whose(upload) && self.granted(upload.path.as_str(), Access::Write).is_ok();
        Ok(listed.map(|uploads| uploads.iter().filter(reached).map(shown).collect()).map_err(Error::from))
    }
}

fn is_of(upload: &Upload, principal: &Principal) -> bool {
    upload.owner.as_ref().is_some_and(|owner| *owner == principal.key())
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
        let owner = Some(self.outgoing().principal.key());
        let options = UploadOptions { size: size_bytes, sha256, owner, write: write_options(&options, self.origin()) };
        let begin = async {
            let granted = granted?;
            granted.root.begin_upload(&granted.path, options).await.map_err(|error| granted.fault(error))
        };
        Ok(self.in_time(begin).await.map(|begun| shown(&begun.upload)).map_err(Error::from))
    }

    async fn get(&mut self, id: String) -> Answer<uploads::Upload> {
        let by = self.outgoing().principal;
        let found = self.in_time(self.find_upload(id)).await;
        Ok(self.reached(found, &by).map(|(_, upload)| shown(&upload)).map_err(Error::from))
    }

    async fn list(&mut self) -> Answer<Vec<uploads::Upload>> {
        let by = self.outgoing().principal;
        self.listed(|upload| is_of(upload, &by)).await
    }

    async fn list_all(&mut self) -> Answer<Vec<uploads::Upload>> {
        if !self.outgoing().principal.may(&Scope::Admin) {
            let message = "the uploads of others are shown to those with the scope admin";
            return Ok(Err(Fault::new(ErrorCode::Forbidden, message).with("scope", "admin").into()));
        }
        self.listed(|_| true).await
    }

    async fn append(&mut self, id: String, offset_bytes: u64, if_version: Option<String>) -> Answer<()> {
        let (exchange, by) = (self.exchange(), self.outgoing().principal);
        let found = self.in_time(self.find_upload(id)).await;
        let (reached, origin) = (self.reached(found, &by), self.origin());
        let append = async {
            let (exchange, (granted, upload)) = (exchange?, reached?);
            if !is_of(&upload, &by) {
                let message = "this upload belongs to somebody else; it can be looked at and given up";
                return Err(Fault::new(ErrorCode::Forbidden, message));
            }
            let if_version = if_version.as_deref().map(Version::new);
            let appending = granted.root.append_upload(&upload.id, offset_bytes, if_version, origin).await;
            let appending = appending.map_err(|error| granted.fault(error))?;
            exchange.receive_into(Box::new(Sink(appending)))
        };
        Ok(self.in_time(append).await.map_err(Error::from))
    }

    async fn cancel(&mut self, id: String) -> Answer<()> {
        let by = self.outgoing().principal;
        let found = self.in_time(self.find_upload(id)).await;
        let reached = self.reached(found, &by);
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
