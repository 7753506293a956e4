//! A process group whose ranks are threads of this process. Sums are in the order of ranks.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use process_group::{Collective, Collectives, Error, Pending, ProcessGroup, ShardRange};

use crate::support::floats;

/// One rank of the group. Dropping it means that the rank has finished.
pub(crate) struct ThreadGroup {
    rank: usize,
    world_size: usize,
    /// Whether its all-reduces give a wrong sum.
    is_faulty: bool,
    /// Collectives that this rank has started.
    started: Mutex<usize>,
    meeting: Arc<Meeting>,
}

#[derive(Default)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The inputs of each rank, by number of the collective and by rank.
    inputs: HashMap<usize, HashMap<usize, (Operation, Vec<u8>)>>,
    /// How many ranks have taken the result, by number of the collective.
    taken: HashMap<usize, usize>,
    left: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Numbers(Collective, usize),
    Bytes,
}

impl ThreadGroup {
    /// All ranks of a group.
    pub(crate) fn of(world_size: usize) -> Vec<Arc<dyn ProcessGroup>> {
        Self::with_fault(world_size, None)
    }

    /// All ranks of a group, of which one may get wrong sums.
    pub(crate) fn with_fault(
        world_size: usize,
        faulty: Option<usize>,
    ) -> Vec<Arc<dyn ProcessGroup>> {
        let meeting = Arc::new(Meeting::default());
        let rank = |rank| -> Arc<dyn ProcessGroup> {
            Arc::new(Self {
                rank,
                world_size,
                is_faulty: faulty == Some(rank),
                started: Mutex::new(0),
                meeting: Arc::clone(&meeting),
            })
        };
        (0..world_size).map(rank).collect()
    }

    /// Adds this rank's input to its next collective. Returns the number of the collective.
    fn contribute(&self, kind: Operation, bytes: Vec<u8>) -> usize {
        let mut started = self.started.lock().unwrap();
        *started += 1;
        let mut state = self.meeting.state.lock().unwrap();
        let all = state.inputs.entry(*started).or_default();
        all.insert(self.rank, (kind, bytes));
        self.meeting.changed.notify_all();
        *started
    }
}

impl Meeting {
    /// Waits for the inputs of all ranks, and returns them in the order of ranks.
    fn all(
        &self,
        (number, kind): (usize, Operation),
        (rank, world_size): (usize, usize),
    ) -> Result<Vec<Vec<u8>>, Error> {
        let operation = format!("collective {number}, {kind:?}");
        let mut state = self.state.lock().unwrap();
        while state.inputs[&number].len() < world_size {
            if let Some(left) = state
                .left
                .iter()
                .find(|left| !state.inputs[&number].contains_key(left))
            {
                let (rank, here) = (*left, rank);
                let host = "thread".into();
                return Err(Error::PeerExited {
                    rank,
                    host,
                    operation,
                    here,
                });
            }
            let (next, timeout) = self
                .changed
                .wait_timeout(state, Duration::from_secs(60))
                .unwrap();
            state = next;
            assert!(
                !timeout.timed_out(),
                "rank {rank} waits at {operation} for a minute"
            );
        }
        let inputs = &state.inputs[&number];
        if let Some((other, (theirs, _))) = inputs.iter().find(|(_, (theirs, _))| *theirs != kind) {
            return Err(Error::Mismatch {
                here: rank,
                operation,
                rank: *other,
                host: "thread".into(),
                other: format!("{theirs:?}"),
            });
        }
        let all = (0..world_size)
            .map(|rank| inputs[&rank].1.clone())
            .collect();
        let taken = state.taken.entry(number).or_default();
        *taken += 1;
        if *taken == world_size {
            state.inputs.remove(&number);
            state.taken.remove(&number);
        }
        Ok(all)
    }
}

impl Drop for ThreadGroup {
    fn drop(&mut self) {
        if let Ok(mut state) = self.meeting.state.lock() {
            state.left.push(self.rank);
        }
        self.meeting.changed.notify_all();
    }
}

fn combine(collective: Collective, all: &[Vec<u8>], rank: usize) -> Vec<f32> {
    let world_size = all.len();
    let all: Vec<Vec<f32>> = all.iter().map(|bytes| floats(bytes)).collect();
    let shard = |rank| ShardRange::of(all[0].len(), rank, world_size).range;
    let sum = |range: std::ops::Range<usize>| -> Vec<f32> {
        range
            .map(|index| all.iter().map(|buffer| buffer[index]).sum())
            .collect()
    };
    match collective {
        Collective::AllReduce => sum(0..all[0].len()),
        Collective::Broadcast { root } => all[root].clone(),
        Collective::AllGather => (0..world_size)
            .flat_map(|rank| all[rank][shard(rank)].to_vec())
            .collect(),
        Collective::ReduceScatter => sum(shard(rank)),
    }
}

impl Collectives<Vec<f32>> for ThreadGroup {
    fn start(&self, collective: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
        let kind = Operation::Numbers(collective, buffer.len());
        let bytes = buffer
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let number = self.contribute(kind, bytes);
        let (rank, world_size) = (self.rank, self.world_size);
        let is_wrong = self.is_faulty && collective == Collective::AllReduce;
        let meeting = Arc::clone(&self.meeting);
        Pending::new(move || {
            let all = meeting.all((number, kind), (rank, world_size))?;
            let mut result = combine(collective, &all, rank);
            if is_wrong {
                result[0] += 0.5;
            }
            Ok(result)
        })
    }
}

impl ProcessGroup for ThreadGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.world_size
    }

    fn local_rank(&self) -> usize {
        self.rank
    }

    fn barrier(&self) -> Result<(), Error> {
        self.all_gather_bytes(Vec::new()).map(drop)
    }

    fn all_gather_bytes(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>, Error> {
        let number = self.contribute(Operation::Bytes, mine);
        self.meeting
            .all((number, Operation::Bytes), (self.rank, self.world_size))
    }

    fn health(&self) -> Result<(), Error> {
        Ok(())
    }

    fn abort(&self, exit_code: i32) -> ! {
        panic!("rank {} aborts with {exit_code}", self.rank)
    }
}
