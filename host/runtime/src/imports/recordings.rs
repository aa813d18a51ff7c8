//! Recordings of terminals: into files of the workspace, and played from there.

use std::time::Duration;

use midplane_capabilities::{
    files::{DeleteOptions, RelativePath, Root},
    terminals::{PlayOptions, RecordOptions, Recording, RecordingEnd, Terminals},
};
use midplane_model::{
    Fault,
    limits::{RECORDING_BYTES_DEFAULT, RECORDING_BYTES_MAX},
};

use super::terminals::info;
use crate::{
    bindings::{
        Error,
        imports::{recordings, terminals},
    },
    instance::Guest,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    /// What recordings are made of, taken now: nothing of the guest is held while the machine works.
    fn recorder(&self) -> Result<(Terminals, Root), Fault> {
        Ok((self.terminals()?, self.host.parts.files.clone()))
    }
}

async fn record(
    (terminals, files): (Terminals, Root),
    id: &str,
    path: &str,
    options: recordings::Options,
) -> Result<Recording, Fault> {
    let limit_bytes = options.limit_bytes.unwrap_or(RECORDING_BYTES_DEFAULT);
    if limit_bytes > RECORDING_BYTES_MAX {
        let message = format!("a recording has at most {RECORDING_BYTES_MAX} bytes, not {limit_bytes}");
        return Err(Fault::invalid_params("params.limit_bytes", message));
    }
    let path = RelativePath::parse(path)?;
    let options = RecordOptions { path: path.to_string(), input: options.input, limit_bytes };
    terminals.check_recording(id, &options)?;
    let file = files.create_tape(&path).await?;
    match terminals.record(id, file, &options) {
        Ok(recording) => Ok(recording),
        Err(error) => {
            take_back(&files, &path).await;
            Err(error.into())
        }
    }
}

/// Removes the file of a recording that did not begin, if it is still empty.
async fn take_back(files: &Root, path: &RelativePath) {
    let Ok(entry) = files.stat(path).await else { return };
    let options = DeleteOptions { if_version: entry.version, ..DeleteOptions::default() };
    if entry.size == 0
        && options.if_version.is_some()
        && let Err(error) = files.delete(path, options).await
    {
        tracing::warn!(path = %path, error = &error as &dyn std::error::Error, "removing the file of no recording");
    }
}

async fn play(
    (terminals, files): (Terminals, Root),
    path: &str,
    options: recordings::PlayOptions,
    opened_by: Option<String>,
) -> Result<terminals::Info, Fault> {
    let path = RelativePath::parse(path)?;
    let recording = files.open_tape(&path).await?;
    let options = PlayOptions {
        name: options.name.unwrap_or_else(|| path.name().to_owned()),
        speed: options.speed,
        idle_limit: options.idle_limit_ms.map(Duration::from_millis),
        opened_by,
    };
    Ok(info(&terminals.play(recording, options).await?))
}

fn shown(recording: Recording) -> recordings::Recording {
    let Recording { path, bytes, end } = recording;
    let end = end.map(|end| match end {
        RecordingEnd::Stopped => recordings::End::Stopped,
        RecordingEnd::Exited => recordings::End::Exited,
        RecordingEnd::Closed => recordings::End::Closed,
        RecordingEnd::Limit => recordings::End::Limit,
        RecordingEnd::Slow => recordings::End::Slow,
        RecordingEnd::Failed => recordings::End::Failed,
    });
    recordings::Recording { path: path.to_string(), bytes, end }
}

fn answer<T>(result: Result<T, Fault>) -> Answer<T> {
    Ok(result.map_err(Error::from))
}

impl recordings::Host for Guest {
    async fn start(&mut self, id: String, path: String, options: recordings::Options) -> Answer<recordings::Recording> {
        let recorder = self.recorder();
        let start = async { record(recorder?, &id, &path, options).await };
        answer(start.await.map(shown))
    }

    async fn stop(&mut self, id: String) -> Answer<recordings::Recording> {
        let terminals = self.terminals();
        let stop = async { Ok(terminals?.stop_recording(&id).await?) };
        answer(stop.await.map(shown))
    }

    async fn play(&mut self, path: String, options: recordings::PlayOptions) -> Answer<terminals::Info> {
        let (recorder, principal) = (self.recorder(), self.caller().map(|context| context.principal.name.to_string()));
        answer(async { play(recorder?, &path, options, principal).await }.await)
    }
}
