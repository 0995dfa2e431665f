//! Signals belong to radiusd's own threads.
//!
//! A thread inherits its creator's mask. radiusd's handlers only write to a pipe, but they are installed without SA_RESTART, so
//! a signal that lands in one of our threads would cut a read from the database short.

use core::mem::MaybeUninit;
use core::ptr;

/// Runs `f` with all signals blocked in this thread, so that the threads it starts have them blocked for ever.
pub fn block_all<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: `self.0` was filled by pthread_sigmask() below; the third argument may be null (POSIX).
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }
    let (mut all, mut before) =
        (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::<libc::sigset_t>::uninit());
    // SAFETY: sigfillset() initialises what it is given, which is ours.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` is initialised; `before` is written if the call succeeds, and it can fail only for a bad first argument.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: as said, written unless the call failed.
    let _restore = (failed == 0).then(|| Restore(unsafe { before.assume_init() }));
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: a null set asks for the mask only, which is written to `mask`.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()) };
        // SAFETY: `mask` was written by the call above.
        unsafe { libc::sigismember(mask.as_ptr(), signal) == 1 }
    }

    #[test]
    fn threads_started_inside_never_see_a_signal_and_the_mask_comes_back() {
        assert!(!is_blocked(libc::SIGTERM));
        let inside = block_all(|| std::thread::spawn(|| is_blocked(libc::SIGTERM)).join());
        assert_eq!(inside.ok(), Some(true));
        assert!(!is_blocked(libc::SIGTERM));
    }
}
