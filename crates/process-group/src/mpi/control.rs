//! Messages between ranks besides the collectives: announcements, heartbeats and the end.
//!
//! Every rank announces to every other rank what it is about to do, and a collective begins when all have announced the
//! same. So the number of a missing rank is known, different collectives or lengths are an error and never mixed up, and
//! MPI's own collectives are entered only by ranks that are alive. This costs one message of 24 bytes to each other rank
//! for each collective.

use std::collections::VecDeque;
use std::time::Duration;

use mpi::topology::SimpleCommunicator;

use super::descriptor::Descriptor;
use super::ffi::Request;
use crate::Error;

type Message = Vec<u64>;

const HEARTBEAT: u64 = 0;
const ANNOUNCE: u64 = 1;
const LEAVE: u64 = 2;

/// Heartbeats in flight to one rank; a rank that does not receive is sent no more.
const MAX_HEARTBEATS: usize = 8;

pub(super) struct Control {
    comm: SimpleCommunicator,
    peers: Vec<Peer>,
    beat_every: Duration,
    last_beat: Duration,
    has_left: bool,
}

struct Peer {
    rank: usize,
    /// The next message; `None` after the last.
    inbox: Option<Request<u64>>,
    outbox: VecDeque<Request<u64>>,
    /// When the last message arrived.
    last_heard: Duration,
    /// Collectives that it has announced and this rank has not begun.
    announced: VecDeque<Descriptor>,
}

/// Whether all ranks are ready for a collective.
pub(super) enum Readiness {
    /// All are, with buffers of these lengths in the order of ranks.
    All(Vec<usize>),
    /// Some have announced nothing yet.
    Incomplete,
    /// A rank has announced something else.
    Mismatch(usize, Descriptor),
    /// A rank has left.
    Exited(usize),
}

impl Control {
    pub(super) fn new(
        comm: SimpleCommunicator,
        rank: usize,
        world_size: usize,
        beat_every: Duration,
    ) -> Result<Self, Error> {
        let others = (0..world_size).filter(|other| *other != rank);
        let peers: Result<_, Error> = others
            .map(|rank| {
                Ok(Peer {
                    rank,
                    inbox: Some(Request::receive(&comm, rank, vec![0; 3])?),
                    outbox: VecDeque::new(),
                    last_heard: Duration::ZERO,
                    announced: VecDeque::new(),
                })
            })
            .collect();
        Ok(Self {
            comm,
            peers: peers?,
            beat_every,
            last_beat: Duration::ZERO,
            has_left: false,
        })
    }

    /// Receives the messages that have arrived, and sends heartbeats when they are due.
    pub(super) fn poll(&mut self, now: Duration) -> Result<(), Error> {
        let is_due = !self.has_left && now - self.last_beat >= self.beat_every;
        for peer in &mut self.peers {
            while peer.receive(&self.comm, now)? {}
            peer.forget_sent()?;
            // Also to ranks that have left: they wait for this one.
            if is_due && peer.outbox.len() < MAX_HEARTBEATS {
                peer.send(&self.comm, vec![HEARTBEAT, 0, 0])?;
            }
        }
        if is_due {
            self.last_beat = now;
        }
        Ok(())
    }

    pub(super) fn announce(&mut self, descriptor: Descriptor) -> Result<(), Error> {
        let [code, len] = descriptor.encode();
        self.send_to_all(&[ANNOUNCE, code, len])
    }

    /// Sends the last message to all ranks; no heartbeat follows.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        self.has_left = true;
        self.send_to_all(&[LEAVE, 0, 0])
    }

    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    fn send_to_all(&mut self, message: &[u64]) -> Result<(), Error> {
        let Self { comm, peers, .. } = self;
        peers
            .iter_mut()
            .try_for_each(|peer| peer.send(comm, message.to_vec()))
    }

    /// Whether all ranks have announced the next collective of `rank`, which is `mine`. If so, their announcements are
    /// taken.
    pub(super) fn try_begin(&mut self, rank: usize, mine: Descriptor) -> Readiness {
        let mut readiness = Readiness::Incomplete;
        let mut ready = 0;
        for peer in &self.peers {
            match peer.announced.front() {
                Some(theirs) if mine.matches(*theirs) => ready += 1,
                Some(theirs) => return Readiness::Mismatch(peer.rank, *theirs),
                None if peer.inbox.is_none() => readiness = Readiness::Exited(peer.rank),
                None => {}
            }
        }
        if ready < self.peers.len() {
            return readiness;
        }
        let theirs = self
            .peers
            .iter_mut()
            .filter_map(|peer| peer.announced.pop_front());
        let mut lens: Vec<_> = theirs.map(|descriptor| descriptor.len).collect();
        lens.insert(rank, mine.len);
        Readiness::All(lens)
    }

    /// If a rank has been silent for `timeout`: all ranks that have been silent for almost as long, because the last
    /// heartbeats of ranks that are lost together do not arrive at the same time. Ranks that have left do not count.
    pub(super) fn silent(&self, now: Duration, timeout: Duration) -> Vec<usize> {
        let silent_for = |time: Duration| {
            self.ranks(|peer| peer.inbox.is_some() && now - peer.last_heard >= time)
        };
        if silent_for(timeout).is_empty() {
            return Vec::new();
        }
        silent_for(timeout.saturating_sub(self.beat_every * 2))
    }

    /// Ranks that have not announced the collective for which this rank waits.
    pub(super) fn missing(&self) -> Vec<usize> {
        self.ranks(|peer| peer.announced.is_empty())
    }

    /// Ranks that have not left.
    pub(super) fn staying(&self) -> Vec<usize> {
        self.ranks(|peer| peer.inbox.is_some())
    }

    /// Whether all ranks have left and all messages are delivered.
    pub(super) fn all_left(&self) -> bool {
        let is_done = |peer: &Peer| peer.inbox.is_none() && peer.outbox.is_empty();
        self.peers.iter().all(is_done)
    }

    fn ranks(&self, is: impl Fn(&Peer) -> bool) -> Vec<usize> {
        let peers = self.peers.iter().filter(|peer| is(peer));
        peers.map(|peer| peer.rank).collect()
    }
}

impl Peer {
    /// Whether a message had arrived.
    fn receive(&mut self, comm: &SimpleCommunicator, now: Duration) -> Result<bool, Error> {
        let Some(inbox) = &mut self.inbox else {
            return Ok(false);
        };
        let Some(message) = inbox.test()? else {
            return Ok(false);
        };
        self.last_heard = now;
        match message[..] {
            [ANNOUNCE, code, len] => self.announced.push_back(Descriptor::decode([code, len])),
            [LEAVE, ..] => {
                self.inbox = None;
                return Ok(true);
            }
            _ => {}
        }
        self.inbox = Some(Request::receive(comm, self.rank, message)?);
        Ok(true)
    }

    fn send(&mut self, comm: &SimpleCommunicator, message: Message) -> Result<(), Error> {
        self.outbox
            .push_back(Request::send(comm, self.rank, message)?);
        Ok(())
    }

    fn forget_sent(&mut self) -> Result<(), Error> {
        while let Some(first) = self.outbox.front_mut() {
            if first.test()?.is_none() {
                break;
            }
            self.outbox.pop_front();
        }
        Ok(())
    }
}
