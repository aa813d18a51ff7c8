//! Asks whatever server it is told to, as plain `wasi:http`.

use exports::test::fetcher::fetcher::Guest;
use wasip2::{
    http::{
        outgoing_handler,
        types::{
            ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
        },
    },
    io::streams::StreamError,
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:fetcher/guest" });

struct Fetcher;

export!(Fetcher);

impl Guest for Fetcher {
    fn fetch(scheme: String, authority: String, path: String, text: String) -> Result<String, String> {
        let pending = send(&scheme, &authority, &path, &text)?;
        read(&wait(&pending).map_err(|error| name(&error))?)
    }

    fn exhaust(authority: String, path: String, requests: u32) -> Result<String, String> {
        let pending: Vec<_> = (0..requests).map(|_| send("http", &authority, &path, "")).collect::<Result<_, _>>()?;
        let last = pending.last().ok_or("none was sent")?;
        read(&wait(last).map_err(|error| name(&error))?)
    }
}

/// The case of an error without its payload.
fn name(error: &ErrorCode) -> String {
    let text = format!("{error:?}");
    text.trim_start_matches("ErrorCode::").split('(').next().unwrap_or_default().to_owned()
}

fn send(scheme: &str, authority: &str, path: &str, text: &str) -> Result<FutureIncomingResponse, String> {
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Post).unwrap();
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).unwrap();
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path")?;
    let body = request.body().unwrap();
    let pending = outgoing_handler::handle(request, None).map_err(|error| name(&error))?;
    let stream = body.write().unwrap();
    // A request that was refused takes no body.
    if stream.blocking_write_and_flush(text.as_bytes()).is_ok() {
        drop(stream);
        _ = OutgoingBody::finish(body, None);
    }
    Ok(pending)
}

fn wait(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending.get().unwrap().unwrap()
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let status = response.status();
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(65_536) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err("cut off".to_owned()),
        }
    }
    Ok(format!("{status} {}", String::from_utf8_lossy(&bytes)))
}
