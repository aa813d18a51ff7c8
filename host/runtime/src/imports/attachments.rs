//! Who is attached to terminals. A channel is opened, found and ended on the connection of the call in progress.

use std::sync::Arc;

use midplane_capabilities::terminals::{AttachOptions, Resume, Role, Size, SizePolicy};
use midplane_model::{ErrorCode, Fault, Peer};

use crate::{
    bindings::{
        Error,
        imports::{attachments, terminals},
    },
    instance::Guest,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    fn peer(&self) -> Result<Arc<dyn Peer>, Fault> {
        let no_connection = || {
            let message = "attaching needs a WebSocket: the channel is opened on the connection that asks";
            Fault::new(ErrorCode::NotSupported, message)
        };
        self.caller().and_then(|context| context.peer).ok_or_else(no_connection)
    }

    pub(super) fn attach_to_terminal(
        &self,
        id: &str,
        options: terminals::AttachOptions,
        wishes: Option<attachments::Wishes>,
    ) -> Result<(terminals::Attached, attachments::Lineage), Fault> {
        let peer = self.peer()?;
        let role = match options.role {
            terminals::Role::Drive => Role::Drive,
            terminals::Role::View => Role::View,
        };
        let mut asked = AttachOptions {
            resume: options.resume.map(|position| Resume { epoch: position.epoch, offset: position.offset }),
            lossless: options.lossless,
            max_unacked_bytes: options.max_unacked_bytes.map(|bytes| bytes as usize),
            ..AttachOptions::new(role)
        };
        if let Some(wishes) = wishes {
            asked.size = window(wishes.cols, wishes.rows)?;
            asked.scrollback_lines = wishes.scrollback_lines.map(|lines| lines as usize);
            asked.lineage = wishes.lineage;
        }
        let terminals = self.terminals()?;
        let attachment = terminals.attach(id, &asked)?;
        let channel = peer.open_channel(attachment.channel)?;
        terminals.place(id, attachment.number, peer.id(), channel);
        let attached = terminals::Attached {
            channel,
            epoch: attachment.epoch.to_string(),
            offset: attachment.offset,
            delta: attachment.delta,
        };
        let lineage =
            attachments::Lineage { name: attachment.lineage.to_string(), input_offset: attachment.input_offset };
        Ok((attached, lineage))
    }
}

fn window(cols: Option<u16>, rows: Option<u16>) -> Result<Option<Size>, Fault> {
    match (cols, rows) {
        (Some(cols), Some(rows)) => Ok(Some(Size::new(cols, rows)?)),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Fault::invalid_params("params.rows", "a window with cols has rows, too")),
        (None, Some(_)) => Err(Fault::invalid_params("params.cols", "a window with rows has cols, too")),
    }
}

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

impl attachments::Host for Guest {
    async fn attach(
        &mut self,
        id: String,
        options: terminals::AttachOptions,
        wishes: attachments::Wishes,
    ) -> Answer<(terminals::Attached, attachments::Lineage)> {
        answer(self.attach_to_terminal(&id, options, Some(wishes)))
    }

    async fn detach(&mut self, channel: u32) -> Answer<()> {
        answer(self.terminals().and_then(|_| self.peer()).map(|peer| peer.close_channel(channel)))
    }

    async fn claim(&mut self, id: String, channel: u32) -> Answer<()> {
        let claim = || Ok(self.terminals()?.claim(&id, self.peer()?.id(), channel)?);
        answer(claim())
    }

    async fn release(&mut self, id: String, channel: u32) -> Answer<()> {
        let release = || Ok(self.terminals()?.release(&id, self.peer()?.id(), channel)?);
        answer(release())
    }

    async fn set_size_policy(&mut self, id: String, policy: attachments::SizePolicy) -> Answer<()> {
        let policy = match policy {
            attachments::SizePolicy::Driver => SizePolicy::Driver,
            attachments::SizePolicy::Smallest => SizePolicy::Smallest,
            attachments::SizePolicy::Fixed => SizePolicy::Fixed,
        };
        let set = || Ok(self.terminals()?.set_size_policy(&id, policy)?);
        answer(set())
    }
}
