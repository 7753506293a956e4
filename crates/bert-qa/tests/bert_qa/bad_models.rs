//! Damaged model folders give an error of one line, never a panic.

use std::path::Path;

use bert_qa::Pretrained;

use crate::common::{assert_says, copy_of, cpu, edit, fixture, refusal, rename_tensor};

/// The error message of loading a damaged copy of the tiny model.
fn message(damage: impl FnOnce(&Path)) -> String {
    let folder = copy_of("tiny-bert");
    damage(folder.path());
    refusal(folder.path())
}

/// Negative control of the other tests.
#[test]
fn an_undamaged_copy_loads() {
    let folder = copy_of("tiny-bert");
    assert!(Pretrained::load(folder.path(), 0, &cpu()).is_ok());
}

#[test]
fn missing_folders_and_files_are_errors() {
    for path in [fixture("none"), fixture("expected.json")] {
        let message = refusal(&path);
        assert_says(&message, &[path.to_str().unwrap(), "no such model folder"]);
    }
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let message = message(|folder| std::fs::remove_file(folder.join(file)).unwrap());
        assert_says(&message, &[&format!("no {file} in this model folder")]);
    }
    let message = message(|folder| std::fs::remove_file(folder.join("tokenizer.json")).unwrap());
    assert_says(&message, &["transformers", "save_pretrained"]);
}

#[test]
fn folders_of_another_kind_say_what_to_do() {
    let without_config = |name: &str| {
        message(|folder| {
            let config = folder.join("config.json");
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::rename(config, folder.join(name)).unwrap();
        })
    };
    let checkpoints = without_config("checkpoint-500/config.json");
    assert_says(
        &checkpoints,
        &["give its folder \"checkpoint-500\" instead"],
    );
    let several = message(|folder| {
        for name in ["best", "last"] {
            std::fs::create_dir(folder.join(name)).unwrap();
            std::fs::copy(
                folder.join("config.json"),
                folder.join(name).join("config.json"),
            )
            .unwrap();
        }
        std::fs::remove_file(folder.join("config.json")).unwrap();
    });
    assert_says(&several, &["give one of its folders instead, best, last"]);
    let adapter = without_config("adapter_config.json");
    assert_says(&adapter, &["a PEFT adapter", "merge_and_unload"]);
    let tensorflow = message(|folder| {
        std::fs::rename(folder.join("model.safetensors"), folder.join("tf_model.h5")).unwrap();
    });
    assert_says(&tensorflow, &["only TensorFlow's", "from_tf=True"]);
    for (name, parts) in [
        (
            "0_Transformer/config.json",
            &["give its folder \"0_Transformer\""][..],
        ),
        ("bert_config.json", &["bert_config.json: rename it"]),
        ("config.json.incomplete", &["a part of it"]),
        ("model.tar.gz", &["but an archive: unpack it"]),
    ] {
        assert_says(&without_config(name), parts);
    }
    let cache = message(|folder| {
        for name in ["blobs", "snapshots"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::remove_file(folder.join("config.json")).unwrap();
    });
    assert_says(&cache, &["the Hub's cache of a model", "\"snapshots\""]);
}

#[test]
fn folders_with_other_weights_say_what_to_do() {
    let with = |names: &[&str]| {
        message(|folder| {
            std::fs::remove_file(folder.join("model.safetensors")).unwrap();
            for name in names {
                std::fs::write(folder.join(name), "x").unwrap();
            }
        })
    };
    for (names, parts) in [
        (
            &["flax_model.msgpack"][..],
            &["only Flax's", "from_flax=True"][..],
        ),
        (&["tf_model-00001-of-00002.h5"], &["only TensorFlow's"]),
        (
            &["bert_model.ckpt.index", "bert_model.ckpt.meta"],
            &["transformers-cli convert"],
        ),
        (&["model.onnx"], &["only ONNX's"]),
        (
            &["openvino_model.bin", "openvino_model.xml"],
            &["only OpenVINO's"],
        ),
        (
            &["model.ckpt-1000.data-00000-of-00001"],
            &["transformers-cli convert"],
        ),
        (
            &["__0_0.distcp", ".metadata"],
            &["only FSDP's shards", "accelerate merge-weights"],
        ),
        (
            &["latest", "zero_to_fp32.py"],
            &["only DeepSpeed's shards", "zero_to_fp32.py"],
        ),
        (
            &["zero_pp_rank_0_mp_rank_00_model_states.pt"],
            &["only DeepSpeed's shards"],
        ),
        (&["model-q8.gguf"], &["only llama.cpp's"]),
        (&["model.tar.gz"], &["an archive: unpack it"]),
        (
            &["model.safetensors.crdownload"],
            &["no model.safetensors", "a part of it"],
        ),
        (
            &["pytorch_model.bin.incomplete"],
            &["no pytorch_model.bin", "a part of it"],
        ),
        (
            &["adapter_config.json", "adapter_model.safetensors"],
            &["only an adapter", "merge_and_unload"],
        ),
        (
            &[
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
            ],
            &["model-00002-of-00002.safetensors are shards without their index"],
        ),
    ] {
        assert_says(&with(names), parts);
    }
}

#[test]
fn a_tokenizer_in_another_place_is_named() {
    for (name, said) in [
        ("tokenizer/tokenizer.json", "copy the files of "),
        (
            "bert-base-uncased-vocab.txt",
            "but bert-base-uncased-vocab.txt: rename it to vocab.txt",
        ),
        ("tokenizer.json.part", "but a part of it"),
    ] {
        let message = message(|folder| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::rename(folder.join("tokenizer.json"), path).unwrap();
        });
        assert_says(&message, &["no tokenizer.json in this model folder", said]);
    }
    // As MLflow writes it.
    let parent = test_support::temp_dir();
    let [model, tokenizer] = ["model", "components/tokenizer"].map(|name| parent.path().join(name));
    for (file, folder) in [("config.json", &model), ("tokenizer.json", &tokenizer)] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(fixture("tiny-bert").join(file), folder.join(file)).unwrap();
    }
    let said = format!("copy the files of {} into it", tokenizer.display());
    assert_says(&refusal(&model), &[&said]);
}

/// As when a snapshot of the Hub's cache is copied without its blobs.
#[test]
#[cfg(unix)]
fn links_to_files_that_are_not_there_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let message = message(|folder| {
            std::fs::remove_file(folder.join(file)).unwrap();
            std::os::unix::fs::symlink("../../blobs/53aa", folder.join(file)).unwrap();
        });
        let said =
            format!("no {file} in this model folder, but a link to a file that is not there");
        assert_says(&message, &[&said]);
    }
}

/// What stands in place of a parameter tells what the weights are.
#[test]
fn adapters_and_quantized_weights_are_named() {
    const DENSE: &str = "bert.encoder.layer.1.output.dense.weight";
    for (name, parts) in [
        (
            "bert.encoder.layer.1.output.dense.base_layer.weight",
            ["a PEFT adapter", "merge_and_unload"],
        ),
        (
            "bert.encoder.layer.1.output.dense.qweight",
            ["quantized weights", "full-precision"],
        ),
    ] {
        let message = message(|folder| {
            rename_tensor(&folder.join("model.safetensors"), DENSE, name);
        });
        assert_says(&message, &["model.safetensors", DENSE]);
        assert_says(&message, &parts);
    }
}

#[test]
fn files_of_another_kind_are_errors() {
    for (file, text) in [
        ("config.json", ""),
        ("config.json", "{\"model_type\": \"bert\", "),
        ("config.json", "[1, 2]"),
        ("config.json", "{}"),
        (
            "config.json",
            "{\"model_type\": \"bert\", \"vocab_size\": \"many\"}",
        ),
        ("tokenizer.json", "{\"version\": "),
        ("tokenizer.json", "{}"),
        ("model.safetensors", ""),
        (
            "model.safetensors",
            "version https://git-lfs.github.com/spec/v1\noid sha256:53aa51172d14\nsize 90868376\n",
        ),
    ] {
        let message = message(|folder| std::fs::write(folder.join(file), text).unwrap());
        assert_says(&message, &[file]);
    }
}

#[test]
fn what_is_no_configuration_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:53aa\nsize 300\n";
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        for (text, said) in [
            (pointer, "git lfs pull"),
            ("<!DOCTYPE html>", "a web page"),
            ("Entry not found", "a server's message"),
            ("{\"a\": Infinity}", "Python writes NaN and Infinity"),
            ("{\"a\": 1,}", "remove the comma"),
            ("{\"a\": ", "is the download complete?"),
        ] {
            let message = message(|folder| std::fs::write(folder.join(file), text).unwrap());
            assert_says(&message, &[file, said]);
        }
    }
}

#[test]
fn truncated_weights_are_errors() {
    let length = std::fs::metadata(fixture("tiny-bert/model.safetensors"))
        .unwrap()
        .len();
    for kept in [0, 1, 7, 8, 9, 1000, length / 2, length - 4, length - 1] {
        let message = message(|folder| {
            let file = std::fs::File::options()
                .write(true)
                .open(folder.join("model.safetensors"));
            file.unwrap().set_len(kept).unwrap();
        });
        assert_says(&message, &["model.safetensors"]);
    }
}

#[test]
fn a_header_longer_than_the_file_is_an_error() {
    let message = message(|folder| {
        let file = folder.join("model.safetensors");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[..8].fill(0xff);
        std::fs::write(&file, bytes).unwrap();
    });
    assert_says(&message, &["model.safetensors"]);
}

/// Messages have the shapes of the file, `[out, in]` for linear layers.
#[test]
fn a_shape_that_does_not_fit_the_configuration_is_an_error() {
    for (from, to, parts) in [
        (
            "\"intermediate_size\": 20",
            "\"intermediate_size\": 24",
            [
                "encoder.layer.0.intermediate.dense.",
                "[20, 12]",
                "[24, 12]",
            ],
        ),
        (
            "\"vocab_size\": 60",
            "\"vocab_size\": 61",
            ["embeddings.word_embeddings.weight", "[60, 12]", "[61, 12]"],
        ),
        (
            "\"max_position_embeddings\": 40",
            "\"max_position_embeddings\": 512",
            [
                "embeddings.position_embeddings.weight",
                "[40, 12]",
                "[512, 12]",
            ],
        ),
        (
            "\"hidden_size\": 12",
            "\"hidden_size\": 15",
            ["embeddings.word_embeddings.weight", "[60, 12]", "[60, 15]"],
        ),
    ] {
        let message = message(|folder| edit(&folder.join("config.json"), from, to));
        assert_says(&message, &["model.safetensors", "config.json"]);
        assert_says(&message, &parts);
    }
}

#[test]
fn a_missing_encoder_parameter_is_an_error() {
    let missing = "bert.encoder.layer.1.output.dense.bias";
    let renamed = message(|folder| {
        rename_tensor(
            &folder.join("model.safetensors"),
            missing,
            "cls.predictions.bias",
        );
    });
    assert_says(&renamed, &["model.safetensors", missing]);

    let message = message(|folder| {
        edit(
            &folder.join("config.json"),
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
        );
    });
    assert_says(&message, &["model.safetensors", "bert.encoder.layer.2."]);
}

#[test]
fn unsupported_configurations_are_errors() {
    for (from, to, named) in [
        (
            "\"model_type\": \"bert\"",
            "\"model_type\": \"xlnet\"",
            "\"xlnet\"",
        ),
        (
            "\"hidden_act\": \"gelu\"",
            "\"hidden_act\": \"mish\"",
            "\"mish\"",
        ),
        (
            "\"hidden_act\"",
            "\"position_embedding_type\": \"relative_key\", \"hidden_act\"",
            "\"relative_key\"",
        ),
        (
            "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 5",
            "num_attention_heads",
        ),
        ("\"hidden_size\": 12", "\"hidden_size\": -12", "-12"),
    ] {
        let message = message(|folder| edit(&folder.join("config.json"), from, to));
        assert_says(&message, &["config.json", named]);
    }
}

#[test]
fn a_tokenizer_with_too_many_ids_is_an_error() {
    let larger = message(|folder| {
        edit(
            &folder.join("tokenizer.json"),
            "\"?\":59",
            "\"?\":59,\"!\":60",
        );
    });
    assert_says(&larger, &["tokenizer.json", "61", "60"]);
    // As many entries as embeddings, but one id is too large.
    let beyond = message(|folder| edit(&folder.join("tokenizer.json"), "\"?\":59", "\"?\":60"));
    assert_says(&beyond, &["tokenizer.json", "60"]);
}

/// As with transformers, which fails where such a token occurs.
#[test]
fn an_added_token_may_lack_an_embedding_until_it_is_met() {
    let folder = copy_of("tiny-bert");
    edit(
        &folder.path().join("tokenizer.json"),
        "\"added_tokens\":[",
        "\"added_tokens\":[{\"id\":60,\"content\":\"<new>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\
         \"normalized\":false,\"special\":true},",
    );
    let loaded = Pretrained::load(folder.path(), 0, &cpu()).unwrap();
    let tokenizer = loaded.assets.tokenizer;
    let [warning] = tokenizer.warnings() else {
        panic!("{:?}", tokenizer.warnings());
    };
    assert_says(warning, &["60 embeddings", "\"<new>\""]);
    assert!(tokenizer.encode("the cat").is_ok());
    let message = tokenizer.encode("the <new> cat").unwrap_err().to_string();
    assert_says(&message, &["tokenizer.json", "\"<new>\" has the id 60"]);
}

/// 2^20 is the largest value of each size, and allowed for itself.
#[test]
fn a_model_that_does_not_fit_into_memory_is_refused_before_it_is_made() {
    let folder = copy_of("tiny-bert");
    let config = folder.path().join("config.json");
    edit(&config, "\"hidden_size\": 12", "\"hidden_size\": 1048576");
    edit(
        &config,
        "\"num_attention_heads\": 3",
        "\"num_attention_heads\": 64",
    );
    for load in [Pretrained::load, Pretrained::random] {
        let message = load(folder.path(), 0, &cpu()).unwrap_err().to_string();
        assert_says(&message, &["config.json", "parameters", "TiB", "memory"]);
    }
}
