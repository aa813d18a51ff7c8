//! Archives out and in, as far as `[grants] files` goes.

use bytes::Bytes;
use midplane_capabilities::files::{ArchiveArriving, ArchiveFormat, Packing, UnpackOptions, Unpacked};
use midplane_model::{
    BoxFuture, CallContext, Fault, Reply,
    bulk::{Made, Pieces, Upload},
    progress::checked,
};
use serde_json::json;
use wasmtime::component::{Accessor, HasSelf};

use super::{files::Granted, within};
use crate::{
    bindings::{
        Error,
        imports::{archives, archives_async},
    },
    instance::Guest,
    manifest::Access,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl archives::Host for Guest {
    async fn pack(&mut self, path: String, format: archives::Format) -> Answer<()> {
        let granted = self.granted(&path, Access::Read);
        let exchange = self.exchange();
        let pack = async {
            let (granted, exchange) = (granted?, exchange?);
            let (format, ending, media_type) = match format {
                archives::Format::TarGz => (ArchiveFormat::TarGz, "tar.gz", "application/gzip"),
                archives::Format::Zip => (ArchiveFormat::Zip, "zip", "application/zip"),
            };
            let packing = granted.root.pack(&granted.path, format).await.map_err(|error| granted.fault(error))?;
            let name = if granted.path.is_root() { "workspace" } else { granted.path.name() };
            exchange.stream(Made {
                name: format!("{name}.{ending}"),
                media_type: media_type.to_owned(),
                source: Box::new(Source(packing)),
            })
        };
        Ok(self.in_time(pack).await.map_err(Error::from))
    }

    async fn receive(&mut self, to: String, overwrite: bool) -> Answer<()> {
        let granted = self.granted(&to, Access::Write);
        let exchange = self.exchange();
        let options = UnpackOptions { overwrite, origin: self.origin(), ..UnpackOptions::default() };
        let receive = async {
            let (granted, exchange) = (granted?, exchange?);
            let arriving = granted.root.receive_archive(&granted.path, options).await;
            let arriving = arriving.map_err(|error| granted.fault(error))?;
            exchange.receive_into(Box::new(Sink(arriving)))
        };
        Ok(self.in_time(receive).await.map_err(Error::from))
    }
}

impl archives_async::Host for Guest {}

impl archives_async::HostWithStore<Guest> for HasSelf<Guest> {
    async fn unpack(
        accessor: &Accessor<Guest>,
        archive: String,
        to: String,
        overwrite: bool,
    ) -> Answer<archives_async::Unpacked> {
        let (from, to, context, progress) = accessor.with(|mut access| {
            let guest = access.get();
            let progress = guest.caller().and_then(|context| context.progress);
            (guest.granted(&archive, Access::Read), guest.granted(&to, Access::Write), guest.outgoing(), progress)
        });
        let told = progress.map(|progress| -> std::sync::Arc<dyn Fn(Unpacked) + Send + Sync> {
            std::sync::Arc::new(move |done| {
                let state = json!({ "files": done.files, "bytes": done.bytes }).to_string();
                // Whoever does not listen any more is not told.
                _ = checked(state).map(|state| progress.state(state));
            })
        });
        let unpack =
            async { unpack(from?, to?, &context, UnpackOptions { overwrite, told, ..Default::default() }).await };
        let done = within(context.deadline, unpack).await;
        Ok(done
            .map(|done| archives_async::Unpacked {
                files: done.files,
                directories: done.directories,
                links: done.links,
                size_bytes: done.bytes,
            })
            .map_err(Error::from))
    }
}

async fn unpack(from: Granted, to: Granted, context: &CallContext, options: UnpackOptions) -> Result<Unpacked, Fault> {
    // Ends with the caller, with the call, and when its time is over.
    let cancel = context.cancel.child_token();
    let _over = cancel.clone().drop_guard();
    let options = UnpackOptions { cancel, origin: Some(context.request_id.clone()), ..options };
    let unpacked = from.root.unpack(&from.path, &to.root, &to.path, options).await;
    unpacked.map_err(|error| to.fault(error))
}

struct Source(Packing);

impl Pieces for Source {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Fault>> {
        Box::pin(async move { Ok(self.0.next().await.transpose()?) })
    }
}

struct Sink(ArchiveArriving);

impl Upload for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move { Ok(self.0.write(bytes).await?) })
    }

    /// The answer is that of the service's own `unpack`.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Reply, Fault>> {
        Box::pin(async move {
            let done = self.0.finish().await?;
            let Unpacked { files, directories, links, bytes } = done;
            Reply::of(&json!({ "files": files, "directories": directories, "links": links, "bytes": bytes }))
        })
    }
}
