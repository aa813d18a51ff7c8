//! Puts the first-party plugins into the program: whatever `cargo xtask plugins` has left in `target/plugins`.
//!
//! A build without them gives a host without services, which says so when it starts; the tests of single crates need no
//! more. Nothing is compiled here: a nested cargo in a build script cannot show progress and fights for the build lock.

use std::{env, fmt::Write, fs, io, path::Path};

fn main() -> io::Result<()> {
    let plugins = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../target/plugins");
    println!("cargo::rerun-if-changed={}", plugins.display());
    let mut code = String::from("pub const BUNDLES: &[midplane_runtime::Bundle] = &[\n");
    let mut folders: Vec<_> = match fs::read_dir(&plugins) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(_) => Vec::new(),
    };
    folders.sort();
    for folder in folders {
        if let Some(bundle) = bundle(&folder.canonicalize()?)? {
            code.push_str(&bundle);
        }
    }
    code.push_str("];\n");
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("bundles.rs"), code)
}

fn bundle(folder: &Path) -> io::Result<Option<String>> {
    let manifest = folder.join("plugin.toml");
    if !manifest.exists() {
        return Ok(None);
    }
    let mut wasm = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            wasm = Some(path);
        }
    }
    let Some(wasm) = wasm else { return Ok(None) };
    println!("cargo::rerun-if-changed={}", manifest.display());
    println!("cargo::rerun-if-changed={}", wasm.display());
    let mut code = String::new();
    let write = |code: &mut String, text: std::fmt::Arguments<'_>| code.write_fmt(text).map_err(io::Error::other);
    write(&mut code, format_args!("    midplane_runtime::Bundle {{\n        manifest: include_str!({manifest:?}),\n"))?;
    write(&mut code, format_args!("        wasm: include_bytes!({wasm:?}),\n        wit: &[\n"))?;
    let wit = folder.join("wit");
    if wit.is_dir() {
        let mut files: Vec<_> = fs::read_dir(&wit)?.filter_map(Result::ok).map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "wit")) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            write(&mut code, format_args!("            ({name:?}, include_str!({file:?})),\n"))?;
        }
    }
    code.push_str("        ],\n    },\n");
    Ok(Some(code))
}
