//! `notebooks/07-faster-and-larger.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let device = device()?.autodiff();
    let pretrained = Pretrained::load(&model_folder(ENCODER)?, 0, &device)?;
    let (train, dev) = sample()?;
    let tokenizer = pretrained.assets.tokenizer.clone();
    let mut features = make_features(&train.examples, &tokenizer, &FeatureOptions::default())?;
    features.sort_by_key(|feature| feature.len());
    let four: Vec<Feature> = [0, 190, 380, 570].map(|index| features[index].clone()).to_vec();
    println!("features of {:?} tokens", four.iter().map(|feature| feature.len()).collect::<Vec<_>>());
    // Cell 3.
    let longest = four.iter().map(|feature| feature.len()).max().unwrap();
    let mut table = Table::new(&["batch of 4", "tokens", "ms", "peak MB"]);
    let lengths = [("packed", 0), ("padded to the longest", longest), ("padded to 384", 384)];
    for (name, length) in lengths {
        let batch = PackedBatch::new(&padded(&four, length), &[0, 1, 2, 3]);
        let input = PackedInput::new(&batch, &device);
        let cost = measure(1, || span_loss(pretrained.model.forward(&input, None), &input).backward());
        table = table.row(&[&name, &batch.num_tokens(), &cost.ms(), &cost.mb()]);
    }
    table;
    // Cell 4.
    fn random(rows: usize, columns: usize) -> Tensor<2> {
        let device = trainer::device("auto").unwrap().1;
        Tensor::random([rows, columns], Distribution::Normal(0.0, 1.0), &device)
    }
    let (q, k, v) = (random(600, 384), random(600, 384), random(600, 384));
    let lengths = CuSeqlens::new(&[60, 90, 200, 250]);
    let fused = measure(5, || {
        fused_ops::attention(q.clone(), k.clone(), v.clone(), &lengths, 12, None)
    });
    let reference = measure(5, || {
        fused_ops::reference::attention(q.clone(), k.clone(), v.clone(), &lengths, 12, None)
    });
    Table::new(&["attention of 600 tokens in 4 features", "ms", "peak MB"])
        .row(&[&"fused", &fused.ms(), &fused.mb()])
        .row(&[&"reference, pads inside", &reference.ms(), &reference.mb()]);
    // Cell 5.
    let (x, weight) = (random(600, 384), random(384, 1536));
    let bias: Tensor<1> = random(1, 1536).reshape([1536]);
    let gelu = Activation::Gelu;
    let fused = measure(5, || fused_ops::linear(x.clone(), weight.clone(), bias.clone(), gelu));
    let reference = measure(5, || {
        fused_ops::reference::linear(x.clone(), weight.clone(), bias.clone(), gelu)
    });
    Table::new(&["linear, bias and GELU, 384 to 1536", "ms"])
        .row(&[&"fused", &fused.ms()])
        .row(&[&"reference", &reference.ms()]);
    // Cell 6.
    let batch = PackedBatch::new(&four, &[0, 1, 2, 3]);
    let input = PackedInput::new(&batch, &device);
    let most = std::thread::available_parallelism()?.get();
    let mut table = Table::new(&["threads", "ms for a step"]);
    for threads in [1, most] {
        let cost = with_threads(threads, || {
            measure(1, || span_loss(pretrained.model.forward(&input, None), &input).backward())
        })?;
        table = table.row(&[&threads, &cost.ms()]);
    }
    table;
    // Cell 7.
    let mut table = Table::new(&["features in a batch", "features per second", "peak MB"]);
    for size in [1, 4, 16] {
        let batch = PackedBatch::new(&features, &(0..size).collect::<Vec<_>>());
        let input = PackedInput::new(&batch, &device);
        let cost = measure(1, || span_loss(pretrained.model.forward(&input, None), &input).backward());
        let rate = size as f64 / cost.seconds;
        table = table.row(&[&size, &decimals(rate, 1), &cost.mb()]);
    }
    table;
    // Cell 8.
    use burn::tensor::DType;
    let (a, b) = (random(512, 512), random(512, 512));
    let (wide_a, wide_b) = (a.clone().cast(DType::F64), b.clone().cast(DType::F64));
    let single = measure(5, || a.clone().matmul(b.clone()));
    let double = measure(5, || wide_a.clone().matmul(wide_b.clone()));
    let exact = wide_a.clone().matmul(wide_b.clone());
    let error = (a.clone().matmul(b.clone()).cast(DType::F64) - exact).abs().max().into_scalar::<f64>();
    Table::new(&["512 x 512 x 512", "ms", "largest error"])
        .row(&[&"f64", &double.ms(), &""])
        .row(&[&"f32", &single.ms(), &format!("{error:.0e}")]);
    // Cell 9.
    train_by_ranks(&[1, 2], 16, &["train.dropout=false"])?;
    // Cell 10.
    train_by_ranks(&[1, 2], 16, &["train.dropout=true"])?;
    // Cell 11.
    finished("07-faster-and-larger");
    Ok(())
}
