//! A small file system of its own, for tests of what happens when it is full or may not be written.

use std::{path::Path, process::Command};

pub struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// None where this user may not mount; see [`SmallDisk::elsewhere`].
    pub fn mount(at: &'a Path, kib: u32) -> Option<Self> {
        let size = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at))
    }

    pub fn forbid_writing(&self) {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(self.0).status();
        assert!(remount.is_ok_and(|status| status.success()), "remount");
    }

    /// Runs a test again where its user may mount: in name spaces of its own. Nothing is shown on a system that has none.
    pub fn elsewhere(test: &str) {
        let mut allowed = Command::new("unshare");
        allowed.args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        if !allowed.output().is_ok_and(|output| output.status.success()) {
            return;
        }
        let program = std::env::current_exe().expect("this program");
        let again = Command::new("unshare").arg("-Urm").arg(program).args(["--exact", test]).output().expect("unshare");
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
