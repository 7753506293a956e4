//! What ranks tell each other besides the collectives: what they are about to do, that they live, and
//! that they leave.
//!
//! Every rank tells every other one what it is about to do, and a collective begins when all are known
//! to be at the same one. So a rank that is missing is known by its number, different collectives or
//! lengths are an error and never mixed up, and MPI's own collectives are entered only by ranks that
//! live. It costs a message of 24 bytes to each other rank per collective. In between each shows that
//! it lives.

use std::collections::VecDeque;
use std::time::Duration;

use mpi::topology::SimpleCommunicator;

use super::ffi::InFlight;
use super::shape::Shape;
use crate::Error;

type Message = Vec<u64>;

const BEAT: u64 = 0;
const ANNOUNCE: u64 = 1;
const LEAVE: u64 = 2;

/// Beats that may be on their way to a rank; one that does not listen is not sent more.
const MOST_BEATS: usize = 8;

pub(super) struct Control {
    comm: SimpleCommunicator,
    peers: Vec<Peer>,
    beat_every: Duration,
    last_beat: Duration,
}

struct Peer {
    rank: usize,
    /// The message awaited next; none after the last.
    inbox: Option<InFlight<u64>>,
    outbox: VecDeque<InFlight<u64>>,
    /// When a message came last.
    heard: Duration,
    /// What it has told and this rank has not begun.
    announced: VecDeque<Shape>,
}

/// What the others say to what this rank wants to do.
pub(super) enum Answer {
    /// All are there, with buffers of these lengths in the order of ranks.
    Agreed(Vec<usize>),
    /// Some are not.
    Wait,
    /// One is at something else.
    Differs(usize, Shape),
    /// One does nothing any more.
    Left(usize),
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
                    inbox: Some(InFlight::receive(&comm, rank, vec![0; 3])?),
                    outbox: VecDeque::new(),
                    heard: Duration::ZERO,
                    announced: VecDeque::new(),
                })
            })
            .collect();
        Ok(Self {
            comm,
            peers: peers?,
            beat_every,
            last_beat: Duration::ZERO,
        })
    }

    /// Receives what has come, and shows that this rank lives when it is time.
    pub(super) fn poll(&mut self, now: Duration) -> Result<(), Error> {
        let beat = now - self.last_beat >= self.beat_every;
        for peer in &mut self.peers {
            while peer.receive(&self.comm, now)? {}
            peer.forget_sent()?;
            if beat && peer.inbox.is_some() && peer.outbox.len() < MOST_BEATS {
                peer.send(&self.comm, vec![BEAT, 0, 0])?;
            }
        }
        if beat {
            self.last_beat = now;
        }
        Ok(())
    }

    pub(super) fn announce(&mut self, shape: Shape) -> Result<(), Error> {
        let [code, len] = shape.encode();
        self.tell_all(&[ANNOUNCE, code, len])
    }

    /// The last message to all: nothing is sent after it.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        self.beat_every = Duration::MAX;
        self.tell_all(&[LEAVE, 0, 0])
    }

    fn tell_all(&mut self, message: &[u64]) -> Result<(), Error> {
        let Self { comm, peers, .. } = self;
        peers
            .iter_mut()
            .try_for_each(|peer| peer.send(comm, message.to_vec()))
    }

    /// Whether all can do what `rank` has announced first of what it has not begun; if so, it has
    /// begun with that.
    pub(super) fn ask(&mut self, rank: usize, mine: Shape) -> Answer {
        let mut answer = Answer::Wait;
        let mut here = 0;
        for peer in &self.peers {
            match peer.announced.front() {
                Some(theirs) if mine.fits(*theirs) => here += 1,
                Some(theirs) => return Answer::Differs(peer.rank, *theirs),
                None if peer.inbox.is_none() => answer = Answer::Left(peer.rank),
                None => (),
            }
        }
        if here < self.peers.len() {
            return answer;
        }
        let theirs = self
            .peers
            .iter_mut()
            .filter_map(|peer| peer.announced.pop_front());
        let mut lens: Vec<_> = theirs.map(|shape| shape.len).collect();
        lens.insert(rank, mine.len);
        Answer::Agreed(lens)
    }

    /// Those of which nothing was heard, if there is one of which nothing was for so long; who has left
    /// is not missed. Ranks that were lost together are named together, though their last beats came
    /// one after the other.
    pub(super) fn silent(&self, now: Duration, silence: Duration) -> Vec<usize> {
        let since =
            |after: Duration| self.ranks(|peer| peer.inbox.is_some() && now - peer.heard >= after);
        match since(silence).is_empty() {
            true => Vec::new(),
            false => since(silence.saturating_sub(self.beat_every * 2)),
        }
    }

    /// Those that have not come to what this rank waits for.
    pub(super) fn missing(&self) -> Vec<usize> {
        self.ranks(|peer| peer.announced.is_empty())
    }

    /// Whether nobody will send any more, and all that was sent has gone.
    pub(super) fn all_left(&self) -> bool {
        let quiet = |peer: &Peer| peer.inbox.is_none() && peer.outbox.is_empty();
        self.peers.iter().all(quiet)
    }

    fn ranks(&self, is: impl Fn(&Peer) -> bool) -> Vec<usize> {
        let peers = self.peers.iter().filter(|peer| is(peer));
        peers.map(|peer| peer.rank).collect()
    }
}

impl Peer {
    /// Whether a message was there.
    fn receive(&mut self, comm: &SimpleCommunicator, now: Duration) -> Result<bool, Error> {
        let Some(inbox) = &mut self.inbox else {
            return Ok(false);
        };
        let Some(message) = inbox.test()? else {
            return Ok(false);
        };
        self.heard = now;
        match message[..] {
            [ANNOUNCE, code, len] => self.announced.push_back(Shape::decode([code, len])),
            [LEAVE, ..] => {
                self.inbox = None;
                return Ok(true);
            }
            _ => (),
        }
        self.inbox = Some(InFlight::receive(comm, self.rank, message)?);
        Ok(true)
    }

    fn send(&mut self, comm: &SimpleCommunicator, message: Message) -> Result<(), Error> {
        self.outbox
            .push_back(InFlight::send(comm, self.rank, message)?);
        Ok(())
    }

    fn forget_sent(&mut self) -> Result<(), Error> {
        // Messages to one rank end in the order in which they were sent, or are asked again soon.
        while let Some(first) = self.outbox.front_mut() {
            if first.test()?.is_none() {
                break;
            }
            self.outbox.pop_front();
        }
        Ok(())
    }
}
