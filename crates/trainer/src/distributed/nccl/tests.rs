use std::sync::{Arc, Mutex};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Device;
use process_group::{SingleProcess, Timeouts};

use super::super::ddp::DdpEngine;
use super::super::fsdp::FsdpEngine;
use super::super::layerwise::tests::{batch, model};
use super::*;
use crate::config::{ShardingStrategy, TrainConfig};
use crate::device::device;
use crate::optim::adamw::Optimizer;
use crate::optim::gradients::{StepScale, gradient_scale};
use crate::train::engine::{Engine, SingleProcessEngine};

/// A group whose ranks all bring the same tensors, in any memory.
struct EqualRanks {
    rank: usize,
    world_size: usize,
    /// What the host called, in order.
    log: Log,
}

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

impl Stream for EqualRanks {
    fn enqueue(
        &self,
        collective: Collective,
        mut tensor: tch::Tensor,
    ) -> Result<Join, process_group::Error> {
        self.log.lock().unwrap().push(format!("start {collective}"));
        let own = ShardRange::of(tensor.numel(), self.rank, self.world_size).range;
        let shard = |tensor: &tch::Tensor| tensor.narrow(0, own.start as i64, own.len() as i64);
        match collective {
            Collective::AllGather => {
                let own = shard(&tensor).copy();
                for mut place in tensor.chunk(self.world_size as i64, 0) {
                    place.copy_(&own);
                }
            }
            Collective::Broadcast { .. } => {}
            Collective::AllReduce | Collective::ReduceScatter => {
                let _ = tensor.g_mul_scalar_(self.world_size as i64);
            }
        }
        let result = match collective {
            Collective::ReduceScatter => shard(&tensor),
            _ => tensor,
        };
        let log = Arc::clone(&self.log);
        Ok(Box::new(move || {
            log.lock().unwrap().push(format!("join {collective}"));
            Ok(result)
        }))
    }

    fn synchronize(&self) -> Result<(), process_group::Error> {
        self.log.lock().unwrap().push("synchronize".into());
        Ok(())
    }
}

fn equal_ranks(rank: usize, world_size: usize, compress: bool) -> NcclCollectives<EqualRanks> {
    NcclCollectives {
        stream: EqualRanks {
            rank,
            world_size,
            log: Log::default(),
        },
        rank,
        world_size,
        compress,
    }
}

fn on_cpu(numbers: &[f32]) -> Tensor<1> {
    Tensor::from_floats(numbers, &device("libtorch").unwrap().1)
}

fn numbers(tensor: Result<PendingTensor, Error>) -> Vec<f32> {
    let tensor = tensor.unwrap().wait().unwrap();
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn collectives_combine_the_tensors_of_all_ranks() {
    let last = equal_ranks(1, 2, false);
    let whole = on_cpu(&[1.0, 2.0, 3.0, 4.0]);
    // Other owners of the tensor keep its values.
    assert_eq!(
        numbers(last.start_all_reduce(whole.clone())),
        [2.0, 4.0, 6.0, 8.0]
    );
    assert_eq!(
        numbers(last.start_reduce_scatter(whole.clone())),
        [6.0, 8.0]
    );
    assert_eq!(
        numbers(last.start_all_gather(whole.clone().narrow(0, 1, 2))),
        [2.0, 3.0, 2.0, 3.0]
    );
    assert_eq!(
        whole.into_data().to_vec::<f32>().unwrap(),
        [1.0, 2.0, 3.0, 4.0]
    );
}

#[test]
fn compression_rounds_sums_to_bf16_and_leaves_gathered_shards_as_they_are() {
    let compressed = equal_ranks(0, 2, true);
    let fine = || on_cpu(&[1.0, 1.001]);
    // The next bf16 after 1 is 1 + 2^-7.
    assert_eq!(numbers(compressed.start_all_reduce(fine())), [2.0, 2.0]);
    assert_eq!(numbers(compressed.start_reduce_scatter(fine())), [2.0]);
    assert_eq!(
        numbers(compressed.start_all_gather(fine())),
        [1.0, 1.001, 1.0, 1.001]
    );
}

/// All parameters after three steps, and before them.
fn train(mut engine: Box<dyn Engine>) -> [Vec<f32>; 2] {
    let parameters = |engine: &mut Box<dyn Engine>| {
        let mut all = Parameters(Vec::new());
        engine.model(true).unwrap().unwrap().visit(&mut all);
        all.0
    };
    let before = parameters(&mut engine);
    for _ in 0..3 {
        engine.backward(&batch(), None, true).unwrap();
        let norm = engine.reduce().unwrap().to_host();
        let max_grad_norm = TrainConfig::default().max_grad_norm;
        let scale = gradient_scale(norm, 3, max_grad_norm);
        engine.step(StepScale::Host(scale), 1e-3).unwrap();
    }
    [parameters(&mut engine), before]
}

struct Parameters(Vec<f32>);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.val().into_data().iter::<f32>());
    }
}

fn difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let pairs = left.iter().zip(right);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// With these collectives, the engines of one rank make the steps of a single process. `tolerances` are for sums in `f32`
/// and in `bf16`.
fn engines_equal_a_single_process(
    device: &Device,
    tolerances: [f32; 2],
    collectives: impl Fn(bool) -> Arc<dyn TensorCollectives>,
) {
    // With AdamW's usual epsilon, rounding in a gradient near zero moves its parameter by the learning rate.
    let config = TrainConfig {
        adam_epsilon: 1e-4,
        ..TrainConfig::default()
    };
    let device = device.clone().autodiff();
    let alone = || {
        let model = model("tiny-bert", &device);
        let optimizer = Optimizer::new(&config, &model);
        SingleProcessEngine::new(model, optimizer, device.clone())
    };
    let [expected, before] = train(Box::new(alone()));
    assert!(difference(&expected, &before) > 10.0 * tolerances[1]);
    for (compress, tolerance) in [false, true].into_iter().zip(tolerances) {
        let sharded = |sharding| {
            let group = Arc::new(SingleProcess);
            FsdpEngine::new(alone(), sharding, group, collectives(compress))
        };
        let engines: [(&str, Box<dyn Engine>); 3] = [
            (
                "ddp",
                Box::new(DdpEngine::new(alone(), 4e4, collectives(compress))),
            ),
            ("full_shard", Box::new(sharded(ShardingStrategy::FullShard))),
            (
                "shard_grad_op",
                Box::new(sharded(ShardingStrategy::ShardGradOp)),
            ),
        ];
        for (name, engine) in engines {
            let error = difference(&train(engine)[0], &expected);
            assert!(error < tolerance, "{name}, compress = {compress}: {error}");
        }
    }
}

#[test]
fn engines_equal_a_single_process_on_the_cpu() {
    let (_, device) = device("libtorch").unwrap();
    engines_equal_a_single_process(&device, [1e-6, 1e-4], |compress| {
        Arc::new(equal_ranks(0, 1, compress))
    });
}

/// A model and its optimizer, and the collectives of one rank with their log.
fn logged() -> (SingleProcessEngine, Arc<dyn TensorCollectives>, Log) {
    let device = device("libtorch").unwrap().1.autodiff();
    let model = model("tiny-bert", &device);
    let optimizer = Optimizer::new(&TrainConfig::default(), &model);
    let collectives = equal_ranks(0, 1, false);
    let log = Arc::clone(&collectives.stream.log);
    let engine = SingleProcessEngine::new(model, optimizer, device);
    (engine, Arc::new(collectives), log)
}

#[test]
fn ddp_starts_its_buckets_in_the_backward_pass_and_joins_them_after_it() {
    let (local, collectives, log) = logged();
    let mut engine = DdpEngine::new(local, 2e3, collectives);
    engine.backward(&batch(), None, false).unwrap();
    assert!(take(&log).is_empty(), "not in the last micro-batch");
    engine.backward(&batch(), None, true).unwrap();
    let started = take(&log);
    assert!(started.len() > 3, "{started:?}");
    assert!(started.iter().all(|call| call == "start all-reduce"));
    engine.reduce().unwrap();
    let mut joined = take(&log);
    assert_eq!(joined.pop().as_deref(), Some("synchronize"));
    assert_eq!(joined, vec!["join all-reduce"; started.len()]);
}

#[test]
fn ddp_starts_a_bucket_as_soon_as_its_stage_is_done() {
    let (local, collectives, log) = logged();
    let mut engine = DdpEngine::new(local, 1.0, collectives);
    // The head is stage 3, and has a weight and a bias.
    for (stage, started) in [(3, 2), (2, 16), (1, 16), (0, 5)] {
        engine.start_buckets(stage).unwrap();
        assert_eq!(take(&log).len(), started, "stage {stage}");
    }
}

/// One unit is gathered and one reduced while another is computed. The computation stands between `start` and the next
/// `join`.
#[test]
fn fsdp_gathers_the_next_unit_and_reduces_the_last_while_one_is_computed() {
    let (local, collectives, log) = logged();
    let full_shard = ShardingStrategy::FullShard;
    let mut engine = FsdpEngine::new(local, full_shard, Arc::new(SingleProcess), collectives);
    engine.backward(&batch(), None, true).unwrap();
    let forward = ["join all-gather", "start all-gather"].repeat(3);
    let head = [
        "join all-gather",
        "start all-gather",
        "start reduce-scatter",
    ];
    let layer = [
        "join all-gather",
        "start all-gather",
        "join reduce-scatter",
        "start reduce-scatter",
    ];
    let embeddings = [
        "join all-gather",
        "join reduce-scatter",
        "start reduce-scatter",
        "join reduce-scatter",
    ];
    let expected: [&[&str]; 6] = [
        &["start all-gather"],
        &*forward,
        &head,
        &layer,
        &layer,
        &embeddings,
    ];
    assert_eq!(take(&log), expected.concat());
}

/// One GPU allows one rank: NCCL between several ranks is not tested here.
#[test]
#[ignore = "needs a GPU: runs NCCL on it"]
fn engines_equal_a_single_process_on_a_gpu() {
    let (_, device) = device("cuda:0").expect("a GPU");
    engines_equal_a_single_process(&device, [1e-5, 1e-4], |compress| {
        let group = NcclGroup::connect(Arc::new(SingleProcess), 0, Timeouts::default()).unwrap();
        Arc::new(NcclCollectives::new(group, compress))
    });
}
