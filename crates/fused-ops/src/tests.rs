//! In this crate's unit tests a new buffer is full of NaN, so an element that a kernel does not write is found here.

use burn::tensor::{Device, Int, Tensor};

use crate::*;

fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count = shape.iter().product::<usize>() as i64;
    let range = Tensor::<1, Int>::arange(0..count, device).float();
    (range * 0.7).sin().reshape(shape).require_grad()
}

fn is_finite<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.to_data().iter::<f32>().all(f32::is_finite)
}

/// Whether an output and the gradients of its inputs are finite.
fn check<const D: usize, const R: usize>(inputs: &[&Tensor<D>], output: &Tensor<R>) {
    assert!(is_finite(output), "output");
    let gradients = output.clone().sum().backward();
    for (index, input) in inputs.iter().enumerate() {
        let gradient = input.grad(&gradients).expect("a gradient");
        assert!(is_finite(&gradient), "gradient {index}");
    }
}

fn check_all_operations(device: &Device) {
    let cu_seqlens = CuSeqlens::new(&[1, 70, 33]);
    let key = DropoutKey {
        seed: 1,
        rank: 0,
        micro_batch: 0,
        step: 0,
        site: 0,
    };
    let mask = Dropout::new(0.1, key);
    let qkv = numbers([104, 36], device);
    check(
        &[&qkv],
        &attention_qkv_packed(qkv.clone(), &cu_seqlens, 3, mask),
    );

    let terms = |relative| AttentionTerms {
        rotary: Some(RotaryEmbedding { theta: 1e4 }),
        window: Some(3),
        relative,
    };
    let attend = |terms| attention_with_terms(qkv.clone(), &cu_seqlens, 3, &terms, mask);
    check(&[&qkv], &attend(terms(None)));
    let disentangled = RelativeKind::Disentangled {
        p2c: true,
        c2p: true,
    };
    for (kind, columns) in [(RelativeKind::Bias, 3), (disentangled, 24)] {
        let table = numbers([32, columns], device);
        let term = RelativeTerm {
            table: table.clone(),
            kind,
            buckets: RelativeBuckets::T5 {
                num_buckets: 32,
                max_distance: 128,
            },
        };
        check(&[&qkv, &table], &attend(terms(Some(term))));
    }
    check(&[&qkv], &geglu(qkv.clone()));
    let parts = [(); 3].map(|()| numbers([104, 5], device));
    check(&parts.each_ref(), &concat_columns(parts.clone()));

    let [input, residual] = [(); 2].map(|()| numbers([104, 12], device));
    let (gamma, beta) = (numbers([12], device), numbers([12], device));
    let norm = |gamma: &Tensor<1>, beta: &Tensor<1>| {
        let (input, residual) = (input.clone(), residual.clone());
        dropout_add_layer_norm(input, residual, gamma.clone(), beta.clone(), 1e-5, mask)
    };
    check(&[&input], &norm(&gamma, &beta));
    check(&[&gamma, &beta], &norm(&gamma, &beta));

    let (weight, bias) = (numbers([12, 7], device), numbers([7], device));
    for activation in [Activation::Identity, Activation::Gelu, Activation::GeluTanh] {
        let output = || linear(input.clone(), weight.clone(), bias.clone(), activation);
        check(&[&input, &weight], &output());
        check(&[&bias], &output());
    }

    check(&[&input], &dropout(input.clone(), &mask.expect("0.1 > 0")));
    let ids = Tensor::from_data([0, 3, 103], device);
    check(&[&input], &embedding(input.clone(), ids));
    check(&[&input], &sum_of_squares(input.clone()));
    let logits = numbers([104, 2], device);
    let loss = span_loss(logits.clone(), &cu_seqlens, &[0, 3, 2], &[0, 60, 2]);
    check(&[&logits], &loss);
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_kernels_write_every_element() {
    check_all_operations(&Device::ndarray().autodiff());
}

#[cfg(feature = "flex")]
#[test]
fn flex_kernels_write_every_element() {
    check_all_operations(&Device::flex().autodiff());
}

#[cfg(feature = "tch")]
#[test]
fn libtorch_kernels_write_every_element() {
    check_all_operations(&Device::libtorch().autodiff());
}

/// Matmuls on an emulated processor that has AVX2 alone: `int8` by AVX2, and the packing of `bf16` by the kernel of plain Rust.
#[cfg(all(feature = "ndarray", target_os = "linux", target_arch = "x86_64"))]
#[test]
#[ignore = "needs qemu-x86_64 (Debian's qemu-user): emulates a processor without AVX-512"]
fn matmuls_pass_on_a_processor_without_avx512() {
    const TESTS: [&str; 3] = ["kernels::int8_gemm", "kernels::bf16_gemm", "kernels::tasks"];
    let output = std::process::Command::new("qemu-x86_64")
        .args(["-cpu", "Haswell"])
        .arg(std::env::current_exe().unwrap())
        .args(TESTS)
        .output()
        .expect("qemu-x86_64 runs (Debian: apt-get install qemu-user)");
    let text = String::from_utf8_lossy(&output.stdout);
    let tests = [
        "large_sums_do_not_saturate",
        "packing_and_loops_are_right",
        "every_element",
    ];
    let ran = tests.iter().all(|name| text.contains(name));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && ran, "{text}\n{errors}");
}

#[cfg(feature = "ndarray")]
#[test]
fn a_new_buffer_is_nan_in_unit_tests() {
    assert!(kernels::uninit::uninit(5).iter().all(|x| x.is_nan()));
}
