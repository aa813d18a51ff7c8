//! Imports without grants: types, context, config, log, timers.

use std::time::Duration;

use midplane_model::{ErrorCode, Fault, progress};
use tokio::sync::oneshot;

use crate::{
    bindings::{
        Error,
        imports::{config, context, log, timers, types},
    },
    inbox::{Command, TIMERS_MAX},
    instance::Guest,
    log_line::LogLine,
};

impl types::Host for Guest {}

impl context::Host for Guest {
    async fn current(&mut self) -> wasmtime::Result<Option<context::Caller>> {
        Ok(self.caller().map(|context| {
            // The chain ends with this plugin; before it stands who called.
            let before = context.chain.len().checked_sub(2).and_then(|index| context.chain.get(index));
            let plugin = before.or(context.page.as_ref());
            context::Caller {
                principal: context.principal.name.to_string(),
                scopes: context.principal.scopes.iter().map(ToString::to_string).collect(),
                plugin: plugin.map(ToString::to_string),
                request_id: context.request_id.to_string(),
                remaining_ms: u64::try_from(context.deadline.remaining().as_millis()).unwrap_or(u64::MAX),
            }
        }))
    }

    async fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.outgoing().request_id.to_string())
    }

    async fn report_progress(&mut self, value: String) -> wasmtime::Result<Result<bool, Error>> {
        let progress = self.caller().and_then(|context| context.progress);
        let told = progress::checked(value).map(|value| progress.is_some_and(|progress| progress.state(value).is_ok()));
        Ok(told.map_err(Error::from))
    }

    async fn plugin(&mut self) -> wasmtime::Result<(String, String)> {
        let manifest = &self.package.manifest;
        Ok((manifest.name.to_string(), manifest.version.to_string()))
    }
}

impl config::Host for Guest {
    async fn get(&mut self) -> wasmtime::Result<String> {
        Ok(self.package.manifest.config.text.clone())
    }
}

impl log::Host for Guest {
    async fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => "trace",
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        let request_id = self.outgoing().request_id;
        self.slot.guest_line(LogLine::new(level, &message, fields).of_request(Some(&request_id)));
        Ok(())
    }
}

impl timers::Host for Guest {
    async fn set(&mut self, name: String, delay_ms: u64, repeat: bool) -> wasmtime::Result<Result<(), Error>> {
        let every = Duration::from_millis(delay_ms.max(if repeat { 10 } else { 1 }));
        let (done, answer) = oneshot::channel();
        _ = self.inbox.send(Command::SetTimer { name, every, repeat, done }).await;
        let room = answer.await.unwrap_or(false);
        let full = || {
            Fault::new(ErrorCode::QuotaExceeded, format!("a plugin has at most {TIMERS_MAX} timers; cancel one first"))
        };
        Ok(if room { Ok(()) } else { Err(full().into()) })
    }

    async fn cancel(&mut self, name: String) -> wasmtime::Result<bool> {
        let (done, answer) = oneshot::channel();
        _ = self.inbox.send(Command::CancelTimer { name, done }).await;
        Ok(answer.await.unwrap_or(false))
    }
}
