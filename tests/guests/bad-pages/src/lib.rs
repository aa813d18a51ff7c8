//! Pages that trap, spin, keep silent, leak and flood, before their answer has begun and after.

use wasip2::{
    clocks::monotonic_clock,
    exports::http::incoming_handler::Guest,
    http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::OutputStream,
};

/// Longer than any test waits.
const FOR_EVER_NS: u64 = 3_600_000_000_000;

struct Bad;

wasip2::http::proxy::export!(Bad);

impl Guest for Bad {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        match request.path_with_query().unwrap_or_default().as_str() {
            "/trap" => panic!("on purpose"),
            "/trap-later" => {
                let (_body, _stream) = begin(outparam);
                panic!("on purpose");
            }
            "/spin" => spin(),
            "/spin-later" => {
                let (_body, _stream) = begin(outparam);
                spin();
            }
            "/silent" => {}
            "/error" => ResponseOutparam::set(outparam, Err(ErrorCode::LoopDetected)),
            "/never" => monotonic_clock::subscribe_duration(FOR_EVER_NS).block(),
            "/stall" => {
                let (_body, _stream) = begin(outparam);
                monotonic_clock::subscribe_duration(FOR_EVER_NS).block();
            }
            "/flood" => {
                let (_body, stream) = begin(outparam);
                while stream.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
            }
            "/leak" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1u8; 1 << 20]);
                    std::hint::black_box(&kept);
                }
            }
            "/many-headers" => {
                let fields = Fields::new();
                for index in 0..100_000 {
                    _ = fields.append(&format!("x-header-{index}"), &[b'x'; 1000]);
                }
                ResponseOutparam::set(outparam, Ok(OutgoingResponse::new(fields)));
            }
            "/informational" => {
                let response = OutgoingResponse::new(Fields::new());
                response.set_status_code(101).unwrap();
                ResponseOutparam::set(outparam, Ok(response));
            }
            _ => {
                let (body, stream) = begin(outparam);
                drop(stream);
                OutgoingBody::finish(body, None).unwrap();
            }
        }
    }
}

/// Head and first piece of an answer.
fn begin(outparam: ResponseOutparam) -> (OutgoingBody, OutputStream) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().unwrap();
    ResponseOutparam::set(outparam, Ok(response));
    let stream = body.write().unwrap();
    stream.blocking_write_and_flush(b"begun\n").unwrap();
    (body, stream)
}

fn spin() -> ! {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}
