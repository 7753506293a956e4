use std::collections::HashMap;

use qa_metrics::NaProbs;
use squad_data::Dataset;

use crate::sandbox;

fn read(name: &str, bytes: &[u8]) {
    if let Ok(dataset) = Dataset::read(&sandbox::write(name, bytes)) {
        for example in &dataset.examples {
            // What everything later relies on.
            for answer in example.answers() {
                let found = answer.char_range().map(|range| example.slice(range));
                assert!(found.is_none_or(|found| found == Some(&*answer.text)));
            }
        }
    }
}

pub(crate) fn json(bytes: &[u8]) {
    read("data.json", bytes);
}

pub(crate) fn json_lines(bytes: &[u8]) {
    read("data.jsonl", bytes);
}

pub(crate) fn gzip(bytes: &[u8]) {
    read("data.json.gz", bytes);
}

pub(crate) fn parquet(bytes: &[u8]) {
    read("data.parquet", bytes);
}

pub(crate) fn predictions(bytes: &[u8]) {
    let predictions: Result<HashMap<String, String>, _> = serde_json::from_slice(bytes);
    drop(predictions);
}

pub(crate) fn na_probs(bytes: &[u8]) {
    let Ok(probs) = serde_json::from_slice::<NaProbs>(bytes) else {
        return;
    };
    for (id, prob) in probs.iter() {
        assert_eq!(probs.get(id).map(f64::to_bits), Some(prob.to_bits()));
    }
}
