//! Bakes the place of libtorch into this package's binaries and tests: no LD_LIBRARY_PATH is asked for.
#![allow(clippy::print_stdout)] // Cargo reads it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
