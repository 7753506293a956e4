use std::sync::Arc;

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
use crate::train::engine::{Alone, Engine};

/// Ranks that bring the same, seen from one of them, in any memory.
struct Alike {
    rank: usize,
    world_size: usize,
}

impl Stream for Alike {
    fn put(
        &self,
        collective: Collective,
        mut tensor: tch::Tensor,
    ) -> Result<tch::Tensor, process_group::Error> {
        let own = ShardRange::of(tensor.numel(), self.rank, self.world_size).range;
        let part = |tensor: &tch::Tensor| tensor.narrow(0, own.start as i64, own.len() as i64);
        match collective {
            Collective::AllGather => {
                let own = part(&tensor).copy();
                for mut place in tensor.chunk(self.world_size as i64, 0) {
                    place.copy_(&own);
                }
            }
            Collective::Broadcast { .. } => {}
            Collective::AllReduce | Collective::ReduceScatter => {
                let _ = tensor.g_mul_scalar_(self.world_size as i64);
            }
        }
        Ok(match collective {
            Collective::ReduceScatter => part(&tensor),
            _ => tensor,
        })
    }

    fn synchronize(&self) -> Result<(), process_group::Error> {
        Ok(())
    }
}

fn alike(rank: usize, world_size: usize, compress: bool) -> NcclCollectives<Alike> {
    NcclCollectives {
        stream: Alike { rank, world_size },
        place: (rank, world_size),
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
fn ranks_bring_and_get_their_parts() {
    let last = alike(1, 2, false);
    let whole = on_cpu(&[1.0, 2.0, 3.0, 4.0]);
    // Others that hold the tensor keep what they have.
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
fn compressed_sums_have_the_precision_of_bf16_and_gathered_parts_their_own() {
    let compressed = alike(0, 2, true);
    let fine = || on_cpu(&[1.0, 1.001]);
    // The nearest of bf16 are 1 and 1 + 2^-7.
    assert_eq!(numbers(compressed.start_all_reduce(fine())), [2.0, 2.0]);
    assert_eq!(numbers(compressed.start_reduce_scatter(fine())), [2.0]);
    assert_eq!(
        numbers(compressed.start_all_gather(fine())),
        [1.0, 1.001, 1.0, 1.001]
    );
}

/// All parameters after some steps, and before them.
fn train(mut engine: Box<dyn Engine>) -> [Vec<f32>; 2] {
    let parameters = |engine: &mut Box<dyn Engine>| {
        let mut all = Parameters(Vec::new());
        engine.model(true).unwrap().unwrap().visit(&mut all);
        all.0
    };
    let before = parameters(&mut engine);
    for _ in 0..3 {
        engine.backward(&batch(), None, true).unwrap();
        let norm = engine.reduce().unwrap();
        engine.step(norm, 3, 1e-3).unwrap();
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

/// The engines' steps with these collectives are those of a process alone; `limits` are for sums in `f32`
/// and in `bf16`.
fn one_rank_steps_as_if_alone(
    device: &Device,
    limits: [f32; 2],
    collectives: impl Fn(bool) -> Arc<dyn TensorCollectives>,
) {
    // An epsilon that keeps rounding from becoming a step.
    let config = TrainConfig {
        adam_epsilon: 1e-4,
        ..TrainConfig::default()
    };
    let device = device.clone().autodiff();
    let (model, optimizer) = (|| model(&device), || Optimizer::new(&config));
    let alone = || Alone::new(model(), optimizer(), device.clone());
    let [expected, before] = train(Box::new(alone()));
    assert!(difference(&expected, &before) > 10.0 * limits[1]);
    for (compress, limit) in [false, true].into_iter().zip(limits) {
        let sharded = |sharding| {
            let group = Arc::new(SingleProcess);
            let collectives = collectives(compress);
            FsdpEngine::new(
                model(),
                optimizer(),
                device.clone(),
                sharding,
                group,
                collectives,
            )
        };
        let engines: [(&str, Box<dyn Engine>); 3] = [
            (
                "ddp",
                Box::new(DdpEngine::new(alone(), 4e4, collectives(compress))),
            ),
            ("full", Box::new(sharded(ShardingStrategy::FullShard))),
            ("grad_op", Box::new(sharded(ShardingStrategy::ShardGradOp))),
        ];
        for (name, engine) in engines {
            let error = difference(&train(engine)[0], &expected);
            assert!(error < limit, "{name}, compress = {compress}: {error}");
        }
    }
}

#[test]
fn engines_on_libtorchs_tensors_in_host_memory() {
    let (_, device) = device("libtorch").unwrap();
    one_rank_steps_as_if_alone(&device, [1e-6, 1e-4], |compress| {
        Arc::new(alike(0, 1, compress))
    });
}

/// One GPU is one rank: what NCCL does between several is not seen here.
#[test]
fn engines_through_nccl_on_a_gpu() {
    let device = match device("cuda:0") {
        Ok((_, device)) => device,
        Err(error) => {
            let promised = std::env::var_os("SQUAD_BURN_GPU").is_some();
            assert!(!promised, "SQUAD_BURN_GPU is set: {error}");
            eprintln!("SKIPPED: no GPU: {error}");
            return;
        }
    };
    one_rank_steps_as_if_alone(&device, [1e-5, 1e-4], |compress| {
        let group = NcclGroup::connect(Arc::new(SingleProcess), 0, Timeouts::default()).unwrap();
        Arc::new(NcclCollectives::new(group, compress))
    });
}
