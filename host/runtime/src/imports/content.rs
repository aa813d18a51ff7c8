//! Whole files between the disk and the HTTP request of the call in progress.

use bytes::Bytes;
use midplane_capabilities::files::{OpenFile, Receiving, WriteMode, Written};
use midplane_model::{
    BoxFuture, ErrorCode, Fault, Reply,
    bulk::{ByteSource, Download, Exchange, Upload},
};
use serde_json::{Value, json};

use super::files::write_options;
use crate::{
    bindings::{
        Error,
        imports::{content, files},
    },
    instance::Guest,
    manifest::Access,
};

impl Guest {
    pub(super) fn exchange(&self) -> Result<std::sync::Arc<dyn Exchange>, Fault> {
        let no_exchange = || {
            let message = "bytes go around a component only over its raw HTTP routes; use read and write here";
            Fault::new(ErrorCode::NotSupported, message)
        };
        self.caller().and_then(|context| context.exchange).ok_or_else(no_exchange)
    }
}

impl content::Host for Guest {
    async fn serve(
        &mut self,
        path: String,
        media_type: String,
        attachment: bool,
    ) -> wasmtime::Result<Result<content::Served, Error>> {
        let granted = self.granted(&path, Access::Read);
        let exchange = self.exchange();
        let serve = async {
            let (granted, exchange) = (granted?, exchange?);
            let file = granted.root.open_file(&granted.path).await.map_err(|error| granted.fault(error))?;
            let (version, size) = (file.version.as_str().to_owned(), file.size);
            exchange.answer_with(Download {
                name: granted.path.name().to_owned(),
                media_type,
                attachment,
                version: version.clone(),
                size,
                modified: file.modified,
                source: Box::new(Source(file)),
            })?;
            Ok(content::Served { version, size_bytes: size })
        };
        Ok(self.in_time(serve).await.map_err(Error::from))
    }

    async fn receive(&mut self, path: String, options: files::WriteOptions) -> wasmtime::Result<Result<(), Error>> {
        let granted = self.granted(&path, Access::Write);
        let exchange = self.exchange();
        let options = write_options(&options, self.origin());
        let receive = async {
            let (granted, exchange) = (granted?, exchange?);
            let receiving = granted.root.receive(&granted.path, options).await;
            let receiving = receiving.map_err(|error| granted.fault(error))?;
            exchange.receive_into(Box::new(Sink { path, receiving }))
        };
        Ok(self.in_time(receive).await.map_err(Error::from))
    }
}

struct Source(OpenFile);

impl ByteSource for Source {
    fn read(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes, Fault>> {
        Box::pin(async move { Ok(self.0.read(offset, length).await?) })
    }
}

struct Sink {
    path: String,
    receiving: Receiving,
}

impl Upload for Sink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move { Ok(self.receiving.write(bytes).await?) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Reply, Fault>> {
        Box::pin(async move {
            let written = self.receiving.finish().await?;
            Reply::of(&described(&self.path, &written))
        })
    }
}

/// As the service's own `write` answers.
pub(super) fn described(path: &str, written: &Written) -> Value {
    let write_mode = match written.write_mode {
        WriteMode::Atomic => "atomic",
        WriteMode::InPlace => "in_place",
    };
    json!({
        "path": path,
        "version": written.version.as_str(),
        "size": written.size,
        "created": written.created,
        "unchanged": written.unchanged,
        "write_mode": write_mode,
    })
}
