//! The thread that alone calls MPI.
//!
//! It carries out what the program asks for, and between two steps shows the other ranks that this one
//! lives. Because it is a thread of its own, collectives go on while the program computes (MPI works
//! only while it is called), and a rank that computes for minutes still answers. Because it is the only
//! one, MPI needs no locks (`MPI_THREAD_FUNNELED`); a second thread for signs of life would need
//! `MPI_THREAD_MULTIPLE`, and files or sockets of our own could work where MPI does not, or the reverse.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;

use super::clock::Clock;
use super::control::{Answer, Control};
use super::health::Health;
use super::place::Place;
use super::shape::Shape;
use super::task::{Command, Flying, Task};
use crate::{Error, Limits};

/// How long the thread sleeps at most while nothing is to do.
const IDLE: Duration = Duration::from_millis(20);
/// How long it polls without sleep for ranks that are not there yet, and how it sleeps then.
const EAGER: Duration = Duration::from_millis(2);
const NAP: Duration = Duration::from_micros(100);

pub(super) struct Engine {
    world: SimpleCommunicator,
    /// For the collectives themselves.
    data: SimpleCommunicator,
    control: Control,
    place: Arc<Place>,
    limits: Limits,
    health: Arc<Health>,
    clock: Clock,
    now: Duration,
    /// Announced, and not begun because some rank is missing. Begun in this order on every rank.
    waiting: VecDeque<Started<Task>>,
    flying: Vec<Started<Flying>>,
    /// Collectives so far.
    count: u64,
}

struct Started<T> {
    what: T,
    shape: Shape,
    number: u64,
    at: Duration,
}

impl Engine {
    pub(super) fn new(
        world: SimpleCommunicator,
        place: Arc<Place>,
        limits: Limits,
        health: Arc<Health>,
    ) -> Result<Self, Error> {
        let [data, control] = [world.duplicate(), world.duplicate()];
        super::ffi::return_errors(&data)?;
        super::ffi::return_errors(&control)?;
        let beat_every = (limits.silence / 10).min(Duration::from_secs(1));
        let control = Control::new(control, place.rank, place.hosts.len(), beat_every)?;
        let (clock, now) = (Clock::new(), Duration::ZERO);
        let (waiting, flying) = (VecDeque::new(), Vec::new());
        Ok(Self {
            world,
            data,
            control,
            place,
            limits,
            health,
            clock,
            now,
            waiting,
            flying,
            count: 0,
        })
    }

    /// Serves until the group is dropped. Whether all ranks have left in peace, so that MPI can be
    /// finalised.
    pub(super) fn run(&mut self, commands: &Receiver<Command>) -> bool {
        loop {
            let command = match (
                self.waiting.is_empty() && self.flying.is_empty(),
                self.health.get(),
            ) {
                // Nothing but the end is awaited.
                (_, Err(_)) => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (true, Ok(())) => commands.recv_timeout(IDLE),
                (false, Ok(())) => commands.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            let step = match command {
                Ok(Command::Abort(code)) => self.world.abort(code),
                Ok(Command::Do(task)) => self.accept(task),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) if self.health.get().is_err() => return false,
                // What was started is carried out, whether or not it is awaited.
                Err(RecvTimeoutError::Disconnected) if self.is_idle() => return self.leave(),
                Err(RecvTimeoutError::Disconnected) => Ok(()),
            };
            if let Err(error) = step.and_then(|()| self.step()) {
                self.fail(&error);
            }
            self.rest();
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_empty()
    }

    fn accept(&mut self, task: Task) -> Result<(), Error> {
        if let Err(error) = self.health.get() {
            task.fail(error);
            return Ok(());
        }
        let shape = task.shape();
        self.count += 1;
        let (number, at) = (self.count, self.now);
        self.waiting.push_back(Started {
            what: task,
            shape,
            number,
            at,
        });
        self.control.announce(shape)
    }

    /// One round: hears the others, begins what all have come to, and lets MPI work.
    fn step(&mut self) -> Result<(), Error> {
        if self.health.get().is_err() {
            return Ok(());
        }
        self.health.go_round();
        self.now = self.clock.tick();
        self.control.poll(self.now)?;
        let mut at = 0;
        while at < self.flying.len() {
            match self.flying[at].what.advance(&self.data)? {
                true => drop(self.flying.remove(at)),
                false => at += 1,
            }
        }
        while let Some(first) = self.waiting.front() {
            if self
                .flying
                .last()
                .is_some_and(|last| !last.what.all_started())
            {
                break;
            }
            let lens = match self.control.ask(self.place.rank, first.shape) {
                Answer::Agreed(lens) => lens,
                Answer::Wait => break,
                Answer::Differs(rank, theirs) => return Err(self.differs(first, rank, theirs)),
                Answer::Left(rank) => return Err(self.left(first, rank)),
            };
            let Some(first) = self.waiting.pop_front() else {
                break;
            };
            if let Some(mut what) = first.what.start(&self.data, self.place.rank, lens)? {
                if what.advance(&self.data)? {
                    continue;
                }
                let (shape, number, at) = (first.shape, first.number, self.now);
                self.flying.push(Started {
                    what,
                    shape,
                    number,
                    at,
                });
            }
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), Error> {
        let place = &self.place;
        let Limits {
            silence, patience, ..
        } = self.limits;
        let (here, seconds) = (place.rank, patience.as_secs());
        let silent = self.control.silent(self.now, silence);
        if !silent.is_empty() {
            let (ranks, seconds) = (place.names(&silent), silence.as_secs());
            return Err(Error::Silent {
                ranks,
                seconds,
                here,
                doing: self.doing(),
            });
        }
        let over = |at: Duration| self.now - at >= patience;
        if let Some(flying) = self.flying.iter().find(|flying| over(flying.at)) {
            let operation = flying.name();
            return Err(Error::Stuck {
                operation,
                seconds,
                here,
            });
        }
        match self.waiting.front() {
            Some(first) if over(first.at) => {
                let (ranks, operation) = (place.names(&self.control.missing()), first.name());
                Err(Error::Late {
                    ranks,
                    operation,
                    seconds,
                    here,
                })
            }
            _ => Ok(()),
        }
    }

    fn doing(&self) -> String {
        match (self.flying.first(), self.waiting.front()) {
            (Some(flying), _) => format!("in {}", flying.name()),
            (None, Some(waiting)) => format!("waiting at {}", waiting.name()),
            (None, None) => "computing".into(),
        }
    }

    fn differs(&self, first: &Started<Task>, rank: usize, theirs: Shape) -> Error {
        Error::Mismatch {
            here: self.place.rank,
            operation: first.name(),
            rank,
            host: self.place.hosts[rank].clone(),
            other: theirs.to_string(),
        }
    }

    fn left(&self, first: &Started<Task>, rank: usize) -> Error {
        Error::Left {
            rank,
            host: self.place.hosts[rank].clone(),
            operation: first.name(),
            here: self.place.rank,
        }
    }

    /// From now on every collective gives this error.
    fn fail(&mut self, error: &Error) {
        self.health.fail(error.clone());
        for task in self.waiting.drain(..) {
            task.what.fail(error.clone());
        }
        for task in self.flying.drain(..) {
            task.what.fail(error.clone());
        }
    }

    /// While data are on their way every round counts; ranks that are missing may take their time.
    fn rest(&self) {
        match self.waiting.front() {
            Some(first) if self.flying.is_empty() && self.now - first.at > EAGER => {
                thread::sleep(NAP)
            }
            _ if self.is_idle() => (),
            _ => thread::yield_now(),
        }
    }

    /// Tells the others that no more will come, and waits until they have told the same.
    fn leave(&mut self) -> bool {
        let mut step = self.control.leave();
        let begun = self.now;
        while step.is_ok() && !self.control.all_left() {
            thread::sleep(NAP);
            step = self.step();
            if self.now - begun >= self.limits.patience {
                return false;
            }
        }
        step.is_ok()
    }
}

impl<T> Started<T> {
    fn name(&self) -> String {
        format!("collective {}, {}", self.number, self.shape)
    }
}
