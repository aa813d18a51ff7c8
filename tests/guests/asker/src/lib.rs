//! Asks for everything; what it is granted is up to the manifest.

use std::{
    ffi::{CString, c_char, c_int},
    io::Write as _,
    net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket},
};

use exports::{
    midplane::host::subscriber::{Event, Guest as Subscriber},
    test::asker::asker::{Error, Guest},
};
use midplane_sdk::host::{context, events, files, services, storage, terminals, watch};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:asker/guest" });

// In wasi-libc, but not in the standard library's stable part.
unsafe extern "C" {
    fn symlink(target: *const c_char, path: *const c_char) -> c_int;
}

struct Asker;

export!(Asker);

impl Guest for Asker {
    fn read_file(path: String) -> Result<Vec<u8>, Error> {
        Ok(files::read(&path, 0, None)?.bytes)
    }

    fn write_file(path: String, bytes: Vec<u8>) -> Result<String, Error> {
        let create = files::CreateMode::Always;
        let options = files::WriteOptions { if_version: None, create, create_dirs: false, durable: false };
        Ok(files::write(&path, &bytes, &options)?.version)
    }

    fn move_file(from: String, to: String) -> Result<(), Error> {
        files::move_(&from, &to, false)
    }

    fn delete_file(path: String) -> Result<(), Error> {
        files::delete(&path, true)
    }

    fn watch() -> Result<(), Error> {
        watch::start()
    }

    fn open_with_wasi(path: String) -> Result<Vec<u8>, String> {
        std::fs::read(path).map_err(|error| error.to_string())
    }

    fn write_with_wasi(path: String, bytes: Vec<u8>) -> Result<(), String> {
        std::fs::write(path, bytes).map_err(|error| error.to_string())
    }

    fn link_with_wasi(target: String, path: String) -> Result<(), String> {
        let (Ok(target), Ok(path)) = (CString::new(target), CString::new(path)) else { return Err("NUL".to_owned()) };
        // SAFETY: both are strings that end with NUL and live until the call returns.
        let result = unsafe { symlink(target.as_ptr(), path.as_ptr()) };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
    }

    fn move_with_wasi(from: String, to: String) -> Result<(), String> {
        std::fs::rename(from, to).map_err(|error| error.to_string())
    }

    fn list_with_wasi(path: String) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(path).map_err(|error| error.to_string())?;
        Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    fn reach_out(address: String) -> Result<String, Vec<String>> {
        let attempts: [fn(&str) -> std::io::Result<String>; 4] = [
            |address| TcpStream::connect(address).map(|_| "connected".to_owned()),
            |_| TcpListener::bind("127.0.0.1:0").map(|_| "listening".to_owned()),
            |address| UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", address).map(|_| "sent".to_owned()),
            |_| ("localhost", 80).to_socket_addrs().map(|mut found| format!("looked up {:?}", found.next())),
        ];
        let mut refusals = Vec::new();
        for attempt in attempts {
            match attempt(&address) {
                Ok(done) => return Ok(done),
                Err(error) => refusals.push(error.to_string()),
            }
        }
        Err(refusals)
    }

    fn open_terminal() -> Result<String, Error> {
        let options = terminals::Options {
            shell: None,
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            cols: 80,
            rows: 24,
            name: None,
            agent: true,
        };
        Ok(terminals::open(&options)?.id)
    }

    fn call(method: String, params: String) -> Result<String, Error> {
        services::call(&method, &params)
    }

    fn publish(topic: String) -> Result<u64, Error> {
        Ok(events::publish(&topic, "{}")?.seq)
    }

    fn subscribe(pattern: String) -> Result<(), Error> {
        events::subscribe(&[pattern])
    }

    fn close_terminal(id: String) -> Result<(), Error> {
        terminals::close(&id)
    }

    fn environment() -> (Vec<String>, u32) {
        let arguments = u32::try_from(std::env::args().count()).unwrap_or(u32::MAX);
        (std::env::vars().map(|(name, _)| name).collect(), arguments)
    }

    fn variable(name: String) -> Option<String> {
        std::env::var(name).ok()
    }

    fn print(bytes: Vec<u8>) {
        let mut out = std::io::stdout().lock();
        // The log is all that could tell.
        _ = out.write_all(&bytes).and_then(|()| out.flush());
    }

    fn store(key: String, value: Vec<u8>) -> Result<(), Error> {
        storage::set(&key, &value)
    }

    fn load(key: String) -> Result<Option<Vec<u8>>, Error> {
        storage::get(&key)
    }

    fn keys(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, Error> {
        storage::keys(&prefix, after.as_deref(), limit)
    }

    fn compare_and_set(key: String, expected: Option<Vec<u8>>, value: Option<Vec<u8>>) -> Result<bool, Error> {
        storage::compare_and_set(&key, expected.as_deref(), value.as_deref())
    }
}

/// Without it a subscription would be refused before anybody looks at the grants.
impl Subscriber for Asker {
    fn on_event(event: Event) -> Result<(), Error> {
        if event.topic == "midplane.files" {
            let (name, _) = context::plugin();
            events::publish(&format!("{name}.heard"), &event.payload)?;
        }
        Ok(())
    }
}
