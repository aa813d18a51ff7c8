//! A plugin's files, read, checked and compiled: everything that can be known before an instance is made.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use midplane_capabilities::files::{FilesError, ListOptions, RelativePath, Root};
use midplane_model::{
    Fault, PageRules, PluginName,
    schema::{Function, Interface},
};
use midplane_router::{WitError, interfaces_of_component, interfaces_of_packages};
use semver::Version;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    authenticating,
    check::Imports,
    compiling, contract,
    engine::{self, Code, EngineError, Tier, Wasm},
    host::{Bundle, Host},
    instance::Guest,
    link,
    lock::GrantSet,
    manifest::{Manifest, ManifestError},
    routes, tools,
};

/// Why a plugin, or a new generation of it, does not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}: {reason}")]
    Read { path: String, reason: String },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{path}: {source}")]
    Decode { path: String, source: WitError },
    #[error("{}", with_cause(.0))]
    Compile(EngineError),
    #[error("{verb} {what}, which this host does not have (it serves midplane:host {})", contract::served())]
    UnknownContract { verb: &'static str, what: String },
    #[error("asks for more than was approved: {}; plugin.approve allows it", .0.added)]
    Unapproved(Box<Unapproved>),
    #[error("is {found}, but the host was started with --locked and plugins.lock has {locked}")]
    NotLocked { found: String, locked: String },
    #[error("plugin.toml: grants.authenticator: {0}")]
    Authenticator(&'static str),
    #[error("waits for a plugin that serves {interface}")]
    Missing { interface: String },
    #[error("waits for the plugin {name} {range}{}", .there.as_ref().map(|there| format!("; {there} is there")).unwrap_or_default())]
    MissingDependency { name: String, range: String, there: Option<String> },
    #[error("needs itself: {chain}")]
    Circular { chain: String },
    #[error(
        "plugin.toml: limits.instances: {instances} instances cannot share the state that this plugin keeps in memory (it exports midplane:host/state); use 1"
    )]
    StatefulInstances { instances: usize },
    #[error("waits for the office of the authenticator, which {holder} has; disable one of the two")]
    SecondAuthenticator { holder: String },
    #[error("imports {interface} with another type: {reason}")]
    Incompatible { interface: String, reason: String },
    #[error("cannot link {interface}: {cause}")]
    Link { interface: String, cause: wasmtime::Error },
    #[error("the instance cannot be made: {}", crate::actor::describe(.0))]
    Instantiate(wasmtime::Error),
    #[error("exports {interface} with another type for {function}: {cause}")]
    WrongExport { interface: &'static str, function: &'static str, cause: wasmtime::Error },
    #[error("did not {step} within {} ms", .limit.as_millis())]
    Slow { step: &'static str, limit: Duration },
    #[error("failed to {step}: {}", crate::actor::describe(.trap))]
    Trap { step: &'static str, trap: wasmtime::Error },
    #[error("could not {step}: {reason}")]
    Refused { step: &'static str, reason: String },
    #[error("the folder {folder} holds a second plugin named {name}; the first is in {other}")]
    NameTaken { name: String, folder: String, other: String },
    #[error("the call inside did not finish within {} ms", .0.as_millis())]
    Busy(Duration),
    #[error("an instance failed meanwhile")]
    Gone,
    #[error("its files are gone")]
    Absent,
    #[error("was given up before it was done")]
    GivenUp,
}

/// A package whose grants grew beyond the approved ones.
#[derive(Debug, Clone)]
pub struct Unapproved {
    pub name: PluginName,
    pub version: Version,
    pub sha256: String,
    /// What is new.
    pub added: GrantSet,
}

fn with_cause(error: &EngineError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[derive(Clone)]
pub struct Package {
    pub manifest: Manifest,
    /// Of manifest and component: equal digests are the same package.
    pub digest: String,
    /// Served interfaces, with docs where the WIT beside the component has them.
    pub services: Vec<Arc<Interface>>,
    /// Imported interfaces of other plugins.
    pub needs: Vec<Interface>,
    /// Ids of the interfaces that the host calls of itself.
    pub hooks: Vec<Arc<str>>,
    /// Everything that is imported, for people.
    pub imports: Imports,
    pub wasm_bytes: usize,
    /// Keeps state in memory and hands it over.
    pub stateful: bool,
    /// Can receive events.
    pub subscriber: bool,
    /// What it runs.
    pub code: Arc<Code>,
    /// The component, as long as better code can be made of it.
    wasm: Option<Wasm>,
    /// Whether better code is being made, or waits for its turn.
    pub optimising: Arc<AtomicBool>,
    pub pre: InstancePre<Guest>,
    /// The same for a component that answers HTTP.
    pub pages: Option<Pages>,
    pub page_rules: PageRules,
}

/// A component that exports `wasi:http/incoming-handler`, ready to be made an instance of for every request.
pub type Pages = ProxyPre<Guest>;

const INCOMING_HANDLER: &str = "wasi:http/incoming-handler@0.2.0";

/// The files of a plugin before anything is made of them.
pub struct Files {
    pub manifest: String,
    pub wasm: Wasm,
    pub wit: Vec<(String, String)>,
}

impl Files {
    pub fn of_bundle(bundle: &Bundle) -> Self {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Self {
            manifest: bundle.manifest.to_owned(),
            wasm: Bytes::from_static(bundle.wasm).into(),
            wit: bundle.wit.iter().map(own).collect(),
        }
    }

    /// Reads a plugin folder below `root`. The manifest comes first, so that its errors do.
    pub async fn of_folder(root: &Root, folder: &str) -> Result<Self, LoadError> {
        let manifest = Self::manifest_of(root, folder).await?;
        let component = Manifest::parse(&manifest)?.component;
        let wasm = read(root, &format!("{folder}/{component}")).await?.into();
        let mut wit = Vec::new();
        for path in wit_files(root, folder).await {
            if let Ok(text) = read(root, &path).await {
                let name = path.trim_start_matches(&format!("{folder}/wit/")).to_owned();
                wit.push((name, String::from_utf8_lossy(&text).into_owned()));
            }
        }
        Ok(Self { manifest, wasm, wit })
    }

    /// Reads the text of the manifest alone.
    pub async fn manifest_of(root: &Root, folder: &str) -> Result<String, LoadError> {
        let manifest = read(root, &format!("{folder}/plugin.toml")).await?;
        Ok(String::from_utf8_lossy(&manifest).into_owned())
    }

    /// Of manifest and component: equal digests are the same package. Takes its time for large components: call it where
    /// blocking is allowed.
    pub fn digest(&self) -> String {
        let digest = Sha256::new().chain_update(&self.manifest).chain_update([0]).chain_update(&*self.wasm).finalize();
        format!("{digest:x}")
    }
}

async fn read(root: &Root, path: &str) -> Result<Bytes, LoadError> {
    let fail = |error: FilesError| LoadError::Read { path: path.to_owned(), reason: Fault::from(error).message };
    let relative = RelativePath::parse(path).map_err(fail)?;
    Ok(root.read(&relative, None).await.map_err(fail)?.bytes)
}

/// WIT beside the component; none is fine.
async fn wit_files(root: &Root, folder: &str) -> Vec<String> {
    let Ok(path) = RelativePath::parse(&format!("{folder}/wit")) else { return Vec::new() };
    let options = ListOptions { depth: 3, ..ListOptions::default() };
    let Ok(listing) = root.list(&path, options).await else { return Vec::new() };
    let paths = listing.entries.iter().map(|entry| entry.path.as_str().to_owned());
    paths.filter(|path| path.ends_with(".wit")).collect()
}

impl Package {
    /// Checks, compiles and links. Seconds of work for large components: call it where blocking is allowed.
    pub fn build(host: &Host, files: &Files) -> Result<Self, LoadError> {
        let manifest = Manifest::parse(&files.manifest)?;
        let path = manifest.component.clone();
        let interfaces = interfaces_of_component(&files.wasm).map_err(|source| LoadError::Decode { path, source })?;
        let imports = Imports::of(&interfaces.imports);
        let needs = needs(interfaces.imports)?;
        let (hooks, services): (Vec<_>, Vec<_>) = interfaces.exports.into_iter().partition(is_hook);
        check_hooks(&hooks)?;
        let has = |name: &str| hooks.iter().any(|hook| &*hook.name == name);
        let instances = manifest.limits.instances;
        if instances > 1 && has("state") {
            return Err(LoadError::StatefulInstances { instances });
        }
        authenticating::check(&hooks, &manifest)?;
        let documented = document(services, &files.wit, &manifest);
        routes::check(&manifest.routes, &documented)?;
        tools::check(&manifest.tools, &manifest.name, &documented)?;
        let progress = compiling::show(host, &manifest, files.wasm.len());
        let code = host.parts.engine.compile(&files.wasm, progress).map_err(LoadError::Compile)?;
        let pre = linked(&code.component, &needs)?;
        let pages = pages(&code.component, &pre)?;
        Ok(Self {
            digest: files.digest(),
            services: documented.into_iter().map(Arc::new).collect(),
            needs,
            hooks: hooks.iter().map(|hook| hook.id.clone()).collect(),
            imports,
            wasm_bytes: files.wasm.len(),
            stateful: has("state"),
            subscriber: has("subscriber"),
            wasm: (code.tier == Tier::Baseline).then(|| files.wasm.clone()),
            optimising: Arc::default(),
            code,
            pre,
            pages,
            page_rules: PageRules { access: manifest.http.access.clone(), same_origin: manifest.grants.same_origin },
            manifest,
        })
    }

    /// Whether it says who comes with credentials that are none of the host's.
    pub fn authenticates(&self) -> bool {
        !self.manifest.grants.authenticator.is_empty()
    }

    pub fn wants_better_code(&self) -> bool {
        self.wasm.is_some()
    }

    /// The same package on optimised code. Seconds of work.
    pub fn optimised(&self, host: &Host) -> Result<Self, LoadError> {
        let Some(wasm) = &self.wasm else { return Ok(self.clone()) };
        let progress = compiling::show(host, &self.manifest, self.wasm_bytes);
        let code = host.parts.engine.optimise(wasm, progress).map_err(LoadError::Compile)?;
        let pre = linked(&code.component, &self.needs)?;
        let pages = pages(&code.component, &pre)?;
        Ok(Self { code, pre, pages, wasm: None, ..self.clone() })
    }
}

fn pages(component: &Component, pre: &InstancePre<Guest>) -> Result<Option<Pages>, LoadError> {
    // Versions are looked up by compatibility, as the linker does.
    if component.get_export_index(None, INCOMING_HANDLER).is_none() {
        return Ok(None);
    }
    let wrong = |cause| LoadError::WrongExport { interface: INCOMING_HANDLER, function: "handle", cause };
    ProxyPre::new(pre.clone()).map(Some).map_err(wrong)
}

/// Imports that other plugins must satisfy; unknown ones of the host are refused here, by name.
fn needs(imports: Vec<Interface>) -> Result<Vec<Interface>, LoadError> {
    let mut needs = Vec::new();
    for interface in imports {
        if contract::is_own(&interface.id) {
            contract::check("imports", &interface)?;
        } else if !interface.id.starts_with("wasi:") && !interface.functions.is_empty() {
            needs.push(interface);
        }
    }
    Ok(needs)
}

/// The component with everything that it imports.
fn linked(component: &Component, needs: &[Interface]) -> Result<InstancePre<Guest>, LoadError> {
    let mut linker = linker(component.engine())?;
    for interface in needs {
        link::define(&mut linker, interface)?;
    }
    linker.instantiate_pre(component).map_err(LoadError::Instantiate)
}

fn linker(engine: &wasmtime::Engine) -> Result<Linker<Guest>, LoadError> {
    let fail = |interface: &str| {
        let interface = interface.to_owned();
        move |cause| LoadError::Link { interface, cause }
    };
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(fail("wasi"))?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(fail("wasi:http"))?;
    contract::add_to_linker(&mut linker).map_err(fail("midplane:host"))?;
    Ok(linker)
}

/// Whether a component with these imports can be linked here, whatever plugins are there. Compiles: seconds of work.
pub fn links(wasm: &[u8], imports: Vec<Interface>, hooks: &[Interface]) -> Result<(), LoadError> {
    let needs = needs(imports)?;
    check_hooks(hooks)?;
    let engine = engine::for_checks().map_err(LoadError::Compile)?;
    let component = Component::new(&engine, wasm).map_err(|error| LoadError::Compile(EngineError::Compile(error)))?;
    linked(&component, &needs).map(drop)
}

/// Whether the host calls an exported interface of itself, rather than serving it to others.
pub fn is_hook(interface: &Interface) -> bool {
    contract::is_own(&interface.id) || interface.id.starts_with("wasi:")
}

fn check_hooks(hooks: &[Interface]) -> Result<(), LoadError> {
    hooks.iter().filter(|hook| contract::is_own(&hook.id)).try_for_each(|hook| contract::check("exports", hook))
}

/// Takes names of types and docs from the WIT beside the component, where it describes the same functions.
pub fn document(mut services: Vec<Interface>, wit: &[(String, String)], manifest: &Manifest) -> Vec<Interface> {
    if wit.is_empty() {
        return services;
    }
    let mut packages: Vec<Vec<(&str, &str)>> = contract::wit().map(<[_]>::to_vec).collect();
    let mut folders: Vec<&str> =
        wit.iter().map(|(name, _)| name.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        let inside = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
        packages.push(wit.iter().filter(|(name, _)| inside(name)).map(|(name, text)| (&**name, &**text)).collect());
    }
    let known = match interfaces_of_packages(&packages) {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(plugin = %manifest.name, %error, "the WIT beside the component cannot be read: no docs");
            return services;
        }
    };
    for service in &mut services {
        let Some(text) = known.iter().find(|known| known.id == service.id) else { continue };
        service.docs.clone_from(&text.docs);
        for function in &mut service.functions {
            let same = |known: &&Arc<Function>| known.name == function.name && known.same_shape(function);
            if let Some(known) = text.functions.iter().find(same) {
                *function = known.clone();
            }
        }
    }
    services
}
