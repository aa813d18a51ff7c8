//! A service and pages in one component: both see the same storage, the pages call the service by name.

use exports::test::guestbook::guestbook::{Error, Guest};
use midplane_sdk::host::{context, services, storage};
use wasip2::{
    exports::http::incoming_handler::Guest as Handler,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

midplane_sdk::generate!({ path: ["../../../wit/host", "wit"], world: "test:guestbook/guest" });

struct Guestbook;

export!(Guestbook);
wasip2::http::proxy::export!(Guestbook);

fn entries() -> Result<Vec<String>, Error> {
    let keys = storage::keys("entry/", None, 0)?;
    Ok(keys.into_iter().map(|key| key.trim_start_matches("entry/").to_owned()).collect())
}

impl Guest for Guestbook {
    fn sign(text: String) -> Result<(), Error> {
        storage::set(&format!("entry/{text}"), &[])
    }

    fn count() -> Result<u32, Error> {
        Ok(u32::try_from(entries()?.len()).unwrap_or(u32::MAX))
    }
}

impl Handler for Guestbook {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let text = match path.split_once('?').unwrap_or((&path, "")) {
            ("/", _) => entries().map(|entries| entries.join("\n")),
            ("/sign", text) => Self::sign(text.to_owned()).map(|()| "signed".to_owned()),
            ("/who", _) => Ok(context::current().map_or("nobody".to_owned(), |caller| caller.principal)),
            // Any method without parameters, as the visitor: one's own too, because a visit is no call inside the service.
            ("/call", method) => services::call(method, "{}"),
            ("/tell", _) => services::call("event.publish", r#"{"topic":"guestbook.told","payload":1}"#),
            _ => Ok("nothing".to_owned()),
        };
        answer(outparam, &text.unwrap_or_else(|error| error.code));
    }
}

fn answer(outparam: ResponseOutparam, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().unwrap();
    ResponseOutparam::set(outparam, Ok(response));
    let stream = body.write().unwrap();
    stream.blocking_write_and_flush(text.as_bytes()).unwrap();
    drop(stream);
    OutgoingBody::finish(body, None).unwrap();
}
