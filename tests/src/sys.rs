//! The one thing that a test program needs and the standard library does not have.

/// Has `last` called when this process ends by returning from main or by exit(3).
///
/// # Panics
/// Where the list of such functions is full; 32 fit at least (atexit(3)).
pub(crate) fn at_exit(last: extern "C" fn()) {
    // SAFETY: `last` is a function of this program, which is there until the end; it does not unwind (`extern "C"` aborts).
    let result = unsafe { libc::atexit(last) };
    assert_eq!(result, 0, "atexit");
}
