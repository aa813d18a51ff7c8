//! The audit log in the data directory: one JSON object a line.
//!
//! A thread of its own writes, so that nobody who serves waits for the disk. At `AUDIT_ENTRIES_QUEUED_MAX` waiting entries the
//! next ones are lost and counted; the next line written says how many.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use midplane_gateway::{AuditEntry, AuditSink};
use midplane_model::limits::{AUDIT_ENTRIES_QUEUED_MAX, AUDIT_FILE_BYTES_MAX};

/// The handle. Closing it writes what waits and joins the thread.
pub struct AuditLog {
    entries: Mutex<Option<SyncSender<AuditEntry>>>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens `path` (`0600`) for appending. At `AUDIT_FILE_BYTES_MAX` it becomes `path.1`, whose former content is dropped.
    pub fn open(path: &Path) -> Result<Self> {
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::open(path.to_owned(), lost.clone())
            .with_context(|| format!("the audit log {} cannot be opened", path.display()))?;
        let (entries, waiting) = sync_channel(AUDIT_ENTRIES_QUEUED_MAX);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&waiting))?;
        Ok(Self { entries: Mutex::new(Some(entries)), lost, writer: Mutex::new(Some(thread)) })
    }

    pub fn close(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the audit log ended early");
        }
    }
}

impl AuditSink for AuditLog {
    fn record(&self, entry: AuditEntry) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = &*entries else {
            tracing::warn!(kind = entry.kind, "an audit entry came after the end of the log");
            return;
        };
        if entries.try_send(entry).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
    lost: Arc<AtomicU64>,
    /// Said once, until a write succeeds again.
    failing: bool,
}

impl Writer {
    fn open(path: PathBuf, lost: Arc<AtomicU64>) -> io::Result<Self> {
        let file = append_to(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, lost, failing: false })
    }

    fn run(mut self, waiting: &Receiver<AuditEntry>) {
        for entry in waiting {
            let written = self.write(&entry);
            if let Err(error) = &written
                && !self.failing
            {
                tracing::error!(%error, "the audit log cannot be written");
            }
            if written.is_err() {
                self.lost.fetch_add(1, Relaxed);
            }
            self.failing = written.is_err();
        }
    }

    fn write(&mut self, entry: &AuditEntry) -> io::Result<()> {
        if self.bytes >= AUDIT_FILE_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            (self.file, self.bytes) = (append_to(&self.path)?, 0);
        }
        let mut line = serde_json::to_value(entry)?;
        let lost = self.lost.swap(0, Relaxed);
        if lost > 0 {
            line["lost_before"] = lost.into();
        }
        let text = format!("{line}\n");
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            self.lost.fetch_add(lost, Relaxed);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: &str) -> AuditEntry {
        AuditEntry {
            time: "2026-11-24T00:00:00.000Z".into(),
            kind: "refused",
            principal: None,
            plugin: None,
            token: None,
            what: Some(what.into()),
            request_id: None,
            outcome: "unauthenticated",
            count: None,
        }
    }

    #[test]
    fn entries_are_lines_in_order_and_a_full_file_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(&path).unwrap();
        log.record(entry("/a"));
        log.record(entry("/b"));
        log.close();
        let text = fs::read_to_string(&path).unwrap();
        let whats: Vec<_> = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
        assert_eq!((whats.len(), &whats[0]["what"], &whats[1]["what"]), (2, &"/a".into(), &"/b".into()));

        OpenOptions::new().append(true).open(&path).unwrap().set_len(AUDIT_FILE_BYTES_MAX).unwrap();
        let log = AuditLog::open(&path).unwrap();
        log.record(entry("/c"));
        log.close();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert_eq!(fs::metadata(folder.path().join("audit.log.1")).unwrap().len(), AUDIT_FILE_BYTES_MAX);
    }
}
