//! The Unix socket beside the data: for the command line, without a port.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// Longest path that fits into the kernel's address of a socket, on any system.
const PATH_BYTES_MAX: usize = 100;

/// A bound socket, `0600` in a directory that is `0700`; its file goes with it.
pub struct LocalSocket {
    path: PathBuf,
}

impl LocalSocket {
    /// Binds the socket. None where its path is too long for one: the port is there in any case.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(path: PathBuf) -> io::Result<Option<(Self, UnixListener)>> {
        if path.as_os_str().len() > PATH_BYTES_MAX {
            tracing::warn!(path = %path.display(), "the path is too long for a Unix socket; there is none");
            return Ok(None);
        }
        // Whatever is there was left by a host that was killed: a living one holds the data directory.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let socket = Self { path };
        fs::set_permissions(&socket.path, fs::Permissions::from_mode(0o600))?;
        Ok(Some((socket, listener)))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // A socket file without a host refuses connections; whoever finds it takes the port.
        _ = fs::remove_file(&self.path);
    }
}
