//! A component alone: its manifest is inside it, or made from what it exports.

use std::{collections::BTreeMap, path::Path};

use midplane_model::PluginName;
use midplane_router::interfaces_of_component;
use semver::Version;

use super::{MANIFEST, SourceError};
use crate::{contract, host::split_id, manifest::Manifest, package::is_hook};

/// The custom section of a component that holds the text of its `plugin.toml`.
const SECTION: &str = "midplane:plugin.toml";

/// The files of a plugin that came as one component.
pub fn files(path: &Path, wasm: Vec<u8>) -> Result<BTreeMap<String, Vec<u8>>, SourceError> {
    let manifest = match custom_section(&wasm, SECTION) {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => derived(path, &wasm)?,
    };
    let component = Manifest::parse(&manifest)?.component;
    Ok(BTreeMap::from([(MANIFEST.to_owned(), manifest.into_bytes()), (component, wasm)]))
}

/// The name of the file if that can be a plugin's name, else that of the package of the first service; its version; the contract
/// that the component uses; no grants.
fn derived(path: &Path, wasm: &[u8]) -> Result<String, SourceError> {
    let read = interfaces_of_component(wasm).map_err(|error| SourceError::Nameless(error.to_string()))?;
    let service = read.exports.iter().find(|export| !is_hook(export));
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase().replace('_', "-"));
    let package = service.and_then(|service| service.id.split_once(':')?.1.split_once('/')).map(|(name, _)| name);
    let name = stem.iter().map(String::as_str).chain(package).find_map(|name| PluginName::parse(name).ok());
    let name = name.ok_or_else(|| SourceError::Nameless("neither file name nor package is a plugin name".into()))?;
    let version = service.map_or(Version::new(0, 0, 0), |service| split_id(&service.id).1);
    let own = read.imports.iter().chain(&read.exports).find(|interface| contract::is_own(&interface.id));
    let host = own.map_or_else(|| contract::open().clone(), |interface| split_id(&interface.id).1);
    Ok(format!(
        "# Made from the component alone.\n[plugin]\nname = \"{name}\"\nversion = \"{version}\"\ncomponent = \"{name}.wasm\"\nhost = \"^{}.{}\"\n",
        host.major, host.minor
    ))
}

/// The content of a custom section at the top of a component. Whoever needs it to be well-formed finds out elsewhere.
fn custom_section<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = wasm.get(8..)?;
    loop {
        let (id, after) = rest.split_first()?;
        let (size, after) = leb128(after)?;
        let (section, next) = after.split_at_checked(size)?;
        if *id == 0 {
            let (length, content) = leb128(section)?;
            let (found, content) = content.split_at_checked(length)?;
            if found == name.as_bytes() {
                return Some(content);
            }
        }
        rest = next;
    }
}

/// An unsigned number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(u32::try_from(value).ok()?).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_section(name: &str, content: &str) -> Vec<u8> {
        let mut wasm = b"\0asm\x0d\0\x01\0".to_vec();
        let inside = [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), content.as_bytes()].concat();
        wasm.extend([0x00, u8::try_from(inside.len()).unwrap() | 0x80, 0x00]);
        wasm.extend(inside);
        wasm
    }

    #[test]
    fn a_manifest_inside_the_component_is_found() {
        let wasm = [with_section("other", "x"), with_section(SECTION, "text")[8..].to_vec()].concat();
        assert_eq!(custom_section(&wasm, SECTION), Some(&b"text"[..]));
        assert_eq!(custom_section(&wasm, "missing"), None);
    }

    #[test]
    fn bytes_that_end_too_early_hold_nothing() {
        let wasm = with_section(SECTION, "text");
        for end in 0..wasm.len() {
            assert_eq!(custom_section(&wasm[..end], SECTION), None, "{end}");
        }
        assert_eq!(custom_section(b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\xff\xff", SECTION), None);
    }
}
