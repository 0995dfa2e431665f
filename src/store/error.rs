//! Errors of the store: sentences for the administrator, classes for the engine.

/// What may be done after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not done. The same again may succeed on the same connection (a lost race, a lock).
    SameConnection,
    /// Perhaps done: the answer was lost with the connection. Read your own key on a new one.
    NewConnection,
    /// Not done, and the same again will fail again.
    Never,
}

/// A database error.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// Not reachable, or gone while we spoke.
    #[error("{0}")]
    Away(String),
    /// Reachable, and not what we need: schema, rights, URL. The sentence says what to do.
    #[error("{0}")]
    Wrong(String),
    /// This statement failed; another may not.
    #[error("{0}")]
    Failed(String),
    /// Somebody else was faster, or holds a lock.
    #[error("{0}")]
    Busy(String),
}

impl StoreError {
    /// The error's class.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Away(_) => Retry::NewConnection,
            Self::Busy(_) => Retry::SameConnection,
            Self::Wrong(_) | Self::Failed(_) => Retry::Never,
        }
    }
}
