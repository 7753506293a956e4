//! The progress thread: the only thread that calls MPI.
//!
//! MPI makes progress only while it is called. Because a thread of its own calls it, collectives go on while the program
//! computes, and a rank that computes for minutes still sends heartbeats. Because only one thread calls MPI, MPI needs
//! no locks (`MPI_THREAD_FUNNELED`). Heartbeats use MPI too: sockets of our own could work where MPI does not.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::control::{Control, Readiness};
use super::descriptor::Descriptor;
use super::ffi;
use super::task::{Command, InFlight, Task};
use crate::error::{join_ranks, print_error};
use crate::{Error, Timeouts};

/// The longest sleep while there is nothing to do.
const IDLE: Duration = Duration::from_millis(20);
/// How long the thread polls for missing ranks before it starts to sleep between polls, and how long it sleeps then.
const SPIN: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(100);

/// The rank of this process and the hosts of all ranks.
pub(super) struct Topology {
    pub(super) rank: usize,
    pub(super) local_rank: usize,
    /// One for each rank.
    pub(super) hosts: Vec<String>,
}

impl Topology {
    /// Asks MPI. `local_rank` comes from the communicator of the processes that share memory: that is right under every
    /// launcher, while the launchers' variables have different names and may be inherited from another launch.
    fn find(world: &SimpleCommunicator) -> Self {
        /// Longer names are cut.
        const HOST: usize = 64;
        let index = |number| usize::try_from(number).unwrap_or(0);
        let local_rank = index(world.split_shared(world.rank()).rank());
        let name = mpi::environment::processor_name().unwrap_or_default();
        let mut mine = [0_u8; HOST];
        let len = name.len().min(HOST);
        mine[..len].copy_from_slice(&name.as_bytes()[..len]);
        let mut all = vec![0_u8; HOST * index(world.size())];
        world.all_gather_into(&mine[..], &mut all[..]);
        let hosts = all.chunks(HOST).map(|host| {
            let host = String::from_utf8_lossy(host);
            host.trim_end_matches('\0').to_owned()
        });
        Self {
            rank: index(world.rank()),
            local_rank,
            hosts: hosts.collect(),
        }
    }

    /// `rank 3 (node7) has`.
    fn names(&self, ranks: &[usize]) -> String {
        let with_host = |rank: &usize| format!("{rank} ({})", self.hosts[*rank]);
        let ranks: Vec<_> = ranks.iter().map(with_host).collect();
        join_ranks(&ranks, "has", "have")
    }
}

/// What the progress thread shows to the other threads.
#[derive(Default)]
pub(super) struct Health {
    /// The error that ended the group.
    error: Mutex<Option<Error>>,
    /// Increases while the thread runs; stands still while the thread is inside a call of MPI.
    rounds: AtomicU64,
}

impl Health {
    pub(super) fn get(&self) -> Result<(), Error> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().map_or(Ok(()), Err)
    }

    /// Keeps the first error.
    pub(super) fn fail(&self, error: Error) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    fn count_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// A clock that stops while this process is stopped or the machine is suspended: heartbeats that did not arrive in that
/// time are not the fault of other ranks.
struct Clock {
    last: Instant,
    now: Duration,
}

impl Clock {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            now: Duration::ZERO,
        }
    }

    /// The time since the clock was made. Must be called at least once a second.
    fn tick(&mut self) -> Duration {
        /// A thread that polls is away for longer only if it was stopped.
        const LONGEST_STEP: Duration = Duration::from_secs(1);
        let now = Instant::now();
        self.now += (now - self.last).min(LONGEST_STEP);
        self.last = now;
        self.now
    }
}

/// Initialises MPI, sends the topology to `ready` and executes commands until the group is dropped.
pub(super) fn serve(
    timeouts: Timeouts,
    health: Arc<Health>,
    ready: &Sender<Result<Arc<Topology>, Error>>,
    commands: &Receiver<Command>,
) {
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
        let message = "MPI was already initialised in this process".into();
        let _ = ready.send(Err(Error::Launch(message)));
        return;
    };
    if threading < Threading::Funneled {
        let message = "this MPI library does not support programs with threads".into();
        let _ = ready.send(Err(Error::Launch(message)));
        return std::mem::forget(universe);
    }
    let world = universe.world();
    let topology = Arc::new(Topology::find(&world));
    let mut progress = match ProgressThread::new(world, Arc::clone(&topology), timeouts, health) {
        Ok(progress) => progress,
        Err(error) => {
            let _ = ready.send(Err(error));
            return std::mem::forget(universe);
        }
    };
    let rank = topology.rank;
    let _ = ready.send(Ok(topology));
    // Unwinding must not drop the communicators: freeing them and MPI_Finalize wait for all ranks.
    let end = catch_unwind(AssertUnwindSafe(|| progress.run(commands)));
    match end {
        Ok(Ok(End::AllLeft)) => {}
        Ok(Ok(End::Failed)) => {
            // Operations are still in flight, and MPI_Finalize would wait for lost ranks.
            std::mem::forget((progress, universe));
        }
        Ok(Err(error)) => progress.abort(rank, &error.to_string()),
        Err(_) => progress.abort(rank, "the communication thread has panicked"),
    }
}

pub(super) struct ProgressThread {
    world: SimpleCommunicator,
    /// For the collectives themselves.
    data: SimpleCommunicator,
    control: Control,
    topology: Arc<Topology>,
    timeouts: Timeouts,
    health: Arc<Health>,
    clock: Clock,
    now: Duration,
    /// Announced but not begun, because a rank is missing. All ranks begin them in this order.
    waiting: VecDeque<Announced<Task>>,
    in_flight: Vec<Announced<InFlight>>,
    /// Collectives so far.
    count: u64,
    /// The program has dropped the group, so nobody receives errors any more.
    is_closing: bool,
}

struct Announced<T> {
    work: T,
    descriptor: Descriptor,
    number: u64,
    since: Duration,
}

/// How the thread has ended, other than by an error that only it knows.
enum End {
    /// All ranks have left, so MPI can be finalised.
    AllLeft,
    /// By an error that the program knows.
    Failed,
}

impl ProgressThread {
    fn new(
        world: SimpleCommunicator,
        topology: Arc<Topology>,
        timeouts: Timeouts,
        health: Arc<Health>,
    ) -> Result<Self, Error> {
        let [data, control] = [world.duplicate(), world.duplicate()];
        ffi::return_errors(&data)?;
        ffi::return_errors(&control)?;
        let beat_every = (timeouts.heartbeat / 10).min(Duration::from_secs(1));
        Ok(Self {
            control: Control::new(control, topology.rank, topology.hosts.len(), beat_every)?,
            world,
            data,
            topology,
            timeouts,
            health,
            clock: Clock::new(),
            now: Duration::ZERO,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            count: 0,
            is_closing: false,
        })
    }

    /// Executes commands until the group is dropped.
    ///
    /// # Errors
    /// An error after the program has dropped the group.
    fn run(&mut self, commands: &Receiver<Command>) -> Result<End, Error> {
        loop {
            let command = if self.health.get().is_err() {
                // Nothing is left to do but to end.
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if self.is_idle() {
                commands.recv_timeout(IDLE)
            } else {
                commands.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            };
            let accepted = match command {
                Ok(Command::Abort(code)) => self.world.abort(code),
                Ok(Command::Run(task)) => self.accept(task),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) if self.health.get().is_err() => {
                    return Ok(End::Failed);
                }
                // What was started completes, awaited or not.
                Err(RecvTimeoutError::Disconnected) if self.is_idle() => {
                    return self.leave().map(|()| End::AllLeft);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_closing = true;
                    Ok(())
                }
            };
            match accepted.and_then(|()| self.step()) {
                Ok(()) => {}
                Err(error) if self.is_closing => return Err(error),
                Err(error) => self.fail(&error),
            }
            self.rest();
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    fn accept(&mut self, task: Task) -> Result<(), Error> {
        if let Err(error) = self.health.get() {
            task.fail(error);
            return Ok(());
        }
        let descriptor = task.descriptor();
        self.count += 1;
        self.waiting.push_back(Announced {
            work: task,
            descriptor,
            number: self.count,
            since: self.now,
        });
        self.control.announce(descriptor)
    }

    /// One round: receives messages, begins the collectives that all ranks have announced, and lets MPI work.
    fn step(&mut self) -> Result<(), Error> {
        if self.health.get().is_err() {
            return Ok(());
        }
        self.health.count_round();
        self.now = self.clock.tick();
        self.control.poll(self.now)?;
        let mut index = 0;
        while index < self.in_flight.len() {
            if self.in_flight[index].work.advance(&self.data)? {
                self.in_flight.remove(index);
            } else {
                index += 1;
            }
        }
        while self.can_begin()
            && let Some(first) = self.waiting.front()
        {
            let lens = match self.control.try_begin(self.topology.rank, first.descriptor) {
                Readiness::All(lens) => lens,
                Readiness::Incomplete => break,
                Readiness::Mismatch(rank, theirs) => {
                    return Err(self.mismatch(first, rank, theirs));
                }
                Readiness::Exited(rank) => return Err(self.peer_exited(first, rank)),
            };
            let Some(first) = self.waiting.pop_front() else {
                break;
            };
            if let Some(mut work) = first.work.start(&self.data, self.topology.rank, lens)?
                && !work.advance(&self.data)?
            {
                self.in_flight.push(Announced {
                    work,
                    descriptor: first.descriptor,
                    number: first.number,
                    since: self.now,
                });
            }
        }
        self.check_timeouts()
    }

    /// MPI requires that all ranks start collectives in the same order, so the chunks of one follow those of another.
    fn can_begin(&self) -> bool {
        self.in_flight
            .last()
            .is_none_or(|last| last.work.all_started())
    }

    fn check_timeouts(&self) -> Result<(), Error> {
        let Timeouts {
            heartbeat,
            collective,
            ..
        } = self.timeouts;
        let here = self.topology.rank;
        let silent = self.control.silent(self.now, heartbeat);
        if !silent.is_empty() {
            return Err(Error::HeartbeatTimeout {
                ranks: self.topology.names(&silent),
                seconds: heartbeat.as_secs(),
                here,
                doing: self.doing(),
            });
        }
        let seconds = collective.as_secs();
        let is_over = |since: Duration| self.now - since >= collective;
        if let Some(work) = self.in_flight.iter().find(|work| is_over(work.since)) {
            return Err(Error::CollectiveStalled {
                operation: work.name(),
                seconds,
                here,
            });
        }
        if let Some(first) = self.waiting.front()
            && is_over(first.since)
        {
            let missing = self.control.missing();
            // If none is missing, the first waits for the collectives in flight.
            if !missing.is_empty() {
                return Err(Error::CollectiveTimeout {
                    ranks: self.topology.names(&missing),
                    operation: first.name(),
                    seconds,
                    here,
                });
            }
        }
        Ok(())
    }

    fn doing(&self) -> String {
        match (self.in_flight.first(), self.waiting.front()) {
            _ if self.control.has_left() => "closing the group".into(),
            (Some(work), _) => format!("in {}", work.name()),
            (None, Some(task)) => format!("waiting at {}", task.name()),
            (None, None) => "computing".into(),
        }
    }

    fn mismatch(&self, first: &Announced<Task>, rank: usize, theirs: Descriptor) -> Error {
        Error::Mismatch {
            here: self.topology.rank,
            operation: first.name(),
            rank,
            host: self.topology.hosts[rank].clone(),
            other: theirs.to_string(),
        }
    }

    fn peer_exited(&self, first: &Announced<Task>, rank: usize) -> Error {
        Error::PeerExited {
            rank,
            host: self.topology.hosts[rank].clone(),
            operation: first.name(),
            here: self.topology.rank,
        }
    }

    /// From now on every collective returns this error.
    fn fail(&mut self, error: &Error) {
        self.health.fail(error.clone());
        for task in self.waiting.drain(..) {
            task.work.fail(error.clone());
        }
        for work in self.in_flight.drain(..) {
            work.work.fail(error.clone());
        }
    }

    /// Does not sleep while data are in flight or ranks are expected soon.
    fn rest(&self) {
        match self.waiting.front() {
            Some(first) if self.in_flight.is_empty() && self.now - first.since > SPIN => {
                thread::sleep(NAP)
            }
            _ if self.is_idle() => {}
            _ => thread::yield_now(),
        }
    }

    /// Tells the other ranks that this one has finished, and waits until they say the same.
    fn leave(&mut self) -> Result<(), Error> {
        self.control.leave()?;
        let begun = self.now;
        while !self.control.all_left() {
            thread::sleep(NAP);
            self.step()?;
            if self.now - begun >= self.timeouts.collective {
                return Err(Error::CollectiveTimeout {
                    ranks: self.topology.names(&self.control.staying()),
                    operation: "the end of the run".into(),
                    seconds: self.timeouts.collective.as_secs(),
                    here: self.topology.rank,
                });
            }
        }
        Ok(())
    }

    /// Prints an error that nobody else can report, and ends all ranks.
    fn abort(&self, rank: usize, error: &str) -> ! {
        print_error(rank, error);
        self.world.abort(1)
    }
}

impl<T> Announced<T> {
    fn name(&self) -> String {
        format!("collective {}, {}", self.number, self.descriptor)
    }
}
