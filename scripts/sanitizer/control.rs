//! Writes one element behind a buffer. A sanitizer that lets this pass sees nothing.

fn main() {
    let mut buffer = vec![0.0f32; 16];
    let end = std::hint::black_box(buffer.len());
    // SAFETY: none.
    unsafe { *buffer.as_mut_ptr().add(end) = 1.0 };
    std::hint::black_box(&mut buffer);
}
