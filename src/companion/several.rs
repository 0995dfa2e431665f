//! Routers are asked several at a time: most of the time goes by waiting for them.

use std::sync::Mutex;

/// At most so many are asked at a time.
pub(super) const AT_ONCE: usize = 16;

/// What `ask` makes of each, in their order.
pub(super) fn each<T: Sync, R: Send>(all: &[T], ask: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [one] = all {
        // A thread of its own would leave behind memory that nobody else uses.
        return vec![ask(one)];
    }
    let next = Mutex::new(0..all.len());
    let answers = Mutex::new(Vec::with_capacity(all.len()));
    let take = || next.lock().ok().and_then(|mut next| next.next());
    std::thread::scope(|scope| {
        for _ in 0..all.len().min(AT_ONCE) {
            scope.spawn(|| {
                while let Some(at) = take() {
                    let answer = ask(&all[at]);
                    if let Ok(mut answers) = answers.lock() {
                        answers.push((at, answer));
                    }
                }
            });
        }
    });
    let mut answers: Vec<(usize, R)> = answers.into_inner().unwrap_or_default();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn sixteen_are_asked_at_a_time_and_no_more() {
        let (now, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: Vec<usize> = (0..100).collect();
        let answers = each(&all, |number| {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            number * 2
        });
        assert_eq!(answers, (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(peak.into_inner(), 16);
    }
}
