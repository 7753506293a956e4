//! The kernels choose their instructions at run time. On an emulated processor without AVX-512, this binary takes those
//! of AVX2 and must pass the same tests.

use std::process::Command;

/// Set in the emulated run.
const EMULATED: &str = "FUSED_OPS_EMULATED";

/// One or more tests of each kernel: emulation is a hundred times slower.
const TESTS: [&str; 11] = [
    "ndarray::adamw::adamw_equals_the_reference_over_five_steps",
    "ndarray::attention::another_dropout_key_changes_output_and_gradients",
    "ndarray::attention::attention_equals_the_reference_for_short_features",
    "ndarray::autocast::inference_in_int8_equals_f32_up_to_rounding",
    "ndarray::autocast::linear_in_bf16_equals_f32_up_to_rounding",
    "ndarray::dropout::dropout_equals_the_reference_and_depends_on_its_key",
    "ndarray::embedding::embedding_equals_the_reference_for_repeated_and_unused_rows",
    "ndarray::linear::linear_equals_the_reference",
    "ndarray::norm::norm_equals_the_reference_for_each_epsilon",
    "ndarray::span_loss::argmax_ignores_padding",
    "avx2::kernels_pass_on_a_processor_without_avx512",
];

#[test]
#[ignore = "needs qemu-x86_64 (Debian's qemu-user): emulates a processor without AVX-512"]
fn kernels_pass_on_a_processor_without_avx512() {
    if std::env::var_os(EMULATED).is_some() {
        assert!(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"));
        assert!(!is_x86_feature_detected!("avx512f"));
        return;
    }
    let output = Command::new("qemu-x86_64")
        .args(["-cpu", "Haswell"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--include-ignored"])
        .args(TESTS)
        .env(EMULATED, "1")
        .output()
        .expect("qemu-x86_64 runs (Debian: apt-get install qemu-user)");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = format!("{} passed; 0 failed", TESTS.len());
    assert!(
        output.status.success() && text.contains(&passed),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
