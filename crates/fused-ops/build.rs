//! Sets `cfg(kernels)` when the build has a backend with kernels, and bakes the folder of libtorch into this package's
//! tests, so that they run without LD_LIBRARY_PATH.
#![allow(clippy::print_stdout)] // Cargo reads it.

use std::env::var_os;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(kernels)");
    let backends = ["NDARRAY", "FLEX", "TCH"].map(|name| format!("CARGO_FEATURE_{name}"));
    if backends.iter().any(|name| var_os(name).is_some()) {
        println!("cargo::rustc-cfg=kernels");
    }
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
