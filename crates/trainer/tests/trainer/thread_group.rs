//! Ranks that are threads of this process: the same traits as MPI's, sums in the order of ranks.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use process_group::{Collective, Collectives, Error, Pending, ProcessGroup, ShardRange};

/// One rank's view of the group. Dropped, the rank has finished.
pub(crate) struct ThreadGroup {
    rank: usize,
    world_size: usize,
    /// Whether what it gets from an all-reduce is wrong.
    is_faulty: bool,
    /// Collectives begun by this rank.
    begun: Mutex<usize>,
    meeting: Arc<Meeting>,
}

#[derive(Default)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What each rank has brought to a collective, by its number.
    brought: HashMap<usize, HashMap<usize, (Kind, Vec<u8>)>>,
    /// Ranks that have taken the result.
    taken: HashMap<usize, usize>,
    left: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Numbers(Collective, usize),
    Bytes,
}

impl ThreadGroup {
    /// All ranks of a group.
    pub(crate) fn of(world_size: usize) -> Vec<Arc<dyn ProcessGroup>> {
        Self::with_fault(world_size, None)
    }

    /// All ranks of a group, of which one gets other sums than the others do.
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
                begun: Mutex::new(0),
                meeting: Arc::clone(&meeting),
            })
        };
        (0..world_size).map(rank).collect()
    }

    /// Brings something to the next collective; gives its number.
    fn bring(&self, kind: Kind, bytes: Vec<u8>) -> usize {
        let mut begun = self.begun.lock().unwrap();
        *begun += 1;
        let mut state = self.meeting.state.lock().unwrap();
        let all = state.brought.entry(*begun).or_default();
        all.insert(self.rank, (kind, bytes));
        self.meeting.changed.notify_all();
        *begun
    }
}

impl Meeting {
    /// Waits until all have brought something, and gives it in the order of ranks.
    fn all(
        &self,
        (number, kind): (usize, Kind),
        (rank, world_size): (usize, usize),
    ) -> Result<Vec<Vec<u8>>, Error> {
        let operation = format!("collective {number}, {kind:?}");
        let mut state = self.state.lock().unwrap();
        while state.brought[&number].len() < world_size {
            if let Some(left) = state
                .left
                .iter()
                .find(|left| !state.brought[&number].contains_key(left))
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
        let brought = &state.brought[&number];
        if let Some((other, (theirs, _))) = brought.iter().find(|(_, (theirs, _))| *theirs != kind)
        {
            return Err(Error::Mismatch {
                here: rank,
                operation,
                rank: *other,
                host: "thread".into(),
                other: format!("{theirs:?}"),
            });
        }
        let all = (0..world_size)
            .map(|rank| brought[&rank].1.clone())
            .collect();
        let taken = state.taken.entry(number).or_default();
        *taken += 1;
        if *taken == world_size {
            state.brought.remove(&number);
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

fn numbers(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks();
    numbers
        .iter()
        .map(|number| f32::from_le_bytes(*number))
        .collect()
}

fn combine(collective: Collective, all: &[Vec<u8>], rank: usize) -> Vec<f32> {
    let world_size = all.len();
    let all: Vec<Vec<f32>> = all.iter().map(|bytes| numbers(bytes)).collect();
    let part = |rank| ShardRange::of(all[0].len(), rank, world_size).range;
    let sum = |range: std::ops::Range<usize>| -> Vec<f32> {
        range
            .map(|index| all.iter().map(|buffer| buffer[index]).sum())
            .collect()
    };
    match collective {
        Collective::AllReduce => sum(0..all[0].len()),
        Collective::Broadcast { root } => all[root].clone(),
        Collective::AllGather => (0..world_size)
            .flat_map(|rank| all[rank][part(rank)].to_vec())
            .collect(),
        Collective::ReduceScatter => sum(part(rank)),
    }
}

impl Collectives<Vec<f32>> for ThreadGroup {
    fn start(&self, collective: Collective, buffer: Vec<f32>) -> Pending<Vec<f32>> {
        let kind = Kind::Numbers(collective, buffer.len());
        let bytes = buffer
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let number = self.bring(kind, bytes);
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
        let number = self.bring(Kind::Bytes, mine);
        self.meeting
            .all((number, Kind::Bytes), (self.rank, self.world_size))
    }

    fn health(&self) -> Result<(), Error> {
        Ok(())
    }

    fn abort(&self, exit_code: i32) -> ! {
        panic!("rank {} aborts with {exit_code}", self.rank)
    }
}
