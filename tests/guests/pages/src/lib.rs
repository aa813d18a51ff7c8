//! Plain `wasi:http/proxy`: nothing in here knows of the host that the tests run it on.

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Trailers},
    io::streams::{InputStream, OutputStream, StreamError},
};

/// Bytes of one piece.
const PIECE: u64 = 65_536;

struct Pages;

wasip2::http::proxy::export!(Pages);

impl Guest for Pages {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        match path.split('?').next().unwrap_or_default() {
            "/" => text(outparam, "hello from a page\n"),
            "/inspect" => text(outparam, &inspect(&request)),
            "/echo" => echo(&request, outparam),
            "/events" => events(&request, outparam),
            "/headers" => headers(outparam),
            "/trailers" => trailers(outparam),
            _ => {
                let status = path.strip_prefix("/status/").and_then(|code| code.parse().ok()).unwrap_or(404);
                answer(outparam, status, &[]).end(None);
            }
        }
    }
}

/// An answer on its way.
struct Answer {
    body: OutgoingBody,
    stream: OutputStream,
}

fn answer(outparam: ResponseOutparam, status: u16, headers: &[(&str, &str)]) -> Answer {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).unwrap();
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).unwrap();
    let body = response.body().unwrap();
    ResponseOutparam::set(outparam, Ok(response));
    let stream = body.write().unwrap();
    Answer { body, stream }
}

impl Answer {
    fn say(&self, text: &str) {
        for piece in text.as_bytes().chunks(4096) {
            self.stream.blocking_write_and_flush(piece).unwrap();
        }
    }

    fn end(self, trailers: Option<Trailers>) {
        drop(self.stream);
        OutgoingBody::finish(self.body, trailers).unwrap();
    }
}

fn text(outparam: ResponseOutparam, text: &str) {
    let length = text.len().to_string();
    let answer = answer(outparam, 200, &[("content-type", "text/plain"), ("content-length", &length)]);
    answer.say(text);
    answer.end(None);
}

/// What the guest sees of its request.
fn inspect(request: &IncomingRequest) -> String {
    let mut lines = vec![
        format!("method {:?}", request.method()),
        format!("path {}", request.path_with_query().unwrap_or_default()),
        format!("authority {}", request.authority().unwrap_or_default()),
        format!("scheme {:?}", request.scheme().unwrap()),
    ];
    for (name, value) in request.headers().entries() {
        lines.push(format!("header {name}: {}", String::from_utf8_lossy(&value)));
    }
    lines.join("\n") + "\n"
}

/// The request's body and trailers, piece by piece as they come.
fn echo(request: &IncomingRequest, outparam: ResponseOutparam) {
    let asked = request.consume().unwrap();
    let answer = answer(outparam, 200, &[("content-type", "application/octet-stream"), ("trailer", "x-checksum")]);
    let input = asked.stream().unwrap();
    loop {
        match answer.stream.blocking_splice(&input, PIECE) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    drop(input);
    let trailers = trailers_of(asked);
    answer.end(trailers);
}

fn trailers_of(body: IncomingBody) -> Option<Trailers> {
    let future = IncomingBody::finish(body);
    future.subscribe().block();
    // Those of a request cannot be changed; those of an answer are its own.
    future.get()?.ok()?.ok()?.map(|trailers| Trailers::from_list(&trailers.entries()).unwrap())
}

/// One server-sent event for each line of the request's body.
fn events(request: &IncomingRequest, outparam: ResponseOutparam) {
    let asked = request.consume().unwrap();
    let answer = answer(outparam, 200, &[("content-type", "text/event-stream"), ("cache-control", "no-store")]);
    let input = asked.stream().unwrap();
    let mut line = Vec::new();
    while let Some(bytes) = read(&input) {
        for byte in bytes {
            if byte == b'\n' {
                answer.say(&format!("data: {}\n\n", String::from_utf8_lossy(&line)));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
    answer.end(None);
}

fn read(input: &InputStream) -> Option<Vec<u8>> {
    input.blocking_read(PIECE).ok()
}

/// Everything that a plugin would like to say to a browser.
fn headers(outparam: ResponseOutparam) {
    let headers = [
        ("content-type", "text/html"),
        ("set-cookie", "own=1; Path=/; Domain=example.com"),
        ("set-cookie", "midplane_7420=stolen; Path=/"),
        ("location", "/elsewhere"),
        ("clear-site-data", "\"*\""),
        ("service-worker-allowed", "/"),
        ("strict-transport-security", "max-age=1"),
        ("content-security-policy", "default-src 'self'"),
        ("x-content-type-options", "anything"),
        ("x-own", "kept"),
    ];
    answer(outparam, 200, &headers).end(None);
}

fn trailers(outparam: ResponseOutparam) {
    let answer = answer(outparam, 200, &[("trailer", "x-count")]);
    answer.say("three words here");
    answer.end(Some(Trailers::from_list(&[("x-count".into(), b"3".to_vec())]).unwrap()));
}
