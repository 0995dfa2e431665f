//! The real binary against the fake router, over both transports and with both databases.

mod common;
#[allow(dead_code)]
#[path = "cli/db.rs"]
mod db;
mod fake_router;
#[path = "routers/hostile.rs"]
mod hostile;
#[path = "routers/import.rs"]
mod import;
#[path = "routers/ipv6.rs"]
mod ipv6;
#[path = "routers/nas.rs"]
mod nas;
#[path = "routers/radius.rs"]
mod radius;
#[path = "routers/site.rs"]
mod site;
#[path = "routers/verbs.rs"]
mod verbs;
