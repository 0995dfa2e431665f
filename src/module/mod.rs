//! The hall: an instance of the module, and one function per hook. Safe.
