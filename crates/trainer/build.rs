//! Bakes the places of libtorch and NCCL into this package's binaries and tests: no LD_LIBRARY_PATH is asked for.
#![allow(clippy::print_stdout)] // Cargo reads it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for place in ["DEP_TCH_LIBTORCH_LIB", "DEP_NCCL_RPATH"] {
        if let Ok(folders) = std::env::var(place) {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{folders}");
        }
    }
}
