//! Decisions: which address an ask gets.
