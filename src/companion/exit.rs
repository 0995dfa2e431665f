//! Exit codes, and errors that carry one. Scripts rely on these numbers: `docs/exit-codes.md`.

use std::process::ExitCode;

use crate::store::StoreError;
use crate::store::admin::AdminError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Not done.
    Failed,
    /// The command line is wrong.
    Usage,
    /// What was compared differs.
    Differs,
    /// Some of it was done.
    Partly,
    /// The database cannot be reached (EX_UNAVAILABLE).
    Unavailable,
    /// Somebody else was in the way (EX_TEMPFAIL).
    TryAgain,
    /// The configuration is wrong, or the database is not what it should be (EX_CONFIG).
    Configuration,
}

/// Why a command did not end well: a sentence for people, a code for scripts.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What happened and what to do next.
    pub sentence: String,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Differs => 3,
            Self::Partly => 4,
            Self::Unavailable => 69,
            Self::TryAgain => 75,
            Self::Configuration => 78,
        }
    }
}

impl Failure {
    /// A failure with this code.
    #[must_use]
    pub fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: sentence.into() }
    }

    /// Whoever read our output has gone (`| head`): nothing to complain about.
    pub(super) const fn is_silent(&self) -> bool {
        self.sentence.is_empty()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::Away(_) => Exit::Unavailable,
            StoreError::Busy(_) | StoreError::Clash(_) | StoreError::Deposed(_) => Exit::TryAgain,
            StoreError::Failed(_) => Exit::Failed,
            StoreError::Wrong(_) => Exit::Configuration,
        };
        let next = match error {
            StoreError::Busy(_) | StoreError::Clash(_) => "; nothing was changed: try again",
            _ => "",
        };
        Self::new(exit, format!("{error}{next}"))
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused(sentence) => Self::new(Exit::Failed, sentence),
            AdminError::Store(error) => error.into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::new(Exit::Failed, format!("the output cannot be written: {error}"))
    }
}
