//! The devices of a build and computer, and the errors for missing ones.

use serde_json::Value;

use crate::support::Sandbox;

fn names(list: &Value) -> Vec<&str> {
    let devices = list.as_array().unwrap().iter();
    devices
        .map(|device| device["name"].as_str().unwrap())
        .collect()
}

/// Whether this test was built for a device, GPUs left out.
const COMPILED: [(&str, bool); 3] = [
    ("libtorch", cfg!(feature = "libtorch")),
    ("flex", cfg!(feature = "flex")),
    ("ndarray", cfg!(feature = "cpu")),
];

#[test]
fn devices_are_listed_best_first_and_missing_ones_with_the_reason() {
    let sandbox = Sandbox::new();
    let listed = sandbox.command(&["devices", "--json"]).json();
    let present = names(&listed["devices"]);
    let gpus = present
        .iter()
        .take_while(|name| name.starts_with("cuda:"))
        .count();
    let compiled = COMPILED.iter().filter(|(_, compiled)| *compiled);
    let compiled: Vec<_> = compiled.map(|(name, _)| *name).collect();
    assert_eq!(present[gpus..], compiled);
    let absent = names(&listed["absent"]);
    let not_compiled = COMPILED.iter().filter(|(_, compiled)| !compiled);
    assert!(
        not_compiled.clone().all(|(name, _)| absent.contains(name)),
        "{listed}"
    );
    assert_eq!(absent.contains(&"cuda"), gpus == 0, "{listed}");
    assert_eq!(absent.len(), not_compiled.count() + usize::from(gpus == 0));
    for device in listed["absent"].as_array().unwrap() {
        assert!(
            device["description"].as_str().unwrap().len() > 10,
            "{listed}"
        );
    }
    let plain = sandbox.command(&["devices"]);
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert!(plain.stdout.starts_with(present[0]), "{plain:?}");
    assert_eq!(
        plain.stdout.matches("not present: ").count(),
        absent.len(),
        "{plain:?}"
    );
}

/// Missing devices, given to each command that takes a device.
#[test]
fn a_missing_device_is_one_line_and_exit_2() {
    let sandbox = Sandbox::new();
    let mut missing = vec!["cuda", "cuda:x", "cuda:99", "gpu", "libtorch:0", ""];
    let listed = sandbox.command(&["devices", "--json"]).json();
    let absent: Vec<_> = names(&listed["absent"]);
    if absent.contains(&"cuda") {
        missing.push("cuda:0");
    }
    missing.extend(absent.iter().filter(|name| **name != "cuda"));
    let there_is = format!("there is: {}", names(&listed["devices"]).join(", "));
    for name in missing {
        let device = format!("--device={name}");
        let mut expected = vec![format!("device {name}"), there_is.clone()];
        for device in listed["absent"].as_array().unwrap() {
            if name.split(':').next() == device["name"].as_str() {
                expected.push(device["description"].as_str().unwrap().to_owned());
            }
        }
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        let train = ["--config=config.toml", "--run-dir=run", &device];
        sandbox.command(&train).mistake(&expected);
        assert!(!sandbox.path("run").exists());
        let evaluate = ["evaluate", "--model=encoder", "--dataset=dev.json", &device];
        sandbox.command(&evaluate).mistake(&expected);
        let predict = [
            "predict",
            "--model=encoder",
            "--question=q",
            "--context=c",
            &device,
        ];
        sandbox.command(&predict).mistake(&expected);
    }
}

/// The devices of this build that are there do their work in each command.
#[test]
fn every_device_present_can_be_used() {
    let sandbox = Sandbox::new();
    for info in trainer::devices() {
        let device = format!("--device={}", info.name);
        let run = format!("--run-dir=run-{}", info.name);
        let train = [
            "--config=config.toml",
            &run,
            "train.max_steps=1",
            "eval.max_eval_samples=1",
            &device,
        ];
        let finished = sandbox.command(&train);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(
            finished.stderr.contains(&format!("on {}\n", info.name)),
            "{finished:?}"
        );
        let metrics = sandbox.json(&format!("run-{}/metrics.json", info.name));
        assert_eq!(metrics["device"], info.name);
        let model = format!("--model=run-{}/model", info.name);
        let evaluate = ["evaluate", &model, "--dataset=dev.json", "--json", &device];
        assert!(sandbox.command(&evaluate).json()["f1"].is_number());
    }
}
