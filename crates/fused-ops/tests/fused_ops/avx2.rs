//! The kernels choose their instructions at run time: this binary, run again on an emulated
//! processor without AVX-512, takes those with AVX2 and passes the same tests.

use std::process::Command;

/// Set for the emulated run.
const EMULATED: &str = "FUSED_OPS_ON_AVX2";

/// One or more tests of each kernel: what is emulated takes a hundred times as long.
const TESTS: [&str; 7] = [
    "ndarray::adamw::equals_the_reference_over_five_steps",
    "ndarray::attention::another_mask_is_seen",
    "ndarray::attention::small_windows",
    "ndarray::layers::dropout_equals_the_reference_and_depends_on_its_key",
    "ndarray::layers::fixed_shapes",
    "ndarray::span_loss::padding_never_wins",
    "avx2::this_processor_has_avx2_and_no_more",
];

#[test]
fn the_same_binary_passes_without_avx512() {
    if std::env::var_os(EMULATED).is_some() {
        return;
    }
    let emulator = "qemu-x86_64";
    if Command::new(emulator).arg("--version").output().is_err() {
        let why = format!("{emulator} (Debian's qemu-user) is not there");
        assert!(
            std::env::var_os("SQUAD_BURN_NO_SKIP").is_none(),
            "must not be skipped: {why}"
        );
        eprintln!("SKIPPED: {why}");
        return;
    }
    let output = Command::new(emulator)
        .args(["-cpu", "Haswell"])
        .arg(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(TESTS)
        .env(EMULATED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = format!("{} passed; 0 failed", TESTS.len());
    assert!(
        output.status.success() && text.contains(&passed),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// In the emulated run only: natively it says nothing.
#[test]
#[cfg(target_arch = "x86_64")]
fn this_processor_has_avx2_and_no_more() {
    if std::env::var_os(EMULATED).is_some() {
        assert!(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"));
        assert!(!is_x86_feature_detected!("avx512f"));
    }
}
