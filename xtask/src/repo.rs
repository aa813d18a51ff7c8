//! Where things are in the repository.

use std::{
    env,
    path::{Path, PathBuf},
};

pub struct Repo {
    pub root: PathBuf,
}

impl Repo {
    /// The repository that this program was built from.
    pub fn here() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self { root: package.parent().unwrap_or(package).to_path_buf() }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// What is built for others to find: plugins, examples, guests. Always `target/` of the repository.
    pub fn target(&self, relative: &str) -> PathBuf {
        self.root.join("target").join(relative)
    }

    /// A program of the host's workspace; Cargo may have been told to build it elsewhere.
    pub fn program(&self, profile: &str, name: &str) -> PathBuf {
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), |dir| self.root.join(dir));
        target.join(profile).join(name).with_extension(env::consts::EXE_EXTENSION)
    }

    /// The SDK's examples: plugins as anybody may write them, each a workspace of its own.
    pub fn examples(&self) -> Vec<PathBuf> {
        ["spell", "proof"].iter().map(|name| self.path("sdk/rust/examples").join(name)).collect()
    }
}
