use std::ffi::{CStr, c_char};

use tch::TchError;

unsafe extern "C" {
    fn free(pointer: *mut std::ffi::c_void);
}

/// Takes a message of the C++ side; null is success.
pub(crate) fn check(message: *mut c_char) -> Result<(), TchError> {
    match take(message) {
        Some(message) => Err(TchError::Torch(message)),
        None => Ok(()),
    }
}

pub(crate) fn take(message: *mut c_char) -> Option<String> {
    if message.is_null() {
        return None;
    }
    // SAFETY: the C++ side returns null or a string of `strdup` that is ours to free.
    unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        free(message.cast());
        Some(text)
    }
}
