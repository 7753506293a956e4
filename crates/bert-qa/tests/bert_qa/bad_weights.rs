//! Damaged weights give an error of one line with the file and the tensor, never a panic.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use bert_qa::Pretrained;
use test_support::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::common::{
    assert_says, copy_of, cpu, fixture, read_tensors, refusal, rename_tensor, rewrite_weights,
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
        &["pytorch_model.bin: ", "data.pkl", "64.0 MiB", "4.0 MiB"],
    );
}
