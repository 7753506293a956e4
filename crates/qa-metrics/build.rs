//! Adds libtorch's folder to the rpath of this package's tests, so that they run without LD_LIBRARY_PATH.
#![allow(clippy::print_stdout)] // Cargo reads it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
