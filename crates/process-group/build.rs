//! Feature `nccl`: links the NCCL and the CUDA runtime of PyTorch's wheel.
#![allow(clippy::print_stdout)] // Cargo reads it.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Libraries in packages beside the wheel: NCCL and the CUDA runtime, of which the wheel has version 12 or 13.
const LIBRARIES: [&[(&str, &str)]; 2] = [
    &[("nccl", "libnccl.so.2")],
    &[
        ("cuda_runtime", "libcudart.so.12"),
        ("cu13", "libcudart.so.13"),
    ],
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_NCCL").is_none() {
        return;
    }
    let Some(libtorch) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!(
            "cargo::error=feature `nccl`: LIBTORCH is not set: run scripts/install-libtorch.sh"
        );
        return;
    };
    // Follows links: the packages lie beside the wheel itself.
    let libtorch = fs::canonicalize(&libtorch).unwrap_or(libtorch);
    let found = LIBRARIES.map(|places| find(&libtorch, places));
    for (folder, file) in found.iter().flatten() {
        println!("cargo::rustc-link-search=native={}", folder.display());
        // By its versioned name, because the wheel has no other.
        println!("cargo::rustc-link-lib=dylib:+verbatim={file}");
    }
    let folders = found.iter().flatten();
    let folders: Vec<_> = folders
        .map(|(folder, _)| folder.display().to_string())
        .collect();
    let path = folders.join(":");
    // For the tests and examples of this crate.
    let libraries = libtorch.join("lib");
    println!(
        "cargo::rustc-link-arg=-Wl,-rpath,{path}:{}",
        libraries.display()
    );
    // Cargo does not pass the run path on to programs: their build scripts add `DEP_NCCL_RPATH`.
    println!("cargo::metadata=rpath={path}");
}

/// The folder and name of the first library that is there; `libtorch` is the wheel's folder `torch`.
fn find<'a>(libtorch: &Path, places: &[(&str, &'a str)]) -> Option<(PathBuf, &'a str)> {
    let packages = libtorch.parent().unwrap_or(libtorch).join("nvidia");
    let places = places
        .iter()
        .map(|(package, file)| (packages.join(package).join("lib"), *file));
    let found = places
        .clone()
        .find(|(folder, file)| folder.join(file).exists());
    if found.is_none() {
        let places: Vec<_> = places
            .map(|(folder, file)| format!("{file} in {}", folder.display()))
            .collect();
        println!(
            "cargo::error=feature `nccl`: no {}: is LIBTORCH ({}) the folder `torch` of a PyTorch wheel with CUDA? \
             scripts/install-libtorch.sh gets one",
            places.join(", no "),
            libtorch.display()
        );
    }
    found
}
