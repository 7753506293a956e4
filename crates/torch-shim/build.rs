//! Compiles the C++ file against libtorch's headers, and links the libraries that torch-sys does not link.
#![allow(clippy::print_stdout)] // Cargo reads it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "libtorch")]
    libtorch();
}

#[cfg(feature = "libtorch")]
fn libtorch() {
    use std::path::PathBuf;

    println!("cargo:rerun-if-changed=src/shim.cpp");
    let libraries = PathBuf::from(
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys passes on the folder of libtorch"),
    );
    let root = libraries
        .parent()
        .expect("libtorch/lib has a parent folder");
    let include = root.join("include");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .flag("-fopenmp")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("src/shim.cpp");
    if libraries.join("libc10_cuda.so").exists() {
        build.define("SHIM_CUDA", None);
        println!("cargo:rustc-link-lib=c10_cuda");
    }
    build.compile("torch-shim");
    // libtorch's OpenMP, so that the process has only one.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
}
