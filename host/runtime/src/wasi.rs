//! What WASI gives a guest: clocks, random numbers, and its log as standard output. Everything else of it needs a grant, and
//! the grants `env` and (for WASI) `files` are enforced here and nowhere else.

use std::{collections::BTreeMap, sync::Arc};

use midplane_capabilities::files::{FilesError, RelativePath};
use midplane_model::Fault;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::{
    host::Host,
    manifest::{Access, FileGrant, Grants},
    output::Output,
    package::{LoadError, Package},
    slot::Slot,
};

/// No arguments, no standard input, no sockets, no names to look up; of the environment and of the files what is granted.
///
/// # Errors
/// When a granted folder is there and cannot be opened.
pub async fn context(host: &Host, package: &Package, slot: &Arc<Slot>) -> Result<WasiCtx, LoadError> {
    let grants = &package.manifest.grants;
    let mut wasi = WasiCtx::builder();
    wasi.stdout(Output { slot: slot.clone(), level: "info" }).stderr(Output { slot: slot.clone(), level: "error" });
    // The addresses are refused by default; without this a guest could still make sockets, which are descriptors.
    wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for (name, value) in granted_environment(&host.parts.environment, grants) {
        wasi.env(name, value);
    }
    for grant in &grants.files {
        preopen(&mut wasi, host, grant, slot).await?;
    }
    Ok(wasi.build())
}

/// The variables that are granted and set.
pub fn granted_environment(host: &BTreeMap<String, String>, grants: &Grants) -> impl Iterator<Item = (String, String)> {
    grants.env.iter().filter_map(|name| Some((name.clone(), host.get(name)?.clone())))
}

/// `docs` is `/docs` for the guest, the served directory itself `/`. wasmtime resolves every path below it with
/// `RESOLVE_BENEATH`, or component by component where the kernel has no such thing.
async fn preopen(wasi: &mut WasiCtxBuilder, host: &Host, grant: &FileGrant, slot: &Slot) -> Result<(), LoadError> {
    let fail = |reason: String| LoadError::Read { path: grant.path.to_string(), reason };
    let held = match host.parts.files.within(grant.path.clone()).hold().await {
        Ok(held) => held,
        Err(FilesError::NotFound { .. }) => {
            slot.log("warn", &format!("the granted folder {} is not there; WASI shows it after a reload", grant.path));
            return Ok(());
        }
        // A grant of a single file: the import `files` has it, WASI knows folders only.
        Err(FilesError::WrongType { .. }) => return Ok(()),
        Err(error) => return Err(fail(Fault::from(error).message)),
    };
    let permissions = if grant.access == Access::Write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
    wasi.preopened_dir(held.path(), guest_path(&grant.path), permissions).map_err(|error| fail(error.to_string()))?;
    Ok(())
}

fn guest_path(path: &RelativePath) -> String {
    format!("/{}", path.as_str())
}
