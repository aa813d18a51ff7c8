//! Who may come in, and from where.

use midplane_gateway::{Access, Gateway, GatewayConfig, GatewayError, ROUTES, TokenPolicy};
use serde_json::Value;

use crate::{
    http_client::send,
    support::{BEARER, TOKEN, start, start_with},
};

#[tokio::test]
async fn only_health_and_pages_without_secrets_answer_without_a_credential() {
    let host = start().await;
    assert!(ROUTES.len() > 15, "{} routes", ROUTES.len());
    for route in ROUTES {
        if route.access != Access::Public {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"] {
                let answer = send(host.addr, method, route.path, &[], "").await;
                assert_eq!(answer.status, 401, "{method} {}", route.path);
            }
        }
        let answer = send(host.addr, route.method, route.path, &[], "").await;
        match route.access {
            Access::Public => {
                let known = ["/healthz", "/", "/docs"].contains(&route.path) || route.path.starts_with("/assets/");
                assert_eq!((known, answer.status), (true, 200), "{}", route.path);
                assert!(!answer.body.contains(TOKEN) && !answer.head.contains("set-cookie"), "{}", route.path);
            }
            // Which plugins have public pages is theirs to say; here there are none.
            Access::Authenticated | Access::ByPlugin => {
                assert_eq!(answer.status, 401, "{}", route.path);
                assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
                let problem: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(problem["code"], "unauthenticated");
            }
        }
        let wrong = send(host.addr, route.method, route.path, &[("authorization", "Bearer other")], "").await;
        assert_eq!(wrong.status == 401, route.access != Access::Public, "{}", route.path);
    }
    assert_eq!(send(host.addr, "GET", "/unknown", &[], "").await.status, 401);
    assert_eq!(send(host.addr, "GET", "/healthz/", &[], "").await.status, 401);
    assert_eq!(host.try_socket("/ws", &[]).await.err(), Some(401));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    let host = start().await;
    let answer = host.get("/unknown").await;
    assert_eq!(answer.status, 404);
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    assert!(answer.body.contains(r#""code":"not_found""#), "{}", answer.body);
    assert_eq!(send(host.addr, "DELETE", "/rpc", &[BEARER], "").await.status, 405);
    assert_eq!(host.get("/ws").await.status, 400);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_misdirected_on_every_route() {
    let host = start().await;
    let port = host.addr.port();
    for route in ROUTES {
        for name in
            ["evil.example".into(), format!("127.0.0.1.:{port}"), "127.0.0.1".into(), format!("x@127.0.0.1:{port}")]
        {
            let answer = send(host.addr, route.method, route.path, &[BEARER, ("host", &name)], "").await;
            assert_eq!(answer.status, 421, "{} under {name}", route.path);
        }
    }
    let two = [BEARER, ("host", "evil.example"), ("Host", &host.addr.to_string())];
    assert!([400, 421].contains(&send(host.addr, "GET", "/healthz", &two, "").await.status));
    let ours = format!("LocalHost:{port}");
    assert_eq!(send(host.addr, "GET", "/healthz", &[("host", &ours)], "").await.status, 200);
    assert_eq!(host.try_socket("/ws", &[BEARER, ("host", "evil.example")]).await.err(), Some(421));
}

#[tokio::test]
async fn foreign_origins_are_refused_on_every_route_and_the_upgrade() {
    let host = start_with(|config| config.allowed_origins.push("https://app.example".into())).await;
    let port = host.addr.port();
    let foreign = ["null", "https://evil.example", "http://127.0.0.1", &format!("https://127.0.0.1:{port}"), ""];
    for origin in foreign {
        for route in ROUTES {
            let answer = send(host.addr, route.method, route.path, &[BEARER, ("origin", origin)], "").await;
            assert_eq!(answer.status, 403, "{} from {origin:?}", route.path);
        }
        assert_eq!(host.try_socket("/ws", &[BEARER, ("origin", origin)]).await.err(), Some(403), "{origin:?}");
    }
    for origin in [format!("http://{}", host.addr), "https://app.example".into()] {
        assert!(host.try_socket("/ws", &[BEARER, ("origin", &origin)]).await.is_ok(), "{origin}");
    }
}

#[tokio::test]
async fn other_sites_may_not_send_writes_even_without_an_origin() {
    let host = start().await;
    let cross = [BEARER, ("sec-fetch-site", "cross-site")];
    assert_eq!(send(host.addr, "POST", "/rpc", &cross, "[]").await.status, 403);
    assert_eq!(send(host.addr, "GET", "/readyz", &cross, "").await.status, 200);
}

#[tokio::test]
async fn a_browser_exchanges_its_token_for_a_cookie() {
    let host = start().await;
    let answer = send(host.addr, "POST", "/auth/exchange", &[BEARER], "").await;
    assert_eq!(answer.status, 204);
    let cookie = answer.raw_header("set-cookie");
    let name = format!("midplane_{}=", host.addr.port());
    assert!(cookie.starts_with(&name) && cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let secret = cookie.split(';').next().unwrap().to_owned();
    assert!(host.try_socket("/ws", &[("cookie", &format!("a=b; {secret}"))]).await.is_ok());
    assert_eq!(send(host.addr, "GET", "/readyz", &[("cookie", &secret)], "").await.status, 200);
    assert_eq!(send(host.addr, "GET", "/readyz", &[("cookie", &format!("{name}x"))], "").await.status, 401);
    let beside_a_wrong_token = [("cookie", secret.as_str()), ("authorization", "Bearer other")];
    assert_eq!(send(host.addr, "GET", "/readyz", &beside_a_wrong_token, "").await.status, 401);
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_nothing_else() {
    let host = start().await;
    let answer = send(host.addr, "POST", "/auth/ticket", &[BEARER], "").await;
    let ticket: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(ticket["expires_in_ms"], 30_000);
    let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
    assert_eq!(send(host.addr, "GET", &format!("/readyz{query}"), &[], "").await.status, 401);
    assert!(host.try_socket(&format!("/ws{query}"), &[]).await.is_ok());
    assert_eq!(host.try_socket(&format!("/ws{query}"), &[]).await.err(), Some(401));
}

#[tokio::test]
async fn of_many_who_show_one_ticket_at_the_same_time_one_gets_in() {
    let host = start().await;
    let answer = send(host.addr, "POST", "/auth/ticket", &[BEARER], "").await;
    let ticket: Value = serde_json::from_str(&answer.body).unwrap();
    let path = format!("/ws?ticket={}", ticket["ticket"].as_str().unwrap());
    let all = futures_util::future::join_all((0..20).map(|_| host.try_socket(&path, &[]))).await;
    let refused = all.iter().filter(|socket| matches!(socket, Err(401))).count();
    assert_eq!((all.iter().filter(|socket| socket.is_ok()).count(), refused), (1, 19));
}

#[tokio::test]
async fn a_token_may_come_as_a_subprotocol_beside_ours() {
    let host = start().await;
    // base64url of the token of the tests.
    let bearer = "midplane.bearer.YS10b2tlbi1vZi10aGUtdGVzdA";
    assert_eq!(TOKEN, "a-token-of-the-test");
    let offered = |protocols: &str| [("sec-websocket-protocol", protocols.to_owned())];
    let both = offered(&format!("midplane.v1, {bearer}"));
    assert!(host.try_socket("/ws", &[(both[0].0, &both[0].1)]).await.is_ok());
    assert_eq!(host.try_socket("/ws", &[("sec-websocket-protocol", bearer)]).await.err(), Some(400));
    let wrong = "midplane.v1, midplane.bearer.eA";
    assert_eq!(host.try_socket("/ws", &[("sec-websocket-protocol", wrong)]).await.err(), Some(401));
    assert_eq!(host.try_socket("/ws", &[BEARER, ("sec-websocket-protocol", "graphql-ws")]).await.err(), Some(400));
}

#[tokio::test]
async fn without_a_token_everybody_on_loopback_is_the_owner_but_origins_still_count() {
    let host = start_with(|config| config.token = TokenPolicy::Open).await;
    assert_eq!(send(host.addr, "GET", "/readyz", &[], "").await.status, 200);
    assert_eq!(host.try_socket("/ws", &[("origin", "null")]).await.err(), Some(403));
}

#[test]
fn without_a_token_nothing_beyond_loopback_is_served() {
    let config = GatewayConfig::new("0.0.0.0:1".parse().unwrap(), TokenPolicy::Open, "0", "i");
    let broker =
        std::sync::Arc::new(midplane_broker::Broker::new(&midplane_broker::StreamDefinition::defaults()).unwrap());
    let gateway = Gateway::new(config, std::sync::Arc::default(), &broker);
    assert!(matches!(gateway.err(), Some(GatewayError::OpenBeyondLoopback { .. })));
}

#[tokio::test]
async fn documents_are_made_from_the_registry() {
    let host = start().await;
    let document: Value = serde_json::from_str(&host.get("/openrpc.json").await.body).unwrap();
    let names: Vec<&str> = document["methods"].as_array().unwrap().iter().filter_map(|m| m["name"].as_str()).collect();
    assert!(names.contains(&"event.subscribe") && names.contains(&"subtract"), "{names:?}");
    let mut client = host.socket().await;
    let methods = client.call("system.methods", Value::Null).await;
    assert_eq!(methods["result"], serde_json::json!(names));
    let metrics = host.get("/metrics").await.body;
    assert!(metrics.contains("midplane_connections 1\n") && metrics.contains("midplane_calls_total 1\n"), "{metrics}");
}
