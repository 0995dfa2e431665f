//! Who comes in: both logins of the binary API, and the name and password of REST.

use super::command::{Call, Trap};
use super::state::{State, User};
use super::version::{NO_CHALLENGE_LOGIN, PLAIN_LOGIN};
use md5::{Digest, Md5};
use std::fmt::Write as _;

pub enum Step {
    In(User),
    Challenge(String),
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a client answers to a challenge.
pub fn response(challenge: &[u8], password: &[u8]) -> String {
    let digest = Md5::new().chain_update([0]).chain_update(password).chain_update(challenge).finalize();
    format!("00{}", hex(&digest))
}

/// One `/login`, with the challenge that this connection has been given.
pub fn login(call: &Call, state: &State, challenge: &mut Vec<u8>) -> Result<Step, Trap> {
    let wrong = || Trap {
        category: None,
        message: if state.version < PLAIN_LOGIN {
            "cannot log in".into()
        } else {
            "invalid user name or password (6)".into()
        },
    };
    let name = call.argument("name");
    let user = state.users.iter().find(|user| Some(user.name.as_slice()) == name);
    if let Some(given) = call.argument("response") {
        // A challenge is for one answer.
        let challenge = std::mem::take(challenge);
        let known = user.filter(|_| state.version < NO_CHALLENGE_LOGIN && !challenge.is_empty());
        let right = known.filter(|user| response(&challenge, &user.password).as_bytes() == given);
        return admit(right, wrong());
    }
    if name.is_none() || state.version < PLAIN_LOGIN {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("random numbers");
        *challenge = random.to_vec();
        return Ok(Step::Challenge(hex(&random)));
    }
    let password = call.argument("password").unwrap_or_default();
    admit(user.filter(|user| user.password == password), wrong())
}

/// Whoever may not use the API at all is not told apart from who does not exist.
fn admit(user: Option<&User>, wrong: Trap) -> Result<Step, Trap> {
    user.filter(|user| user.may("api")).cloned().map(Step::In).ok_or(wrong)
}

/// The user of an `Authorization` header.
pub fn basic<'s>(state: &'s State, header: Option<&str>) -> Option<&'s User> {
    let bytes = base64(header?.strip_prefix("Basic ")?.trim())?;
    let colon = bytes.iter().position(|&b| b == b':')?;
    let (name, password) = (&bytes[..colon], &bytes[colon + 1..]);
    state.users.iter().find(|user| user.name == name && user.password == password)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
