//! REST, from 7.1 on: the same commands over HTTP, every value a string.

use super::command::{Answer, Call, Listing, Trap};
use super::fault::{End, Fault};
use super::http::{self, Request};
use super::login;
use super::menus::menu;
use super::state::{State, User};
use super::version::REST;
use super::wire::Wire;
use serde_json::Value as Json;
use std::io;
use std::sync::{Mutex, PoisonError};

struct Response {
    code: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Response {
    fn json(code: u16, body: Vec<u8>) -> Self {
        Self { code, kind: "application/json", body }
    }

    fn error(code: u16, detail: Option<&str>) -> Self {
        let mut body = format!("{{\"error\":{code},\"message\":\"{}\"", http::reason(code)).into_bytes();
        if let Some(detail) = detail {
            body.extend(b",\"detail\":");
            http::quote(&mut body, detail.as_bytes());
        }
        body.push(b'}');
        Self::json(code, body)
    }
}

/// What the request asks for: a command, and how its answer is told.
enum Shape {
    List,
    One,
    Created,
    Nothing,
    Command,
}

pub fn serve(state: &Mutex<State>, wire: &mut Wire) -> io::Result<()> {
    let mut left = Vec::new();
    loop {
        let request = http::read(wire, &mut left)?;
        let (response, fault) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut state, &request)
        };
        let chunked = state.lock().unwrap_or_else(PoisonError::into_inner).chunked;
        send(wire, response, fault.as_ref(), chunked)?;
        if request.close {
            return wire.end(End::Close);
        }
    }
}

fn send(wire: &mut Wire, response: Response, fault: Option<&Fault>, chunked: bool) -> io::Result<()> {
    let Response { mut code, mut kind, mut body } = response;
    match fault {
        Some(Fault::Fatal { .. }) => return wire.end(End::Close),
        Some(Fault::Endless) => return endless(wire, &body),
        Some(Fault::Bomb { .. }) => {
            let head = http::head(code, kind, Some(u32::MAX as usize));
            return wire.flood(format!("{head}[{{\".id\":\"").as_bytes());
        }
        Some(Fault::Status { code: other, body: text }) => {
            (code, body) = (*other, text.clone().into_bytes());
            kind = if text.starts_with(['{', '[']) { kind } else { "text/html" };
        }
        Some(fault) => body = fault.raw().unwrap_or(body),
        None => {}
    }
    let mut flow = fault.and_then(Fault::flow);
    let length = (!chunked || code == 204).then_some(body.len());
    let mut bytes = http::head(code, kind, length).into_bytes();
    if length.is_some() {
        bytes.extend(body);
    } else {
        for chunk in body.chunks(1000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    }
    wire.send(&bytes, flow.as_mut())
}

/// An array that does not end.
fn endless(wire: &mut Wire, body: &[u8]) -> io::Result<()> {
    let rows = body.strip_prefix(b"[").and_then(|b| b.strip_suffix(b"]")).unwrap_or(body);
    wire.send(http::head(200, "application/json", None).as_bytes(), None)?;
    let chunk = [format!("{:x}\r\n", rows.len() + 1).as_bytes(), rows, b",\r\n"].concat();
    wire.send(b"1\r\n[\r\n", None)?;
    loop {
        wire.send(&chunk, None)?;
    }
}

fn answer(state: &mut State, request: &Request) -> (Response, Option<Fault>) {
    let path = request.path.strip_prefix("/rest").filter(|_| state.version >= REST);
    let Some(path) = path.filter(|path| path.starts_with('/')) else {
        let body = b"<html><body>not found</body></html>".to_vec();
        return (Response { code: 404, kind: "text/html", body }, None);
    };
    let Some(user) = login::basic(state, request.authorization.as_deref()).cloned() else {
        return (Response::error(401, None), None);
    };
    if !user.may("rest-api") {
        return (Response::error(403, None), None);
    }
    let (call, shape) = match understand(request, path) {
        Ok(understood) => understood,
        Err(response) => return (response, None),
    };
    let fault = state.fault(&call.command());
    if let Some(Fault::Trap { message, .. }) = &fault {
        return (Response::error(400, Some(message)), fault);
    }
    (carry_out(state, &user, &call, shape, fault.as_ref()), fault)
}

fn understand(request: &Request, path: &str) -> Result<(Call, Shape), Response> {
    let path = path.trim_end_matches('/');
    let split = |path: &str| {
        path.rsplit_once('/').map(|(menu, last)| (menu.to_owned(), last.to_owned())).unwrap_or_default()
    };
    let mut call = Call { path: path.into(), verb: "print".into(), ..Call::default() };
    let item = |call: &mut Call| {
        let id;
        (call.path, id) = split(path);
        call.arguments.push((".id".into(), id.into_bytes()));
    };
    let shape = match request.method.as_str() {
        "GET" => {
            for (name, value) in &request.query {
                match name.strip_prefix('.') {
                    Some("proplist") => call.arguments.push((name.clone(), value.clone().into_bytes())),
                    _ => call.queries.push(format!("?{name}={value}").into_bytes()),
                }
            }
            match menu(path) {
                Some(menu) if menu.single => Shape::One,
                Some(_) => Shape::List,
                None if menu(&split(path).0).is_some() => {
                    let (menu, id) = split(path);
                    call.path = menu;
                    call.queries = match id.starts_with('*') {
                        true => vec![format!("?.id={id}").into_bytes()],
                        false => vec![format!("?name={id}").into_bytes()],
                    };
                    Shape::One
                }
                None => Shape::List,
            }
        }
        "PUT" => {
            call.verb = "add".into();
            Shape::Created
        }
        "PATCH" => {
            item(&mut call);
            call.verb = "set".into();
            Shape::One
        }
        "DELETE" => {
            item(&mut call);
            call.verb = "remove".into();
            Shape::Nothing
        }
        "POST" => {
            (call.path, call.verb) = split(path);
            Shape::Command
        }
        _ => return Err(Response::error(405, None)),
    };
    if ["PUT", "PATCH", "POST"].contains(&request.method.as_str()) && !request.body.is_empty() {
        let body: Json = serde_json::from_slice(&request.body)
            .map_err(|_| Response::error(400, Some("bad JSON in the request")))?;
        let Json::Object(values) = body else { return Err(Response::error(400, None)) };
        for (name, value) in values {
            match (name.as_str(), value) {
                (".query", Json::Array(words)) => {
                    call.queries.extend(words.iter().map(|word| format!("?{}", text(word)).into_bytes()));
                }
                (_, Json::Array(words)) => {
                    let words: Vec<_> = words.iter().map(text).collect();
                    call.arguments.push((name, words.join(",").into_bytes()));
                }
                (_, value) => call.arguments.push((name, text(&value).into_bytes())),
            }
        }
    }
    Ok((call, shape))
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn carry_out(state: &mut State, user: &User, call: &Call, shape: Shape, fault: Option<&Fault>) -> Response {
    let answer = match call.run(state, user) {
        Ok(answer) => answer,
        Err(trap) => return refusal(&trap, &shape),
    };
    match answer {
        Answer::Rows(mut listing) => {
            if let Some(fault) = fault {
                fault.bend(&mut listing.rows);
            }
            match shape {
                Shape::One => one(&listing),
                _ => Response::json(200, array(&listing)),
            }
        }
        Answer::Count(n) => {
            let n = fault.map_or(n as i64, |fault| fault.count(n));
            ret(&n.to_string())
        }
        Answer::Done(id) => match (shape, id) {
            (Shape::Nothing, _) => Response { code: 204, kind: "application/json", body: Vec::new() },
            (Shape::Command, Some(id)) => ret(&id),
            (Shape::Command, None) => Response::json(200, b"[]".to_vec()),
            (shape, id) => {
                let id = id.unwrap_or_else(|| {
                    String::from_utf8_lossy(call.argument(".id").unwrap_or_default()).into_owned()
                });
                let name = if id.starts_with('*') { ".id" } else { "name" };
                let queries = vec![format!("?{name}={id}").into_bytes()];
                let print =
                    Call { path: call.path.clone(), verb: "print".into(), queries, ..Call::default() };
                let code = if matches!(shape, Shape::Created) { 201 } else { 200 };
                match print.look(state, user) {
                    Ok(Answer::Rows(listing)) => Response { code, ..one(&listing) },
                    _ => Response::error(404, None),
                }
            }
        },
        // A command that does not end by itself is ended.
        Answer::Listen(_) => Response::error(400, Some("Session closed")),
    }
}

fn refusal(trap: &Trap, shape: &Shape) -> Response {
    let message = trap.message.as_str();
    let code = match message {
        "no such item" if !matches!(shape, Shape::Command) => return Response::error(404, None),
        _ if message.starts_with("no such command") => 406,
        _ if message.starts_with("not enough permissions") => 403,
        _ => 400,
    };
    Response::error(code, Some(message))
}

fn ret(value: &str) -> Response {
    let mut body = Vec::new();
    http::object(&mut body, &[("ret".into(), value.into())]);
    Response::json(200, body)
}

fn one(listing: &Listing) -> Response {
    let Some(row) = listing.rows.first() else { return Response::error(404, None) };
    let mut body = Vec::new();
    http::object(&mut body, &listing.show(row));
    Response::json(200, body)
}

fn array(listing: &Listing) -> Vec<u8> {
    let mut body = vec![b'['];
    for (n, row) in listing.rows.iter().enumerate() {
        if n > 0 {
            body.push(b',');
        }
        http::object(&mut body, &listing.show(row));
    }
    body.push(b']');
    body
}
