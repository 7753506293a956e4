//! Compiles the C++ file against libtorch's headers, and links what it needs besides what torch-sys links.

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
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys says where libtorch is"),
    );
    let root = libraries.parent().expect("libtorch/lib is in a folder");
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
    // The OpenMP that libtorch brings, so that there is one in the process.
    println!("cargo:rustc-link-search=native={}", libraries.display());
    println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libraries.display());
}
