//! Front door 1: the C interface of radiusd. The only room with `unsafe`.
