//! Memory that is not needed any more goes back to the system. The one place with unsafe code, for one call.

/// Hands back what a large configuration took while it was read and checked: glibc keeps freed memory between what
/// is in use, which for 100,000 destinations is more than the daemon itself needs. Takes some milliseconds.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(
            unsafe_code,
            reason = "malloc_trim(3) has no safe wrapper; it takes no pointers and may be called at any time"
        )]
        // SAFETY: no memory that is in use is touched, and the call is thread-safe (malloc_trim(3)).
        unsafe {
            libc::malloc_trim(0);
        }
    }
}
