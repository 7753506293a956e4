//! Links the libFuzzer that `cargo xtask fuzz` has built.
#![allow(clippy::print_stdout)] // Cargo reads it.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBFUZZER_DIR");
    if std::env::var_os("CARGO_FEATURE_LIBFUZZER").is_none() {
        return;
    }
    match std::env::var("LIBFUZZER_DIR") {
        Ok(folder) => {
            println!("cargo::rustc-link-search=native={folder}");
            println!("cargo::rustc-link-lib=static=fuzzer");
            println!("cargo::rustc-link-lib=stdc++");
        }
        Err(_) => println!("cargo::error=run `cargo xtask fuzz`, which builds libFuzzer first"),
    }
}
