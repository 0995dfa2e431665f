//! Front door 2: the command line.
