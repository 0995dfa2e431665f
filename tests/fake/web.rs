//! REST: each method, its errors, and its failures.

use crate::fake_router::{Fault, Router, Scenario};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Of `admin` and `reader`, as HTTP wants them.
const ADMIN: &str = "YWRtaW46c2VjcmV0";
const READER: &str = "cmVhZGVyOm9ubHk=";
const NOBODY: &str = "bm9ib2R5OmF0IGFsbA==";

/// All that comes, head and body.
fn raw(address: SocketAddr, who: &str, request: &str, body: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: router\r\nAuthorization: Basic {who}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("it is sent");
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").map_or(all.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    (head, all[end..].to_vec())
}

fn call(router: &Router, who: &str, request: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (head, body) = raw(router.http(), who, request, &body);
    let code = head[9..12].parse().expect("a status");
    let body = match body.as_slice() {
        b"" => Value::Null,
        body => serde_json::from_slice(body).unwrap_or_else(|e| panic!("{e}: {}", body.escape_ascii())),
    };
    (code, body)
}

fn admin(router: &Router, request: &str, body: Value) -> (u16, Value) {
    call(router, ADMIN, request, &body)
}

fn small() -> Router {
    Router::start(Scenario::load("small").expect("the scenario"))
}

#[test]
fn a_menu_is_read_with_filters_and_every_value_is_a_string() {
    let router = small();
    let get = |target: &str| admin(&router, &format!("GET /rest{target}"), Value::Null);
    assert_eq!(
        get("/ppp/active?radius=true&service=pppoe&.proplist=name,address"),
        (200, json!([{"name": "alice", "address": "10.0.0.2"}, {"name": "early", "address": "0.0.0.0"}]))
    );
    let (_, spare) = get("/ip/pool/spare?.proplist=name,total,comment");
    assert_eq!(spare, json!({"name": "spare", "total": "1", "comment": "for bad days"}));
    let (_, all) = get("/ip/pool");
    let id = all[0][".id"].as_str().expect("an id");
    assert_eq!(get(&format!("/ip/pool/{id}")).1["name"], "main");
    assert_eq!(get("/system/identity"), (200, json!({"name": "north"})));
    assert_eq!(get("/ip/hotspot/active?user=no%20body"), (200, json!([])));
    assert_eq!(get("/ip/pool/none"), (404, json!({"error": 404, "message": "Not Found"})));
    let (code, error) = get("/ip/pol");
    assert_eq!((code, &error["detail"]), (406, &json!("no such command or directory (pol)")));
}

#[test]
fn a_print_is_posted_with_queries() {
    let router = small();
    let print = json!({".proplist": ["name"], ".query": ["name=alice", "name=bob", "#|"]});
    assert_eq!(
        admin(&router, "POST /rest/ppp/active/print", print),
        (200, json!([{"name": "alice"}, {"name": "bob"}]))
    );
    let count = json!({"count-only": "", ".query": ["radius=true"]});
    assert_eq!(admin(&router, "POST /rest/ppp/active/print", count), (200, json!({"ret": "3"})));
    let text = json!({".proplist": "name,radius", ".query": ["radius=false"]});
    assert_eq!(
        admin(&router, "POST /rest/ppp/active/print", text),
        (200, json!([{"name": "local", "radius": "false"}]))
    );
}

#[test]
fn what_the_product_writes_can_be_put_patched_deleted_and_posted() {
    let router = small();
    let pool = json!({"name": "new", "ranges": "10.5.0.1-10.5.0.9"});
    let (code, made) = admin(&router, "PUT /rest/ip/pool", pool.clone());
    assert_eq!((code, &made["total"]), (201, &json!("9")));
    let (code, error) = admin(&router, "PUT /rest/ip/pool", pool);
    assert_eq!((code, &error["detail"]), (400, &json!("failure: pool with such name exists")));
    let target = format!("/rest/ip/pool/{}", made[".id"].as_str().expect("an id"));
    let (code, changed) = admin(&router, &format!("PATCH {target}"), json!({"ranges": "10.5.0.1"}));
    assert_eq!((code, &changed["total"]), (200, &json!("1")));
    assert_eq!(admin(&router, &format!("DELETE {target}"), Value::Null), (204, Value::Null));
    assert_eq!(admin(&router, &format!("DELETE {target}"), Value::Null).0, 404);

    let (_, added) = admin(&router, "POST /rest/ip/pool/add", json!({"name": "n", "ranges": "10.6.0.1"}));
    let remove = json!({".id": added["ret"]});
    assert_eq!(admin(&router, "POST /rest/ip/pool/remove", remove.clone()), (200, json!([])));
    let (code, error) = admin(&router, "POST /rest/ip/pool/remove", remove);
    assert_eq!((code, &error["detail"]), (400, &json!("no such item")));
    let unset = json!({".id": "home", "value-name": "remote-address"});
    assert_eq!(admin(&router, "POST /rest/ppp/profile/unset", unset).0, 200);
    let (_, home) = admin(&router, "GET /rest/ppp/profile/home", Value::Null);
    assert_eq!(home.get("remote-address"), None);
    assert_eq!(admin(&router, "POST /rest/ip/pool/add", json!([])).0, 400);
}

#[test]
fn name_password_and_rights_are_asked_for() {
    let router = small();
    let target = "GET /rest/radius?.proplist=address,secret";
    assert_eq!(call(&router, READER, target, &Value::Null), (200, json!([{"address": "192.0.2.10"}])));
    assert_eq!(call(&router, ADMIN, target, &Value::Null).1[0]["secret"], "radius secret");
    assert_eq!(call(&router, "YWRtaW46eA==", target, &Value::Null).0, 401);
    assert_eq!(call(&router, NOBODY, target, &Value::Null).0, 403);
    let refused = call(&router, READER, "PUT /rest/ip/pool", &json!({"name": "x", "ranges": "10.0.0.1"}));
    assert_eq!((refused.0, &refused.1["detail"]), (403, &json!("not enough permissions (9)")));
    let (head, _) = raw(router.http(), "?", "GET /rest/ip/pool", "");
    assert!(head.contains("WWW-Authenticate: Basic"), "{head}");
}

#[test]
fn before_7_1_there_is_no_rest() {
    let router = Router::start(Scenario::version("6.49.17"));
    let (head, body) = raw(router.http(), ADMIN, "GET /rest/ip/pool", "");
    assert!(head.starts_with("HTTP/1.1 404") && body.starts_with(b"<html>"), "{head}");
}

#[test]
fn answers_come_in_chunks_cut_short_or_as_something_else() {
    let router = small();
    router.state().chunked = true;
    let (head, body) = raw(router.http(), ADMIN, "GET /rest/ip/pool?.proplist=name", "");
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert!(body.starts_with(b"22\r\n[{\"name\":\"main\"}") && body.ends_with(b"0\r\n\r\n"));
    router.state().chunked = false;
    let print = "GET /rest/ppp/active";
    let (head, whole) = raw(router.http(), ADMIN, print, "");
    let cut = head.len() + 50;
    router.state().fail("/ppp/active/print", Fault::Cut { bytes: cut });
    assert_eq!(raw(router.http(), ADMIN, print, ""), (head, whole[..50].to_vec()));
    let name = r#"[{"name":"caf\xE9"}]"#.to_owned();
    router.state().fail("/ppp/active/print", Fault::Raw { after: 0, bytes: name });
    assert_eq!(raw(router.http(), ADMIN, print, "").1, b"[{\"name\":\"caf\xE9\"}]");
    router.state().fail("/ppp/active/print", Fault::Short { rows: 1 });
    assert_eq!(admin(&router, print, Value::Null).1.as_array().map(Vec::len), Some(1));
    router.state().fail("/ppp/active/print", Fault::Status { code: 503, body: "<html>busy</html>".into() });
    let (head, _) = raw(router.http(), ADMIN, print, "");
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("text/html"), "{head}");
    router.state().fail(
        "/ppp/active/print",
        Fault::Trap { after: 0, message: "Session closed".into(), category: None },
    );
    let (code, error) = admin(&router, print, Value::Null);
    assert_eq!((code, &error["detail"]), (400, &json!("Session closed")));
    router
        .state()
        .fail("/ppp/active/print", Fault::Fatal { after: 0, message: String::new(), attribute: false });
    assert_eq!(raw(router.http(), ADMIN, print, "").0, "");
}

#[test]
fn an_answer_may_have_no_end_over_http_too() {
    let router = small();
    for fault in [Fault::Endless, Fault::Bomb { after: 0 }] {
        router.state().fail("/ppp/active/print", fault);
        let mut stream = TcpStream::connect(router.http()).expect("a connection");
        let request = format!("GET /rest/ppp/active HTTP/1.1\r\nAuthorization: Basic {ADMIN}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut some = vec![0; 3_000_000];
        stream.read_exact(&mut some).expect("as much as one wants");
        assert!(some.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
}
