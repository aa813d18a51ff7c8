//! Writing in place, where a new file would break something. Not atomic, and said so in the answer.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use rustix::{fs::OFlags, io::Errno};

use super::{
    error::FilesError,
    facts::Facts,
    jail::regular,
    write::{Job, Present},
};

/// Puts the bytes into the existing file, which keeps its identity, owner, mode and names.
pub(super) fn overwrite(job: &Job<'_>, present: &Present) -> Result<Facts, FilesError> {
    let fail = |errno| job.fail(errno);
    let (file, facts) = job.place.open(OFlags::WRONLY | OFlags::NONBLOCK).and_then(regular).map_err(fail)?;
    if (facts.dev, facts.ino) != (present.facts.dev, present.facts.ino) {
        // Somebody put another file here since we looked; what was checked was not this one.
        return Err(fail(Errno::BUSY));
    }
    reserve(&file, job.bytes.len()).map_err(fail)?;
    let fail = |error| FilesError::from_io("write", job.path(), error);
    file.write_all_at(job.bytes, 0).map_err(fail)?;
    file.set_len(job.bytes.len() as u64).map_err(fail)?;
    if job.options.durable {
        file.sync_all().map_err(fail)?;
    }
    let facts = Facts::of(&file).map_err(|errno| job.fail(errno))?;
    // The trace is known only now. A watcher that looks in between reports the change without its origin.
    job.note(&facts);
    Ok(facts)
}

/// Makes one file say what another one says.
pub(super) fn pour(source: &File, target: &File) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    let mut offset = 0;
    loop {
        match source.read_at(&mut piece, offset)? {
            0 => break,
            count => {
                target.write_all_at(&piece[..count], offset)?;
                offset += count as u64;
            }
        }
    }
    target.set_len(offset)
}

/// Finds out about a full disk before the first old byte is gone.
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: usize) -> Result<(), Errno> {
    use rustix::fs::{FallocateFlags, fallocate};
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes as u64) {
        // File systems that cannot reserve find out while writing.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: usize) -> Result<(), Errno> {
    Ok(())
}
