use std::ffi::{CStr, c_char};

use tch::TchError;

unsafe extern "C" {
    fn free(pointer: *mut std::ffi::c_void);
}

/// Turns a message of the C++ side into a result; null is success.
pub(crate) fn check(message: *mut c_char) -> Result<(), TchError> {
    take(message).map_or(Ok(()), |message| Err(TchError::Torch(message)))
}

/// Copies a message of the C++ side and frees it; null is `None`.
pub(crate) fn take(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: the C++ side returns null or a string from `strdup`, which the caller frees.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        free(message.cast());
        Some(text)
    }
}
