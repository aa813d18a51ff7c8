//! From memory into the plugin folder, in one step, and back.
//!
//! Everything is written beside the plugins under [`STAGING`], where nobody loads from, and then changes places with what is
//! there. So whoever looks at the plugin folder, also after the host was killed, finds a plugin wholly as it was or wholly new.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

/// The folder in the plugin folder where packages are put together and taken apart. Names with a dot are no plugins.
const STAGING: &str = ".midplane";
const INCOMING: &str = "incoming";
const FORMER: &str = "former";

/// A package on disk that is not in its place yet. Dropping it removes it.
pub struct Staged {
    /// Of this plugin alone, below [`STAGING`].
    area: PathBuf,
    target: PathBuf,
}

/// A package in its place. One of `keep` and `undo` must follow; if the host ends before, the next start decides.
#[must_use]
pub struct Placed {
    area: PathBuf,
    target: PathBuf,
    replaced: bool,
}

impl Staged {
    /// Writes the files of the plugin that is to live in `folder` of the plugin folder. Blocks.
    pub fn write(plugins: &Path, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Self> {
        let area = plugins.join(STAGING).join(folder);
        remove_all(&area)?;
        let staged = Self { target: plugins.join(folder), area };
        let incoming = staged.area.join(INCOMING);
        fs::create_dir_all(&incoming)?;
        for (path, bytes) in files {
            let path = incoming.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        sync(&incoming)?;
        Ok(staged)
    }

    /// Changes places with what is there, if anything is. Blocks.
    pub fn place(self) -> io::Result<Placed> {
        let (area, target) = (self.area.clone(), self.target.clone());
        let incoming = area.join(INCOMING);
        let replaced = target.exists();
        if replaced {
            match renameat_with(CWD, &incoming, CWD, &target, RenameFlags::EXCHANGE) {
                Ok(()) => fs::rename(&incoming, area.join(FORMER))?,
                // A file system that cannot: for a moment there is no plugin, which the next start would mend.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    fs::rename(&target, area.join(FORMER))?;
                    fs::rename(&incoming, &target)?;
                }
                Err(error) => return Err(error.into()),
            }
        } else {
            fs::rename(&incoming, &target)?;
        }
        std::mem::forget(self);
        sync_parent(&target)?;
        Ok(Placed { area, target, replaced })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        clear(&self.area);
    }
}

impl Placed {
    /// The new package stays. Blocks.
    pub fn keep(self) {
        clear(&self.area);
    }

    /// What was there before comes back. Blocks.
    pub fn undo(self) -> io::Result<()> {
        let failed = self.area.join(INCOMING);
        if self.replaced {
            let former = self.area.join(FORMER);
            match renameat_with(CWD, &former, CWD, &self.target, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(_) => {
                    fs::rename(&self.target, &failed)?;
                    fs::rename(&former, &self.target)?;
                }
            }
        } else {
            fs::rename(&self.target, &failed)?;
        }
        sync_parent(&self.target)?;
        clear(&self.area);
        Ok(())
    }
}

/// Takes a plugin's folder away in one step, then deletes it. Blocks.
pub fn remove(plugins: &Path, folder: &str) -> io::Result<()> {
    let area = plugins.join(STAGING).join(folder);
    remove_all(&area)?;
    fs::create_dir_all(&area)?;
    let target = plugins.join(folder);
    fs::rename(&target, area.join("removed"))?;
    sync_parent(&target)?;
    clear(&area);
    Ok(())
}

/// Ends what a host that was killed had begun: a package that was put in its place and never served goes, and the trusted one that
/// it replaced comes back. `trusted` knows the digest of a plugin folder. Blocks.
pub fn recover(plugins: &Path, trusted: impl Fn(&Path) -> bool) -> io::Result<()> {
    let staging = plugins.join(STAGING);
    let areas = match fs::read_dir(&staging) {
        Ok(areas) => areas,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for area in areas {
        let area = area?;
        let target = plugins.join(area.file_name());
        if !trusted(&target) {
            let kept = [FORMER, INCOMING].map(|name| area.path().join(name));
            let orphan = || Some(&kept[0]).filter(|former| former.exists() && !target.exists());
            if let Some(former) = kept.iter().find(|kept| trusted(kept)).or_else(orphan) {
                remove_all(&target)?;
                fs::rename(former, &target)?;
                sync_parent(&target)?;
            }
        }
    }
    remove_all(&staging)
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes an area, and the staging folder with the last of them. What stays is removed at the next start.
fn clear(area: &Path) {
    if let Err(error) = remove_all(area) {
        tracing::warn!(area = %area.display(), %error, "what an installation left cannot be removed");
    }
    if let Some(staging) = area.parent() {
        // Not empty while another installation is under way.
        _ = fs::remove_dir(staging);
    }
}

/// Makes the names in a folder, and in those below, durable.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("plugin.toml".into(), text.into()), ("wit/a.wit".into(), text.into())])
    }

    fn content(plugins: &Path) -> Option<String> {
        fs::read_to_string(plugins.join("spell/plugin.toml")).ok()
    }

    fn is(text: &'static str) -> impl Fn(&Path) -> bool {
        move |folder| fs::read_to_string(folder.join("plugin.toml")).is_ok_and(|found| found == text)
    }

    #[test]
    fn a_package_is_placed_kept_undone_and_removed_and_leaves_nothing() {
        let plugins = tempfile::tempdir().unwrap();
        let plugins = plugins.path();
        let place = |text: &str| Staged::write(plugins, "spell", &files(text)).unwrap().place().unwrap();
        place("one").undo().unwrap();
        assert_eq!(content(plugins), None);
        place("one").keep();
        place("two").undo().unwrap();
        assert_eq!(content(plugins).as_deref(), Some("one"));
        place("two").keep();
        assert_eq!(content(plugins).as_deref(), Some("two"));
        drop(Staged::write(plugins, "spell", &files("three")).unwrap());
        assert_eq!(fs::read_dir(plugins).unwrap().count(), 1, "nothing is left beside the plugin");
        remove(plugins, "spell").unwrap();
        assert_eq!(fs::read_dir(plugins).unwrap().count(), 0);
    }

    #[test]
    fn after_a_kill_what_is_trusted_is_there_wholly() {
        let trusts_one = is("one");
        let with_one = || {
            let plugins = tempfile::tempdir().unwrap();
            Staged::write(plugins.path(), "spell", &files("one")).unwrap().place().unwrap().keep();
            plugins
        };
        let check = |plugins: &Path, expected: Option<&str>| {
            recover(plugins, &trusts_one).unwrap();
            assert_eq!(content(plugins).as_deref(), expected);
            assert!(!plugins.join(STAGING).exists());
        };
        // Killed while it was written.
        let plugins = with_one();
        std::mem::forget(Staged::write(plugins.path(), "spell", &files("two")).unwrap());
        check(plugins.path(), Some("one"));
        // Killed when it was in place and had not served.
        let plugins = with_one();
        _ = Staged::write(plugins.path(), "spell", &files("two")).unwrap().place().unwrap();
        check(plugins.path(), Some("one"));
        // The same before the former one had its name.
        let plugins = with_one();
        let placed = Staged::write(plugins.path(), "spell", &files("two")).unwrap().place().unwrap();
        fs::rename(placed.area.join(FORMER), placed.area.join(INCOMING)).unwrap();
        check(plugins.path(), Some("one"));
        // Between the two renames of a file system that cannot exchange.
        let plugins = with_one();
        let placed = Staged::write(plugins.path(), "spell", &files("two")).unwrap().place().unwrap();
        fs::remove_dir_all(&placed.target).unwrap();
        check(plugins.path(), Some("one"));
        // Trusted already, and the former one not yet gone.
        let plugins = tempfile::tempdir().unwrap();
        Staged::write(plugins.path(), "spell", &files("zero")).unwrap().place().unwrap().keep();
        _ = Staged::write(plugins.path(), "spell", &files("one")).unwrap().place().unwrap();
        check(plugins.path(), Some("one"));
        // A first package that never came into its place.
        let plugins = tempfile::tempdir().unwrap();
        std::mem::forget(Staged::write(plugins.path(), "spell", &files("two")).unwrap());
        check(plugins.path(), None);
    }
}
