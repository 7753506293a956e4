//! `notebooks/02-tokens-and-offsets.ipynb`; made by `cargo xtask notebooks sync`.

pub fn cells() -> Result<(), Box<dyn std::error::Error>> {
    // Cell 1.
    use notebook_kit::prelude::*;
    // Cell 2.
    let folder = model_folder(ENCODER)?;
    let tokenizer = QaTokenizer::from_file(&folder.join("tokenizer.json"))?;
    let text = "Volcanoes in Hawaiʻi erupt basaltic lava.".to_owned();
    let tokens = tokenizer.encode(&text)?;
    let _ = {
        let rows = tokens.ids.iter().zip(&tokens.offsets).map(|(id, (start, end))| {
            let piece = text.chars().skip(*start as usize).take((end - start) as usize);
            let place = format!("{start}..{end}");
            [tokenizer.token(*id).unwrap(), id.to_string(), place, piece.collect()]
        });
        Table::new(&["piece", "id", "characters", "text"]).rows(rows)
    };
    // Cell 3.
    let (train, dev) = sample()?;
    let options = FeatureOptions::default();
    let features = make_features(&train.examples, &tokenizer, &options)?;
    show_feature(&features[0], &tokenizer);
    // Cell 4.
    let small = FeatureOptions { max_seq_length: 64, doc_stride: 24, ..FeatureOptions::default() };
    let example = train.examples[0].clone();
    let pieces = make_features(std::slice::from_ref(&example), &tokenizer, &small)?;
    let _ = {
        let rows = pieces.iter().map(|piece| {
            let label = piece.char_span(piece.start_position, piece.end_position);
            let label = label.and_then(|span| example.slice(span)).unwrap_or("[CLS]: not here");
            let ends = (piece.offsets[0].0, piece.offsets[piece.offsets.len() - 1].1);
            [piece.len().to_string(), format!("{}..{}", ends.0, ends.1), label.to_owned()]
        });
        Table::new(&["tokens", "characters of the context", "labelled"]).rows(rows)
    };
    // Cell 5.
    let _ = {
        let lengths = features.iter().map(|feature| feature.len() as f64);
        histogram("Features of the sample, at most 384 tokens", "tokens", lengths, 24)
    };
    // Cell 6.
    inspect(&train.examples, &features);
    // Cell 7.
    let mut table = Table::new(&["", "right in features of 384", "right in features of 64"]);
    for mistake in Mistake::ALL {
        let long = right_labels(mistake, &train.examples, &tokenizer, 384)?;
        let short = right_labels(mistake, &train.examples, &tokenizer, 64)?;
        let name = format!("{mistake:?}");
        table = table.row(&[&name, &format!("{long:.1} %"), &format!("{short:.1} %")]);
    }
    table;
    // Cell 8.
    let wrong = Mistake::BytesForCharacters;
    let mut broken = train.examples[0].clone();
    let mut taken = None;
    for e in train.examples.iter().filter(|e| !e.answers().is_empty()) {
        let range = labelled_range(wrong, e, &tokenizer, 384)?;
        if range != e.answers()[0].char_range() {
            (broken, taken) = (e.clone(), range);
            break;
        }
    }
    highlight_answer(&broken, taken.clone());
    // Cell 9.
    let right = make_features(std::slice::from_ref(&broken), &tokenizer, &small)?;
    for feature in right.iter().filter(|feature| feature.has_answer()) {
        let span = feature.char_span(feature.start_position, feature.end_position).unwrap();
        assert_eq!(broken.slice(span), Some(broken.answers()[0].text.as_str()));
        println!("labelled: {}", broken.answers()[0].text);
    }
    let stats = inspect(&train.examples, &make_features(&train.examples, &tokenizer, &small)?);
    println!("in features of 64: {} of {} answers labelled", stats.labelled, stats.answerable);
    // Cell 10.
    finished("02-tokens-and-offsets");
    Ok(())
}
