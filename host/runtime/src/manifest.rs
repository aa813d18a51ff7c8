//! `plugin.toml`: parsed once, unknown keys refused by name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use midplane_capabilities::files::RelativePath;
use midplane_model::{
    PageAccess, Pattern, PluginName, Scope,
    limits::{
        PLUGIN_DEADLINE_DEFAULT, PLUGIN_INSTANCES_MAX, PLUGIN_MEMORY_BYTES_DEFAULT, PLUGIN_QUEUE_DEFAULT,
        PLUGIN_STORAGE_BYTES_DEFAULT, PLUGIN_STORAGE_BYTES_MAX,
    },
};
use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::{
    authenticating::CredentialGrant,
    config::{Config, Wrong},
    contract,
    http::{HttpGrant, HttpSettings, RawHttp},
    routes::{self, DeclaredRoute, RawRoute},
    tools::{self, DeclaredTool, RawTool},
};

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("plugin.toml: {0}")]
    Parse(String),
    #[error("plugin.toml: {key}: {reason}")]
    Value { key: String, reason: String },
    #[error("plugin.toml: built for midplane:host {wanted}, this host serves {}", contract::served())]
    Contract { wanted: VersionReq },
}

/// A checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub name: PluginName,
    pub version: Version,
    /// File name of the component beside the manifest.
    pub component: String,
    pub description: String,
    pub dependencies: BTreeMap<PluginName, VersionReq>,
    pub grants: Grants,
    pub limits: Limits,
    /// What a caller's credential needs, by function name in snake_case; `write` where silent.
    pub scopes: BTreeMap<String, Scope>,
    /// Ways to the functions over REST.
    pub routes: Vec<DeclaredRoute>,
    /// What is offered to agents: the `[tools]` table.
    pub tools: Vec<DeclaredTool>,
    /// The `[http]` table: who sees the plugin's pages.
    pub http: HttpSettings,
    /// The `[config]` table, checked by its schema.
    pub config: Config,
}

/// What the plugin may do beyond computing. Everything else is denied. Its serialised form is what operators approve and
/// see: lists and flags by kind.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Grants {
    pub methods: Vec<Pattern>,
    pub publish: Vec<Pattern>,
    pub subscribe: Vec<Pattern>,
    pub files: Vec<FileGrant>,
    pub terminals: bool,
    /// Servers that may be sent requests.
    pub http: Arc<[HttpGrant]>,
    /// Pages without a credential: `public` of the table `[http]`.
    pub public_pages: bool,
    /// Pages that share the host's origin.
    pub same_origin: bool,
    /// Programs, by a name that is looked up or by an absolute path.
    pub processes: Vec<String>,
    /// Names of variables of the host's environment.
    pub env: Vec<String>,
    /// Credentials by which it says who comes.
    pub authenticator: Arc<[CredentialGrant]>,
}

/// One path below the served directory with everything below it.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileGrant {
    #[serde(serialize_with = "path_as_text", deserialize_with = "path_of_text")]
    pub path: RelativePath,
    pub access: Access,
}

fn path_as_text<S: serde::Serializer>(path: &RelativePath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(path)
}

fn path_of_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RelativePath, D::Error> {
    let text = String::deserialize(deserializer)?;
    let path = RelativePath::parse(text.strip_suffix('/').unwrap_or(&text));
    path.map_err(|error| {
        serde::de::Error::custom(format!("{error}; paths of grants are relative to the served directory"))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    Read,
    Write,
}

#[derive(Debug, Clone)]
pub struct Limits {
    pub memory_bytes: usize,
    pub deadline: Duration,
    pub queue: usize,
    /// Calls of `async func` exports inside at the same time, in each instance.
    pub max_concurrency: usize,
    /// What it may store; 0 is nothing.
    pub storage_bytes: u64,
    /// Instances that share the calls; more than one only for plugins that keep no state in memory.
    pub instances: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    plugin: RawPlugin,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
    #[serde(default)]
    grants: RawGrants,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    scopes: BTreeMap<String, String>,
    #[serde(default)]
    http: RawHttp,
    #[serde(default)]
    config: toml::Table,
    #[serde(default)]
    routes: Vec<RawRoute>,
    #[serde(default)]
    tools: BTreeMap<String, RawTool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlugin {
    name: String,
    version: String,
    component: String,
    host: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawGrants {
    methods: Vec<String>,
    publish: Vec<String>,
    subscribe: Vec<String>,
    files: Vec<FileGrant>,
    terminals: bool,
    http: Vec<String>,
    same_origin: bool,
    processes: Vec<String>,
    env: Vec<String>,
    authenticator: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    memory_bytes: Option<usize>,
    deadline_ms: Option<u64>,
    queue: Option<usize>,
    max_concurrency: Option<usize>,
    instances: Option<usize>,
    storage_bytes: Option<u64>,
}

impl Manifest {
    /// Parses and checks the text of a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let raw: Raw = toml::from_str(text).map_err(|error| ManifestError::Parse(error.to_string()))?;
        let wanted = value("plugin.host", VersionReq::parse(&raw.plugin.host))?;
        if !contract::accepts(&wanted) {
            return Err(ManifestError::Contract { wanted });
        }
        if raw.plugin.component.contains(['/', '\\']) || raw.plugin.component.starts_with('.') {
            return Err(wrong("plugin.component", "must be a file name beside plugin.toml"));
        }
        let (dependencies, scopes) = (dependencies(raw.dependencies)?, scopes(raw.scopes)?);
        let http = raw.http.check().map_err(|(key, reason)| wrong(&format!("http.{key}"), reason))?;
        let grants = grants(raw.grants, &http)?;
        let name = value("plugin.name", PluginName::parse(&raw.plugin.name).map_err(|fault| fault.message))?;
        Ok(Self {
            routes: routes::parse(raw.routes, &name)?,
            name,
            version: value("plugin.version", Version::parse(&raw.plugin.version))?,
            component: raw.plugin.component,
            description: raw.plugin.description,
            dependencies,
            tools: tools::parse(raw.tools, &grants)?,
            grants,
            limits: limits(&raw.limits)?,
            scopes,
            http,
            config: Config::parse(raw.config).map_err(|Wrong { key, reason }| wrong(&key, reason))?,
        })
    }
}

pub fn wrong(key: &str, reason: impl Into<String>) -> ManifestError {
    ManifestError::Value { key: key.to_owned(), reason: reason.into() }
}

fn value<T, E: ToString>(key: &str, result: Result<T, E>) -> Result<T, ManifestError> {
    result.map_err(|error| wrong(key, error.to_string()))
}

fn dependencies(raw: BTreeMap<String, String>) -> Result<BTreeMap<PluginName, VersionReq>, ManifestError> {
    raw.into_iter()
        .map(|(name, range)| {
            let key = format!("dependencies.{name}");
            let name = value(&key, PluginName::parse(&name).map_err(|fault| fault.message))?;
            Ok((name, value(&key, VersionReq::parse(&range))?))
        })
        .collect()
}

fn scopes(raw: BTreeMap<String, String>) -> Result<BTreeMap<String, Scope>, ManifestError> {
    raw.into_iter()
        .map(|(function, scope)| {
            let parsed = Scope::parse(&scope).map_err(|fault| wrong(&format!("scopes.{function}"), fault.message))?;
            Ok((function, parsed))
        })
        .collect()
}

fn grants(raw: RawGrants, http: &HttpSettings) -> Result<Grants, ManifestError> {
    let patterns = |key: &str, texts: Vec<String>| -> Result<Vec<Pattern>, ManifestError> {
        texts.iter().map(|text| value(key, Pattern::parse(text).map_err(|fault| fault.message))).collect()
    };
    Ok(Grants {
        methods: patterns("grants.methods", raw.methods)?,
        publish: patterns("grants.publish", raw.publish)?,
        subscribe: patterns("grants.subscribe", raw.subscribe)?,
        files: raw.files,
        terminals: raw.terminals,
        http: raw.http.iter().map(|text| value("grants.http", HttpGrant::parse(text))).collect::<Result<_, _>>()?,
        public_pages: http.access == PageAccess::Public,
        same_origin: raw.same_origin,
        processes: programs(raw.processes)?,
        env: environment(raw.env)?,
        authenticator: raw
            .authenticator
            .iter()
            .map(|text| value("grants.authenticator", CredentialGrant::parse(text)))
            .collect::<Result<_, _>>()?,
    })
}

fn programs(names: Vec<String>) -> Result<Vec<String>, ManifestError> {
    let wrong_name =
        |name: &&String| name.is_empty() || name.contains('\0') || (name.contains('/') && !name.starts_with('/'));
    match names.iter().find(wrong_name) {
        Some(name) => Err(wrong("grants.processes", format!("{name:?} is neither a name nor an absolute path"))),
        None => Ok(names),
    }
}

fn environment(names: Vec<String>) -> Result<Vec<String>, ManifestError> {
    match names.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => Err(wrong("grants.env", format!("{name:?} is no name of a variable"))),
        None => Ok(names),
    }
}

fn limits(raw: &RawLimits) -> Result<Limits, ManifestError> {
    if raw.instances.is_some_and(|instances| instances > PLUGIN_INSTANCES_MAX) {
        return Err(wrong("limits.instances", format!("at most {PLUGIN_INSTANCES_MAX}")));
    }
    let storage_bytes = raw.storage_bytes.unwrap_or(PLUGIN_STORAGE_BYTES_DEFAULT);
    if storage_bytes > PLUGIN_STORAGE_BYTES_MAX {
        return Err(wrong("limits.storage_bytes", format!("must be at most {PLUGIN_STORAGE_BYTES_MAX}")));
    }
    let positive = |key: &str, value: Option<usize>, default: usize| match value {
        Some(0) => Err(wrong(key, "must be at least 1")),
        value => Ok(value.unwrap_or(default)),
    };
    Ok(Limits {
        memory_bytes: positive("limits.memory_bytes", raw.memory_bytes, PLUGIN_MEMORY_BYTES_DEFAULT)?,
        deadline: raw.deadline_ms.map_or(PLUGIN_DEADLINE_DEFAULT, Duration::from_millis),
        queue: positive("limits.queue", raw.queue, PLUGIN_QUEUE_DEFAULT)?,
        max_concurrency: positive("limits.max_concurrency", raw.max_concurrency, 1)?,
        storage_bytes,
        instances: positive("limits.instances", raw.instances, 1)?,
    })
}

impl Grants {
    /// The widest grant that covers a path in this way: what the jail is narrowed to. None where there is none.
    #[must_use]
    pub fn floor_of(&self, path: &RelativePath, access: Access) -> Option<&RelativePath> {
        let covers = |grant: &&FileGrant| {
            path.is_within(&grant.path) && (grant.access == Access::Write || access == Access::Read)
        };
        self.files.iter().filter(covers).map(|grant| &grant.path).min_by_key(|floor| floor.segments().count())
    }

    /// What may be read: everything at or below these.
    pub fn readable(&self) -> impl Iterator<Item = &RelativePath> {
        self.files.iter().map(|grant| &grant.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[plugin]\nname = \"spell\"\nversion = \"1.2.0\"\ncomponent = \"spell.wasm\"\nhost = \"^0.2\"\n";

    #[test]
    fn an_unknown_key_is_named() {
        assert!(Manifest::parse(GOOD).is_ok());
        let error = Manifest::parse(&format!("{GOOD}colour = \"red\"\n")).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
        let error = Manifest::parse(&format!("{GOOD}[grants]\nfilez = []\n")).unwrap_err().to_string();
        assert!(error.contains("filez"), "{error}");
    }

    #[test]
    fn a_contract_that_is_too_new_is_refused_with_both_versions() {
        let error = Manifest::parse(&GOOD.replace("^0.2", "^0.9")).unwrap_err().to_string();
        assert!(error.contains("^0.9") && error.contains("0.2.0"), "{error}");
    }

    #[test]
    fn file_grants_cover_a_folder_and_what_is_below_and_nothing_beside() {
        let files = "[grants]\nfiles = [{ path = \"docs/\", access = \"read\" }, { path = \"docs/out\", access = \"write\" }]\n";
        let grants = Manifest::parse(&format!("{GOOD}{files}")).unwrap().grants;
        let floor = |path: &str, access| {
            let path = RelativePath::parse(path).unwrap();
            grants.floor_of(&path, access).map(|floor| floor.as_str().to_owned())
        };
        for (path, read, write) in [
            ("docs", Some("docs"), None),
            ("docs/a", Some("docs"), None),
            ("docs/out/a", Some("docs"), Some("docs/out")),
            ("docs/outer", Some("docs"), None),
            ("docs2", None, None),
            ("", None, None),
        ] {
            assert_eq!(floor(path, Access::Read).as_deref(), read, "{path}");
            assert_eq!(floor(path, Access::Write).as_deref(), write, "{path}");
        }
    }

    #[test]
    fn grants_that_mean_nothing_are_refused_by_name() {
        for (grants, needle) in [
            ("files = [{ path = \"/etc\", access = \"read\" }]", "/etc"),
            ("files = [{ path = \"../x\", access = \"read\" }]", "../x"),
            ("env = [\"A=B\"]", "grants.env"),
            ("authenticator = [\"basic\"]", "basic"),
            ("authenticator = [\"cookie:midplane_7420\"]", "midplane_7420"),
            ("processes = [\"./tool\"]", "grants.processes"),
        ] {
            let error = Manifest::parse(&format!("{GOOD}[grants]\n{grants}\n")).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
