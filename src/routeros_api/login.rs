//! The login, both forms by one path: name and password first (6.43 and later); an older router answers that with a
//! challenge, and gets its MD5 response.
//!
//! Sans-IO. MD5 is the protocol's choice here, and protects little: without TLS, the password has been sent in clear
//! before.

use core::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::answer::Done;
use super::password::Password;
use super::text::quote;
use super::{Command, Failure};

/// The command of both forms.
pub(super) const PATH: &str = "/login";

/// The challenges that are answered, in bytes: RouterOS sends 16.
const LONGEST_CHALLENGE: usize = 64;

/// The first sentence.
pub(super) fn first(user: &str, password: &Password) -> Command {
    Command::new(PATH).with("name", user).with("password", password.bytes())
}

/// What follows when the router has answered the first: nothing, or the response to its challenge. A `!done` with a
/// challenge is no login.
pub(super) fn second(user: &str, password: &Password, done: &Done) -> Result<Option<Command>, Failure> {
    let Some(challenge) = done.ret() else { return Ok(None) };
    let response = response(challenge.bytes(), password).ok_or_else(|| Failure::Protocol {
        service: "api",
        why: format!("its login challenge is \"{}\"", quote(challenge.bytes())),
    })?;
    Ok(Some(Command::new(PATH).with("name", user).with("response", response.as_str())))
}

/// What the refusal of a login means.
pub(super) fn refused(failure: Failure, user: &str) -> Failure {
    match failure {
        Failure::Trap { message, .. }
            if message.contains("invalid user name or password") || message.contains("cannot log in") =>
        {
            Failure::WrongPassword { user: quote(user.as_bytes()) }
        }
        other => other,
    }
}

/// `00` and the MD5 of a zero byte, the password and the challenge, all in hexadecimal. `None`: the challenge is
/// not hexadecimal.
fn response(challenge: &[u8], password: &Password) -> Option<String> {
    let digits = core::str::from_utf8(challenge).ok().filter(|text| text.is_ascii())?;
    if digits.is_empty() || digits.len() % 2 != 0 || digits.len() > 2 * LONGEST_CHALLENGE {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok().filter(|_| !digits[at..].starts_with('+')))
        .collect();
    let digest = Md5::new().chain_update([0]).chain_update(password.bytes()).chain_update(bytes?).finalize();
    let mut out = "00".to_owned();
    digest.iter().for_each(|byte| {
        let _ = write!(out, "{byte:02x}");
    });
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_challenges_get_the_published_responses() {
        let rows = [
            // The unit tests of librouteros, of go-routeros, and MikroTik's manual (an empty password).
            ("259e0bc05acd6f46926dc2f809ed1bba", "test", "00c7fd865183a43a772dde231f6d0bff13"),
            ("abc123", "passTest", "0021277bff9ac7caf06aa608e46616d47f"),
            ("93b438ec9b80057c06dd9fe67d56aa9a", "", "00e134102a9d330dd7b1849fedfea3cb57"),
        ];
        for (challenge, password, expected) in rows {
            let done = Done::seen(Some(challenge.into()));
            let command = second("admin", &password.into(), &done).unwrap().unwrap();
            let expected = Command::new("/login").with("name", "admin").with("response", expected);
            assert_eq!(command, expected);
        }
    }

    #[test]
    fn a_login_without_a_challenge_is_done_and_a_broken_challenge_is_none() {
        assert_eq!(second("admin", &"x".into(), &Done::seen(None)), Ok(None));
        for challenge in ["", "a", "0g", "+1", "é", &"00".repeat(65)] {
            let done = Done::seen(Some(challenge.into()));
            assert!(
                matches!(second("admin", &"x".into(), &done), Err(Failure::Protocol { .. })),
                "{challenge}"
            );
        }
    }
}
