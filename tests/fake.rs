//! The fake router itself: that it speaks as routers do, to clients that others wrote too, and fails as asked.

#[path = "fake/client.rs"]
mod client;
#[path = "fake/failures.rs"]
mod failures;
mod fake_router;
#[path = "fake/outsiders.rs"]
mod outsiders;
#[path = "fake/secure.rs"]
mod secure;
#[path = "fake/speech.rs"]
mod speech;
#[path = "fake/web.rs"]
mod web;
#[path = "fake/words.rs"]
mod words;
