//! Damaged weights give an error of one line with the file and the tensor, never a panic.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use bert_qa::{Pretrained, QuestionAnswerer};
use test_support::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::common::{
    Value, assert_says, by_name, copy_of, cpu, edit, fixture, read_tensors, refusal, rename_tensor,
    rewrite_weights, tiny,
};
use crate::weight_files::{divide, with_bin, without_weights};

#[track_caller]
fn refused(folder: &TempDir, parts: &[&str]) {
    assert_says(&refusal(folder.path()), parts);
}

/// Overwrites one value of a tensor.
fn overwrite(file: &Path, tensor: &str, index: usize, value: f32) {
    rewrite_weights(file, |header, data| {
        let offset = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize + 4 * index;
        data[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    });
}

#[test]
fn nan_and_infinity_are_errors_with_tensor_and_position() {
    let embedding = "bert.embeddings.word_embeddings.weight";
    let dense = "bert.encoder.layer.1.output.dense.weight";
    for (tensor, index, value, said) in [
        (embedding, 60 * 12 - 1, f32::NAN, "NaN at [59, 11]"),
        // [12, 20] in the file; the loader transposes it.
        (dense, 21, f32::INFINITY, "inf at [1, 1]"),
        ("qa_outputs.bias", 1, f32::NEG_INFINITY, "-inf at [1]"),
    ] {
        let folder = copy_of("tiny-bert");
        overwrite(
            &folder.path().join("model.safetensors"),
            tensor,
            index,
            value,
        );
        refused(
            &folder,
            &[
                "model.safetensors: ",
                &format!("tensor \"{tensor}\" holds {said}"),
            ],
        );
    }
    // Tensors that are not loaded are not checked.
    let folder = copy_of("tiny-bert-encoder");
    overwrite(
        &folder.path().join("model.safetensors"),
        "pooler.dense.bias",
        0,
        f32::NAN,
    );
    assert!(Pretrained::load(folder.path(), 0, &cpu()).is_ok());
}

#[test]
fn nan_in_a_shard_names_the_shard() {
    let folder = copy_of("tiny-bert");
    let names = divide(folder.path(), 2);
    let shard = "model-00002-of-00002.safetensors";
    overwrite(&folder.path().join(shard), &names[1], 0, f32::NAN);
    refused(&folder, &[shard, &names[1], "NaN"]);
}

#[test]
fn integer_weights_are_errors() {
    let folder = copy_of("tiny-bert");
    rewrite_weights(&folder.path().join("model.safetensors"), |header, _| {
        header["qa_outputs.bias"]["dtype"] = "I32".into();
    });
    refused(&folder, &["tensor \"qa_outputs.bias\" holds I32", "f32"]);
}

#[test]
fn a_tensor_with_and_without_prefix_is_an_error() {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("model.safetensors");
    rename_tensor(&file, "qa_outputs.bias", "embeddings.LayerNorm.bias");
    refused(
        &folder,
        &["two tensors for \"bert.embeddings.LayerNorm.bias\""],
    );
}

#[test]
fn a_tensor_with_old_and_new_name_is_an_error() {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("model.safetensors");
    rename_tensor(&file, "qa_outputs.bias", "bert.embeddings.LayerNorm.beta");
    refused(
        &folder,
        &[
            "\"bert.embeddings.LayerNorm.bias\" is stored twice",
            "in model.safetensors under two names",
        ],
    );
}

#[test]
fn truncated_pytorch_files_are_errors() {
    for file in ["pytorch_model.bin", "legacy.bin"] {
        let length = std::fs::metadata(fixture("tiny-bert-bin").join(file))
            .unwrap()
            .len();
        for kept in [
            0,
            1,
            2,
            30,
            300,
            length / 3,
            length / 2,
            length - 100,
            length - 1,
        ] {
            let folder = with_bin(file);
            let path = folder.path().join("pytorch_model.bin");
            let bin = std::fs::File::options().write(true).open(path);
            bin.unwrap().set_len(kept).unwrap();
            refused(&folder, &["pytorch_model.bin: ", "download"]);
        }
    }
}

/// The zip format has a checksum of each tensor.
#[test]
fn a_wrong_checksum_in_a_pytorch_file_is_an_error() {
    let folder = with_bin("pytorch_model.bin");
    let path = folder.path().join("pytorch_model.bin");
    let tensors = read_tensors(&fixture("tiny-bert/model.safetensors"));
    let name = "bert.encoder.layer.0.attention.self.query.weight";
    let number = tensors[name][0].to_le_bytes();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(4)
        .position(|window| window == number)
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    refused(
        &folder,
        &["pytorch_model.bin: ", name, "checksum", "download"],
    );
}

#[test]
fn files_that_are_not_weights_are_explained() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:53aa\nsize 90868376\n";
    let page = "<!DOCTYPE html>\n<html><title>Sign in</title></html>";
    for name in ["model.safetensors", "pytorch_model.bin"] {
        for (text, said) in [
            (pointer, "git lfs pull"),
            (page, "a web page"),
            ("{\"error\": \"gone\"}", "a server's message"),
            ("{\"model_type\": \"bert\"}", "JSON"),
            ("", "empty"),
            ("words", "download it again"),
        ] {
            let folder = without_weights();
            std::fs::write(folder.path().join(name), text).unwrap();
            refused(&folder, &[&format!("{name}: "), said]);
        }
    }
    for (from, name, said) in [
        (
            "tiny-bert/model.safetensors",
            "pytorch_model.bin",
            "rename it to model.safetensors",
        ),
        (
            "tiny-bert-bin/pytorch_model.bin",
            "model.safetensors",
            "rename it to pytorch_model.bin",
        ),
        (
            "tiny-bert-bin/legacy.bin",
            "model.safetensors",
            "rename it to pytorch_model.bin",
        ),
    ] {
        let folder = without_weights();
        std::fs::copy(fixture(from), folder.path().join(name)).unwrap();
        refused(&folder, &[said]);
    }
}

#[test]
fn a_span_head_by_another_name_is_named() {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("model.safetensors");
    for kind in ["weight", "bias"] {
        let [from, to] = ["qa_outputs", "qa_classifier"].map(|head| format!("{head}.{kind}"));
        rename_tensor(&file, &from, &to);
    }
    let report = Pretrained::load(folder.path(), 0, &cpu()).unwrap().report;
    let expected = "no qa_outputs.bias, qa_outputs.weight; these of its tensors are not used: qa_classifier.bias, \
                    qa_classifier.weight";
    assert_eq!(report.untrained_head().as_deref(), Some(expected));
    let model = folder.path().to_str().unwrap();
    let error = QuestionAnswerer::from_pretrained(model, &cpu());
    assert_says(
        &error.unwrap_err().to_string(),
        &[expected, "fine-tune it first"],
    );
}

/// As with transformers: a bias that the file does not have is 0.
#[test]
fn a_span_head_may_lack_its_bias() {
    let folder = copy_of("tiny-bert");
    let file = folder.path().join("model.safetensors");
    rename_tensor(&file, "qa_outputs.bias", "other.bias");
    let Pretrained { model, report, .. } = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    assert_eq!(report.untrained_head(), None);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    assert_says(warning, &["no qa_outputs.bias, which is taken as 0"]);
    let mut expected = by_name(&tiny().model, Value);
    expected.insert("qa_outputs.bias".into(), vec![0.0; 2]);
    assert_eq!(by_name(&model, Value), expected);
}

#[test]
fn a_span_head_has_two_outputs() {
    let folder = copy_of("tiny-bert");
    rewrite_weights(&folder.path().join("model.safetensors"), |header, _| {
        header["qa_outputs.weight"]["shape"] = serde_json::json!([1, 24]);
    });
    refused(
        &folder,
        &["qa_outputs.weight", "[1, 24]: a span head has [2, 12]"],
    );
}

#[test]
fn further_layers_are_told() {
    let folder = copy_of("tiny-bert");
    edit(
        &folder.path().join("config.json"),
        "\"num_hidden_layers\": 2",
        "\"num_hidden_layers\": 1",
    );
    let report = Pretrained::load(folder.path(), 0, &cpu()).unwrap().report;
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    let layer = "bert.encoder.layer.1.attention.output.LayerNorm.bias";
    assert_says(
        warning,
        &["these tensors of its layers are not used: ", layer],
    );
}

/// `self.roberta = AutoModel.from_pretrained(…)` of a BERT.
#[test]
fn an_encoder_may_have_another_architectures_name() {
    let folder = copy_of("tiny-bert");
    rewrite_weights(&folder.path().join("model.safetensors"), |header, _| {
        let tensors = std::mem::take(header).into_iter();
        *header = tensors
            .map(|(name, tensor)| (name.replacen("bert.", "roberta.", 1), tensor))
            .collect();
    });
    let Pretrained { model, report, .. } = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    assert_eq!(by_name(&model, Value), by_name(&tiny().model, Value));
    assert_eq!((report.missing, report.unexpected), (vec![], vec![]));
    assert_says(
        &report.warnings[0],
        &["its encoder is called \"roberta\", and is taken for the bert of config.json"],
    );
}

#[test]
fn an_adapter_beside_whole_weights_is_told() {
    let folder = copy_of("tiny-bert");
    let warnings = |folder: &TempDir| {
        Pretrained::load(folder.path(), 0, &cpu())
            .unwrap()
            .report
            .warnings
    };
    assert_eq!(warnings(&folder), [""; 0]);
    std::fs::write(folder.path().join("adapter_config.json"), "{}").unwrap();
    let warnings = warnings(&folder);
    assert_says(
        &warnings[0],
        &[
            "adapter_config.json: this adapter is not used",
            "merge_and_unload",
        ],
    );
}

/// Python creates a folder when it reads this file.
#[test]
fn a_pickle_is_not_executed() {
    let folder = with_bin("hostile.bin");
    refused(
        &folder,
        &[
            "pytorch_model.bin: no tensor \"bert.",
            "1 of 39 parameters found",
        ],
    );
    assert!(!Path::new("hostile-bin-was-executed").exists());
}

#[test]
fn shards_that_do_not_match_the_index_are_errors() {
    let index = "model.safetensors.index.json";
    let [first, second] = [1, 2].map(|shard| format!("model-{shard:05}-of-00002.safetensors"));
    let damaged = |damage: &dyn Fn(&Path, &[String])| {
        let folder = copy_of("tiny-bert");
        let names = divide(folder.path(), 2);
        damage(folder.path(), &names);
        folder
    };
    let folder = damaged(&|folder, _| std::fs::remove_file(folder.join(&second)).unwrap());
    refused(&folder, &[index, "no shard", &second]);

    let folder = damaged(&|folder, names| rename_tensor(&folder.join(&second), &names[1], "other"));
    refused(
        &folder,
        &[
            index,
            "bert.embeddings.LayerNorm.weight",
            "is not in",
            &second,
        ],
    );

    let folder =
        damaged(&|folder, names| rename_tensor(&folder.join(&second), &names[1], &names[0]));
    refused(
        &folder,
        &[
            index,
            "bert.embeddings.LayerNorm.bias",
            "is stored twice",
            &first,
            &second,
        ],
    );

    for (text, said) in [
        ("{}", "weight_map"),
        ("{\"weight_map\": {}}", "no shards"),
        ("not JSON", "not an index"),
        (
            "{\"weight_map\": {\"a\": \"../x.safetensors\"}}",
            "\"../x.safetensors\"",
        ),
        (
            "{\"weight_map\": {\"a\": \"/etc/passwd\"}}",
            "\"/etc/passwd\"",
        ),
        ("{\"weight_map\": {\"a\": \"\"}}", "\"\" is not the name"),
    ] {
        let folder = damaged(&|folder, _| std::fs::write(folder.join(index), text).unwrap());
        refused(&folder, &[index, said]);
    }
}

/// 100 KB that unpack to 64 MB, each byte of which may stand for an object.
#[test]
fn a_small_archive_that_unpacks_to_much_is_refused() {
    let folder = with_bin("pytorch_model.bin");
    let path = folder.path().join("pytorch_model.bin");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("archive/data.pkl", options).unwrap();
    let empty_tuples = vec![b')'; 1 << 20];
    zip.write_all(b"\x80\x02").unwrap();
    for _ in 0..64 {
        zip.write_all(&empty_tuples).unwrap();
    }
    zip.finish().unwrap();
    assert!(path.metadata().unwrap().len() < 100_000);
    refused(
        &folder,
        &[
            "pytorch_model.bin: ",
            "data.pkl",
            "64.0 MiB",
            "4.0 MiB",
            "torch.save(model.state_dict()",
        ],
    );
}
