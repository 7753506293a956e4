//! Runs an operation as often as it is asked to and tells how long that took: the part of `cargo xtask bench ops` that
//! needs Burn. A line of standard input is `DEVICE fused|reference OPERATION minilm|bert-base forward|training ITERATIONS`,
//! the answer nanoseconds. Started with `serve`; else (by `cargo bench`) it does nothing.
#![allow(deprecated)] // Burn marks both backends as superseded; they are what is timed here.

mod cases;

use std::io::{BufRead, Write};
use std::time::Instant;

use burn::tensor::Device;
use cases::{Form, Request};

fn main() {
    if std::env::args().nth(1).as_deref() != Some("serve") {
        eprintln!("stopwatch: see cargo xtask bench ops");
        return;
    }
    let threads = std::env::var("THREADS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(8 << 20);
    pool.build().expect("threads").install(serve);
}

fn serve() {
    let mut out = std::io::stdout();
    let names: Vec<_> = devices().into_iter().map(|(name, _)| name).collect();
    writeln!(out, "{}", names.join(" ")).expect("standard output");
    let mut current: Option<(String, Box<dyn FnMut()>)> = None;
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input");
        let (wanted, iterations) = line.rsplit_once(' ').expect("a request");
        if current.as_ref().is_none_or(|(name, _)| name != wanted) {
            drop(current.take()); // Its tensors go first.
            current = Some((wanted.to_owned(), case(wanted)));
        }
        let (_, run) = current.as_mut().expect("a case");
        let iterations: u64 = iterations.parse().expect("a number of iterations");
        let started = Instant::now();
        for _ in 0..iterations {
            run();
        }
        writeln!(out, "{}", started.elapsed().as_nanos()).expect("standard output");
    }
}

fn case(wanted: &str) -> Box<dyn FnMut()> {
    let words: Vec<_> = wanted.split(' ').collect();
    let [name, form, operation, width, pass] = words[..] else {
        panic!("not a request: {wanted}");
    };
    let device = devices().into_iter().find(|(known, _)| *known == name);
    let (_, device) = device.unwrap_or_else(|| panic!("no device {name}"));
    let form = if form == "fused" {
        Form::Fused
    } else {
        Form::Reference
    };
    divide_threads(form);
    let training = pass == "training";
    Request {
        device,
        form,
        width,
        training,
    }
    .case(operation)
}

fn devices() -> Vec<(&'static str, Device)> {
    vec![
        #[cfg(feature = "ndarray")]
        ("ndarray", Device::ndarray()),
        #[cfg(feature = "tch")]
        ("libtorch", Device::libtorch()),
    ]
}

/// Our kernels divide work among rayon's threads, as in a training run; libtorch's own operations among its own.
fn divide_threads(form: Form) {
    #[cfg(feature = "tch")]
    tch::set_num_threads(match form {
        Form::Fused => 1,
        Form::Reference => rayon::current_num_threads() as i32,
    });
    let _ = form;
}
