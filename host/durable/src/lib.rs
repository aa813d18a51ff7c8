//! How the host's own small files reach the disk: whole, private, and still there after a loss of power.
//!
//! Every crate that keeps such a file writes it by [`replace`], so that none forgets one of the steps. Files of users are
//! another matter (`capabilities/src/files`): they have owners, modes and names that must not break.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// What is put behind a file's name while it is being written.
const SUFFIX: &str = ".new";

/// Replaces a file, or makes it, readable by this user only. Whoever reads, also after a loss of power, finds the old bytes or
/// the new ones; when this returns, the new ones. Of two writers at the same time the file gets what one of them wrote only if
/// they take turns: the caller sees to it.
///
/// # Errors
/// Those of the file system. The old bytes are there then, unless only the last step failed, which is to make the name durable.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = name.to_owned();
    beside.push(SUFFIX);
    let temporary = path.with_file_name(beside);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(folder_of(path))
}

/// Removes a file so that it stays removed; one that is not there is removed already.
///
/// # Errors
/// Those of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a folder durable: a file that was synced may be without its name after a loss of power.
///
/// # Errors
/// Those of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    // The parent of a bare name is empty, which opens nothing.
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private_and_nothing_stays_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugins.lock");
        // What a former process left behind, killed while it wrote.
        fs::write(folder.path().join("plugins.lock.new"), "a longer text that was never finished").unwrap();
        for text in ["one", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"old").unwrap();
        fs::create_dir(folder.path().join("a.new")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
