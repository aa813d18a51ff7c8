//! Reading a source: its files become a package, unless they are those of one that is there already.

use std::{collections::BTreeMap, sync::Arc};

use midplane_capabilities::files::{RelativePath, Root};
use midplane_model::PluginName;
use tokio::sync::Semaphore;

use super::plugin::Source;
use crate::{
    host::Host,
    manifest::Manifest,
    package::{Files, LoadError, Package},
};

/// What came of reading a source.
pub struct Read {
    pub source: Source,
    pub result: Result<Arc<Package>, LoadError>,
    /// What the manifest says, if it can be read.
    pub manifest: Option<Box<Manifest>>,
    /// The folder that the name belonged to when the reading began.
    pub owner: Option<String>,
}

/// What the task that reads needs to know.
pub struct Reader {
    pub host: Arc<Host>,
    pub folder: Option<Root>,
    pub source: Source,
    /// Packages that need not be made again if the files are theirs.
    pub known: Vec<Arc<Package>>,
    /// The folders that names belong to.
    pub owners: BTreeMap<PluginName, String>,
    /// Bounds the compilations at the same time; the rest waits here.
    pub turns: Arc<Semaphore>,
}

impl Reader {
    pub async fn read(self) -> Read {
        let mut manifest = None;
        let result = self.package(&mut manifest).await;
        let owner = manifest.as_ref().and_then(|manifest| self.owners.get(&manifest.name).cloned());
        Read { source: self.source, result, manifest: manifest.map(Box::new), owner }
    }

    async fn package(&self, manifest: &mut Option<Manifest>) -> Result<Arc<Package>, LoadError> {
        let files = match (&self.source, &self.folder) {
            (Source::Bundle(bundle), _) => {
                *manifest = Manifest::parse(bundle.manifest).ok();
                Files::of_bundle(bundle)
            }
            (Source::Folder(folder), Some(root)) if is_there(root, folder).await => {
                *manifest = manifest_in(root, folder).await;
                self.check_name(root, folder, manifest.as_ref()).await?;
                Files::of_folder(root, folder).await?
            }
            (Source::Folder(_), _) => return Err(LoadError::Absent),
        };
        let Ok(_turn) = self.turns.acquire().await else { return Err(LoadError::GivenUp) };
        let (host, known) = (self.host.clone(), self.known.clone());
        let build = move || {
            let digest = files.digest();
            match known.into_iter().find(|package| package.digest == digest) {
                Some(package) => Ok(package),
                None => Package::build(&host, &files).map(Arc::new),
            }
        };
        tokio::task::spawn_blocking(build).await.map_err(|_| LoadError::GivenUp)?
    }

    /// Two folders cannot be the same plugin; one that is gone has lost its claim.
    async fn check_name(&self, root: &Root, folder: &str, manifest: Option<&Manifest>) -> Result<(), LoadError> {
        let Some(name) = manifest.map(|manifest| &manifest.name) else { return Ok(()) };
        match self.owners.get(name).filter(|owner| *owner != folder) {
            Some(other) if is_claimed(root, other, name).await => {
                Err(LoadError::NameTaken { name: name.to_string(), folder: folder.to_owned(), other: other.clone() })
            }
            _ => Ok(()),
        }
    }
}

async fn is_there(root: &Root, folder: &str) -> bool {
    match RelativePath::parse(&format!("{folder}/plugin.toml")) {
        Ok(path) => root.stat(&path).await.is_ok(),
        Err(_) => false,
    }
}

/// Whether a folder still holds the plugin of this name. One that cannot be read now is being changed and keeps its claim.
async fn is_claimed(root: &Root, folder: &str, name: &PluginName) -> bool {
    is_there(root, folder).await && manifest_in(root, folder).await.is_none_or(|manifest| manifest.name == *name)
}

pub async fn manifest_in(root: &Root, folder: &str) -> Option<Manifest> {
    let path = RelativePath::parse(&format!("{folder}/plugin.toml")).ok()?;
    let text = root.read(&path, None).await.ok()?;
    Manifest::parse(&String::from_utf8_lossy(&text.bytes)).ok()
}
