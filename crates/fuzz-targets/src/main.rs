//! libFuzzer on the target that the environment variable `FUZZ_TARGET` names. `cargo xtask fuzz` builds and runs it.
#![no_main]
#![allow(unsafe_code, clippy::print_stderr)]

use std::sync::LazyLock;

use fuzz_targets::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    // libFuzzer looks at processes that die. The command expects and catches some panics of the Parquet reader.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
    trainer::quiet_handled_panics();
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz_targets::find(&name).unwrap_or_else(|message| {
        eprintln!("FUZZ_TARGET: {message}");
        std::process::exit(2)
    })
});

/// libFuzzer calls this for each input.
///
/// # Safety
/// `bytes` points to `length` bytes that nothing writes during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(bytes: *const u8, length: usize) -> i32 {
    // SAFETY: as above. An empty input may come with a null pointer, of which no slice may be made.
    let bytes = match length {
        0 => &[],
        _ => unsafe { std::slice::from_raw_parts(bytes, length) },
    };
    TARGET(bytes);
    0
}
