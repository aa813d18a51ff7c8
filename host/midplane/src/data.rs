//! The data directory of a served directory: state, token, cache of compiled code, and how the CLI finds the host.
//!
//! It lies outside of the served directory, because what is inside can be read by every client with the scope `read`.

use std::{
    env, fs, io, iter,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Names the data directory of the host to whoever runs in one of its terminals.
pub const DATA_VARIABLE: &str = "MIDPLANE_DATA";

/// A token of somebody's own making that is shorter is refused.
const TOKEN_BYTES_MIN: usize = 32;

/// What a running host leaves for the local command line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Discovery {
    pub url: String,
    pub pid: u32,
    pub instance_id: String,
    /// The Unix socket, where there is one.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The data directory, where the token is.
    pub data: PathBuf,
}

/// A host that was found.
pub struct Found {
    pub url: String,
    pub token: Option<String>,
    pub socket: Option<PathBuf>,
    /// Its data directory, where it is on this machine.
    pub data: Option<PathBuf>,
}

/// The files of one served directory, all private to the user.
pub struct DataDir {
    path: PathBuf,
    code_cache: PathBuf,
    /// Where the command line looks: the default directory, whatever was chosen.
    known: Option<PathBuf>,
}

impl DataDir {
    /// The default for a served directory: under `XDG_DATA_HOME`, named after it and a hash of its path.
    pub fn default_for(served: &Path) -> Result<PathBuf> {
        let served = served.canonicalize().with_context(|| format!("{} cannot be served", served.display()))?;
        let base = absolute("XDG_DATA_HOME");
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
        let base = base.or_else(home).context("neither XDG_DATA_HOME nor HOME is set; give --data DIR")?;
        let name = served.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
        let digest = format!("{:x}", Sha256::digest(served.as_os_str().as_encoded_bytes()));
        Ok(base.join("midplane").join(format!("{name}-{}", &digest[..12])))
    }

    /// Makes the directory (0700) if it is not there.
    ///
    /// Compiled code is shared by all hosts of this user: what one has compiled, none compiles again. Only whoever chooses the
    /// data directory, and no place for caches, gets it in there: it may be all that lasts (a volume of a container).
    pub fn open(chosen: Option<&Path>, served: &Path) -> Result<Self> {
        let path = match chosen {
            Some(path) => path.to_owned(),
            None => Self::default_for(served)?,
        };
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let shared = absolute("XDG_CACHE_HOME").or_else(|| if chosen.is_none() { home() } else { None });
        let code_cache = shared.map_or_else(|| path.clone(), |shared| shared.join("midplane")).join("code");
        make(&path).with_context(|| format!("the data directory {} cannot be made", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("the data directory {}", path.display()))?;
        Ok(Self { path, code_cache, known: Self::default_for(served).ok() })
    }

    pub fn store(&self) -> PathBuf {
        self.path.join("state.redb")
    }

    /// A folder per stream, with `--durable-events`.
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// What the host is doing to the served files, for the next start if this one is killed.
    pub fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    pub fn code_cache(&self) -> &Path {
        &self.code_cache
    }

    pub fn tokens(&self) -> PathBuf {
        self.path.join("tokens.json")
    }

    pub fn audit_log(&self) -> PathBuf {
        self.path.join("audit.log")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The Unix socket of the host.
    pub fn socket(&self) -> PathBuf {
        self.path.join("host.sock")
    }

    /// Which plugins are trusted, and with which grants.
    pub fn plugins_lock(&self) -> PathBuf {
        self.path.join("plugins.lock")
    }

    /// Plugins installed for this directory; made on demand.
    pub fn plugins(&self) -> Result<PathBuf> {
        let path = self.path.join("plugins");
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(path)
    }

    /// The owner's token: 256 random bits, made at the first start, readable by this user only.
    ///
    /// # Errors
    /// A file that cannot be read, or holds what anybody could guess: everybody would be the owner.
    pub fn token(&self) -> Result<String> {
        let path = self.path.join("token");
        match fs::read_to_string(&path).map(|text| text.trim().to_owned()) {
            Ok(token) if token.len() >= TOKEN_BYTES_MIN && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Ok(token);
            }
            Ok(_) => bail!("{0} holds no token; delete it, and the host makes a new one", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).context("the system gives no random bytes")?;
        let token = URL_SAFE_NO_PAD.encode(secret);
        midplane_durable::replace(&path, token.as_bytes())
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(token)
    }

    /// Says in the data directory and, if another one was chosen, in the default one that this host serves. A place that belongs
    /// to another host over the same directory is left to it.
    pub fn announce(&self, discovery: &Discovery) -> Result<()> {
        let json = serde_json::to_vec(discovery)?;
        for place in self.places() {
            let path = place.join("host.json");
            if place != self.path && is_answered(&place) {
                continue;
            }
            make(&place)
                .and_then(|()| midplane_durable::replace(&path, &json))
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    fn places(&self) -> impl Iterator<Item = PathBuf> {
        let known = self.known.clone().filter(|known| known.canonicalize().ok().as_ref() != Some(&self.path));
        iter::once(self.path.clone()).chain(known)
    }

    /// Takes the announcement back, if it is still ours.
    pub fn withdraw(&self) {
        for place in self.places() {
            if read_discovery(&place).is_some_and(|discovery| discovery.pid == std::process::id()) {
                // The file is only a hint; a stale one is noticed by whoever connects.
                _ = fs::remove_file(place.join("host.json"));
            }
        }
    }
}

/// The host that serves `directory` or the nearest directory above it.
pub fn discover(directory: &Path) -> Option<Found> {
    let directory = directory.canonicalize().ok()?;
    directory.ancestors().find_map(|served| find_in(&DataDir::default_for(served).ok()?))
}

/// The host that announced itself in a directory.
pub fn find_in(place: &Path) -> Option<Found> {
    let Discovery { url, socket, data, .. } = read_discovery(place)?;
    let token = fs::read_to_string(data.join("token")).ok().map(|token| token.trim().to_owned());
    Some(Found { url, token, socket, data: Some(data) })
}

fn read_discovery(place: &Path) -> Option<Discovery> {
    serde_json::from_slice(&fs::read(place.join("host.json")).ok()?).ok()
}

/// Whether a host that announced itself there still listens.
fn is_answered(place: &Path) -> bool {
    let socket = read_discovery(place).and_then(|discovery| discovery.socket);
    socket.is_some_and(|socket| UnixStream::connect(socket).is_ok())
}

fn make(private: &Path) -> io::Result<()> {
    fs::create_dir_all(private)?;
    fs::set_permissions(private, fs::Permissions::from_mode(0o700))
}

/// A directory that the environment names; relative ones do not count (XDG Base Directory Specification).
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
