//! `notebooks/03-model.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let device = device()?;
    let folder = model_folder(ENCODER)?;
    let pretrained = Pretrained::load(&folder, 0, &device)?;
    &pretrained.report;
    // Cell 3.
    let config = pretrained.assets.config.clone();
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    Table::new(&["", ""])
        .row(&[&"word pieces", &config.vocab_size])
        .row(&[&"positions", &config.max_position_embeddings])
        .row(&[&"numbers for a token (hidden_size)", &width])
        .row(&[&"layers", &config.num_hidden_layers])
        .row(&[&"attention heads in a layer", &config.num_attention_heads])
        .row(&[&"width between (intermediate_size)", &inner]);
    // Cell 4.
    fn linear(from: usize, to: usize) -> usize {
        from * to + to
    }
    let layer = 4 * linear(width, width) + linear(width, inner) + linear(inner, width) + 4 * width;
    let tables = config.vocab_size + config.max_position_embeddings + config.type_vocab_size;
    let embeddings = num_params(pretrained.model.embeddings());
    let layers: usize = pretrained.model.layers().map(|layer| num_params(layer.parameters())).sum();
    let all = num_params(&pretrained.model);
    Table::new(&["part", "parameters", "by hand"])
        .row(&[&"embeddings", &embeddings, &(tables * width + 2 * width)])
        .row(&[&"layers", &layers, &(config.num_hidden_layers * layer)])
        .row(&[&"span head", &(all - embeddings - layers), &linear(width, 2)])
        .row(&[&"all", &all, &""]);
    // Cell 5.
    let (train, dev) = sample()?;
    let tokenizer = pretrained.assets.tokenizer.clone();
    let features = make_features(&train.examples[..20], &tokenizer, &FeatureOptions::default())?;
    let batch = PackedBatch::new(&features, &[0, 17]);
    let input = PackedInput::new(&batch, &device);
    println!("features of {:?} tokens", batch.lengths);
    &input.input_ids;
    // Cell 6.
    let embedded = pretrained.model.embed(&input, None);
    &embedded;
    // Cell 7.
    let mut hidden = embedded.clone();
    let mut table = Table::new(&["layer", "shape", "change"]);
    for (number, layer) in pretrained.model.layers().enumerate() {
        let next = layer.forward(hidden.clone(), &input, None);
        let size = |tensor: Tensor<2>| tensor.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        let change = size(next.clone() - hidden.clone()) / size(hidden.clone());
        table = table.row(&[&number, &format!("{:?}", next.dims()), &format!("{change:.2}")]);
        hidden = next;
    }
    table;
    // Cell 8.
    let logits = pretrained.model.head(hidden.clone(), None);
    let values: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    let first = batch.range(0).len();
    let _ = {
        let side = |side: usize| {
            let values = values.iter().skip(side).step_by(2).take(first);
            (0..).map(f64::from).zip(values.map(|value| f64::from(*value)))
        };
        let plot = Lines::new("Before training", "token of the first feature", "logit");
        plot.line("start", side(0)).line("end", side(1)).draw()
    };
    // Cell 9.
    let alone = PackedInput::new(&PackedBatch::new(&features, &[17]), &device);
    let alone = pretrained.model.forward(&alone, None);
    let beside = logits.clone().narrow(0, first, batch.range(1).len());
    let difference = (alone - beside).abs().max().into_scalar::<f32>();
    println!("largest difference: {difference:.1e}");
    assert!(difference < 1e-4);
    // Cell 10.
    let context: &'static str = "The bridge was built by Ane Holm in 1871.";
    let question = Example::new("bridge", "Who built the bridge?", context);
    let maps = AttentionMaps::new(&pretrained, &question, &device)?;
    side_by_side(&[maps.draw(0, 0), maps.draw(2, 3), maps.draw(5, 1)]);
    // Cell 11.
    let long = AttentionMaps::new(&pretrained, &train.examples[0], &device)?;
    let mut lines = Lines::new("Where heads of the first layer look", "distance in tokens", "share");
    for head in 0..4 {
        lines = lines.line(&format!("head {head}"), long.by_distance(0, head, 8));
    }
    lines.draw();
    // Cell 12.
    finished("03-model");
    Ok(())
}
