//! `midplane serve`: assemble, bind, announce, serve until a signal.

use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, process::ExitCode, sync::Arc, time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::FutureExt as _;
use midplane_gateway::{Credentials, Gateway, GatewayConfig, GatewayLimits, Listeners, Tls, TokenPolicy};
use midplane_model::limits::{CONNECTIONS_MAX, SHUTDOWN_MAX};
use midplane_runtime::Lock;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    assembly::{Options, assemble},
    audit_log::AuditLog,
    cli::ServeArguments,
    data::{DataDir, Discovery},
    figures,
    local_socket::LocalSocket,
    token_file::TokenFile,
};

/// How much of `SHUTDOWN_MAX` is left, once the host is given up, for the audit log and the threads.
const EXIT_RESERVE: Duration = Duration::from_secs(1);

/// Turns of a busy thread after which it looks for sockets and timers. A guest that computes takes a whole epoch for each turn,
/// so with tokio's 61 two such guests would keep everybody else's sockets waiting for 300 ms.
const TURNS_BETWEEN_EVENTS: u32 = 2;

pub fn run(arguments: ServeArguments) -> ExitCode {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let runtime = match threads.event_interval(TURNS_BETWEEN_EVENTS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("midplane: no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(serve(arguments));
    // Blocking work that is still inside a system call does not keep the program.
    runtime.shutdown_timeout(EXIT_RESERVE / 2);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("midplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: ServeArguments) -> Result<()> {
    check_bind(&arguments)?;
    let limits = limits(&arguments)?;
    let tls = tls(&arguments)?;
    let directory = arguments
        .directory
        .canonicalize()
        .with_context(|| format!("{} cannot be served", arguments.directory.display()))?;
    let data = DataDir::open(arguments.data.as_deref(), &directory)?;
    let token = data.token()?;
    let plugin_folder = match &arguments.plugins {
        Some(folder) if folder.is_dir() => folder.clone(),
        Some(folder) => bail!("the plugin folder {} is not there; make it, or leave --plugins out", folder.display()),
        None => data.plugins()?,
    };
    // Bound early, served late: a taken port is known before anything else starts.
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| {
        format!("{} cannot be bound; another host may serve there: choose one with --listen", arguments.listen)
    })?;
    let address = listener.local_addr()?;
    let lock = Lock::open(Some(data.plugins_lock()), arguments.locked)?;
    let options = Options { durable_events: arguments.durable_events, trash_bytes: arguments.trash_bytes };
    let host = assemble(directory.clone(), &data, plugin_folder, lock, options).await?;
    let instance_id = format!("h-{:016x}", getrandom::u64()?);
    let (plugins, measured) = (host.plugins.clone(), host.plugins.clone());
    let (searches, watcher) = (host.searches.clone(), host.watcher.clone());
    let policy =
        if arguments.no_auth { TokenPolicy::Open } else { TokenPolicy::Required(Credentials::of_token(&token)) };
    let (token_file, issued) = TokenFile::open(data.tokens())?;
    let audit = Arc::new(AuditLog::open(&data.audit_log())?);
    let config = GatewayConfig {
        issued,
        token_store: Some(Arc::new(token_file)),
        audit: Some(audit.clone()),
        allowed_hosts: arguments.allow_hosts,
        allowed_origins: arguments.allow_origins,
        behind_proxy: arguments.behind_proxy,
        behind_tls: arguments.behind_proxy || tls.is_some(),
        limits,
        pages: Some(host.plugins.clone()),
        authenticators: Some(host.plugins.clone()),
        plugin_count: Arc::new(move || u32::try_from(plugins.list().len()).unwrap_or(u32::MAX)),
        plugin_metrics: Arc::new(move || measured.metrics() + &figures::render(searches.stats(), watcher.stats())),
        ..GatewayConfig::new(address, policy, env!("CARGO_PKG_VERSION"), &instance_id)
    };
    let gateway = Gateway::new(config, host.router.clone(), &host.broker).context("the gateway cannot start")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let bound = LocalSocket::bind(data.socket()).context("the local socket cannot be bound")?;
    let (local_socket, local) = bound.unzip();
    let socket = local_socket.as_ref().map(|socket| socket.path().to_owned());
    // Whoever knows that the host is ready may end it.
    let signals = [signal(SignalKind::terminate()), signal(SignalKind::interrupt())];
    let [Ok(terminate), Ok(interrupt)] = signals else { bail!("signals cannot be caught") };
    let signals = [terminate, interrupt];
    data.announce(&Discovery {
        url: url.clone(),
        pid: std::process::id(),
        instance_id,
        socket,
        data: data.path().to_owned(),
    })?;
    announce(&host.plugins.list(), &url, (!arguments.no_auth).then_some(&token), &directory.display().to_string());

    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_on_signal(signals, stop.clone()));
    let stopping = tokio::spawn(stop.clone().cancelled_owned().map(|()| Instant::now()));
    let served = gateway.serve(Listeners { port: listener, tls, local }, stop.clone()).await;
    stop.cancel();
    data.withdraw();
    drop(local_socket);
    let late = stopping.await? + SHUTDOWN_MAX - EXIT_RESERVE;
    if tokio::time::timeout_at(late, host.close()).await.is_err() {
        tracing::error!("the host did not end in time");
    }
    audit.close();
    signals.abort();
    served.context("serving failed")
}

/// # Errors
/// A file that cannot be read, or that others may read; what the certificate lacks.
fn tls(arguments: &ServeArguments) -> Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) else { return Ok(None) };
    let read = |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let mode = fs::metadata(key).with_context(|| format!("{} cannot be read", key.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{0} can be read by others; chmod 600 {0}", key.display());
    }
    let tls = Tls::from_pem(&read(certificate)?, &read(key)?);
    tls.map(Some).with_context(|| format!("{} and {}", certificate.display(), key.display()))
}

/// Descriptors that the host needs beside those of WebSockets: requests, files, watches, terminals, processes.
const OTHER_DESCRIPTORS: u64 = 2048;

fn limits(arguments: &ServeArguments) -> Result<GatewayLimits> {
    let connections = arguments.max_connections;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_DESCRIPTORS);
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if connections > CONNECTIONS_MAX && allowed.is_some_and(|allowed| allowed < wanted) {
        bail!("{connections} connections need {wanted} open files; raise the limit first: ulimit -n {wanted}");
    }
    let connections_per_principal = (connections / 4 * 3).max(1);
    let defaults = GatewayLimits::default();
    // A quarter of the descriptors, where there are few.
    let quarter = allowed.and_then(|allowed| usize::try_from(allowed / 4).ok()).unwrap_or(usize::MAX);
    let http_clients = defaults.http_clients.min(quarter.max(1));
    Ok(GatewayLimits { connections, connections_per_principal, http_clients, ..defaults })
}

/// The rules of the contract's section 5 about what may be bound.
fn check_bind(arguments: &ServeArguments) -> Result<()> {
    let beyond_loopback = !is_loopback(arguments.listen);
    if beyond_loopback && arguments.no_auth {
        bail!("--no-auth serves everybody, so it is for loopback only; {} is not", arguments.listen);
    }
    if beyond_loopback && !arguments.behind_proxy && arguments.tls_cert.is_none() {
        bail!(
            "{} can be reached from elsewhere, so it needs TLS: give --tls-cert and --tls-key, or put a proxy in front and say --behind-proxy",
            arguments.listen
        );
    }
    Ok(())
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The one line of the contract, after what a person should know about plugins that do not run.
#[expect(clippy::print_stdout, reason = "the program's own output")]
fn announce(plugins: &[midplane_runtime::Summary], url: &str, token: Option<&String>, directory: &str) {
    for plugin in plugins.iter().filter(|plugin| plugin.state != "running") {
        eprintln!("midplane: plugin {} is {}: {}", plugin.name, plugin.state, plugin.reason);
    }
    if plugins.is_empty() {
        eprintln!(
            "midplane: there are no plugins, so there is little to call; `cargo xtask run` builds the first-party ones"
        );
    }
    let address = token.map_or_else(|| format!("{url}/"), |token| format!("{url}/#token={token}"));
    println!("midplane serves {directory} at {address}");
}

/// The first signal stops gently, the second at once.
async fn stop_on_signal([mut terminate, mut interrupt]: [Signal; 2], stop: CancellationToken) {
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if first {
            stop.cancel();
        } else {
            std::process::exit(130);
        }
    }
}
