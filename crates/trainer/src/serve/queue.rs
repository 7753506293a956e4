//! Requests that wait for the model.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use squad_data::{Example, Prediction};

/// Characters to read in the requests that are answered together, about 16,000 tokens: several forward passes, because
/// the answerer sorts what it gets by length.
const BATCH_CHARACTERS: usize = 64_000;
/// How long a batch waits for the next request: clients that have just been answered send theirs together.
const NEXT_REQUEST_TIME: Duration = Duration::from_millis(1);
const BATCH_TIME: Duration = Duration::from_millis(5);

/// The answers to one request, or why there are none.
type Answers = Result<Vec<Prediction>, bert_qa::Error>;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) examples: Vec<Example>,
    /// Characters to read.
    characters: usize,
    reply: SyncSender<Answers>,
    is_abandoned: Arc<AtomicBool>,
}

impl Job {
    pub(super) fn reply(&self, answers: Answers) {
        // Its connection may have given up.
        let _ = self.reply.send(answers);
    }
}

/// Where a request's answers come from.
#[derive(Debug)]
pub(super) struct Pending {
    answers: Receiver<Answers>,
    is_abandoned: Arc<AtomicBool>,
}

impl Pending {
    /// The answers; `None` if they take longer. They are then not computed any more.
    pub(super) fn wait(self, time: Duration) -> Option<Answers> {
        let answers = self.answers.recv_timeout(time).ok();
        self.is_abandoned.store(true, Ordering::Relaxed);
        answers
    }
}

/// Requests in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    max_requests: usize,
    max_characters: usize,
}

impl Queue {
    pub(super) fn new(max_requests: usize, max_characters: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            max_requests,
            max_characters,
        }
    }

    /// Adds a request; `None` if the queue is full.
    pub(super) fn push(&self, examples: Vec<Example>, characters: usize) -> Option<Pending> {
        let mut waiting = self.lock();
        waiting.retain(|job| !job.is_abandoned.load(Ordering::Relaxed));
        let queued: usize = waiting.iter().map(|job| job.characters).sum();
        let is_full = waiting.len() >= self.max_requests
            || !waiting.is_empty() && queued + characters > self.max_characters;
        if is_full {
            return None;
        }
        let (reply, answers) = sync_channel(1);
        let is_abandoned = Arc::new(AtomicBool::new(false));
        waiting.push_back(Job {
            examples,
            characters,
            reply,
            is_abandoned: is_abandoned.clone(),
        });
        drop(waiting);
        self.arrived.notify_one();
        Some(Pending {
            answers,
            is_abandoned,
        })
    }

    /// The next requests to answer together. Waits for the first until `timeout`; empty if none has come by then.
    pub(super) fn take(&self, timeout: Duration) -> Vec<Job> {
        let waiting = self.lock();
        let (waiting, _) = self
            .arrived
            .wait_timeout_while(waiting, timeout, |waiting| waiting.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.gather(waiting);
        let mut characters = 0;
        let mut jobs = Vec::new();
        while let Some(job) = waiting.pop_front() {
            if job.is_abandoned.load(Ordering::Relaxed) {
                continue;
            }
            if !jobs.is_empty() && characters + job.characters > BATCH_CHARACTERS {
                waiting.push_front(job);
                break;
            }
            characters += job.characters;
            jobs.push(job);
        }
        jobs
    }

    /// Waits as long as requests follow each other closely.
    fn gather<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, VecDeque<Job>>,
    ) -> MutexGuard<'a, VecDeque<Job>> {
        let start = Instant::now();
        while !waiting.is_empty() && start.elapsed() < BATCH_TIME {
            let count = waiting.len();
            waiting = self
                .arrived
                .wait_timeout(waiting, NEXT_REQUEST_TIME)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if waiting.len() == count {
                break;
            }
        }
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        // A thread that panicked has left the list whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, characters: usize) -> Option<Pending> {
        queue.push(vec![Example::new("0", "Who?", "Ane.")], characters)
    }

    #[test]
    fn requests_that_wait_are_taken_together_up_to_a_limit() {
        let queue = Queue::new(10, 1_000_000);
        let kept: Vec<_> = [30_000, 30_000, 30_000, 200_000]
            .map(|characters| push(&queue, characters).unwrap())
            .into();
        let sizes: Vec<_> = (0..4).map(|_| queue.take(Duration::ZERO).len()).collect();
        assert_eq!(sizes, [2, 1, 1, 0]);
        drop(kept);
    }

    #[test]
    fn a_full_queue_refuses_and_abandoned_requests_make_room() {
        let queue = Queue::new(2, 100);
        let first = push(&queue, 1000).expect("one request always has room");
        assert!(push(&queue, 1).is_none(), "too many characters");
        assert!(first.wait(Duration::ZERO).is_none());
        let second = push(&queue, 1).unwrap();
        let third = push(&queue, 1).unwrap();
        assert!(push(&queue, 1).is_none(), "too many requests");
        let jobs = queue.take(Duration::ZERO);
        assert_eq!(jobs.len(), 2);
        jobs[1].reply(Ok(Vec::new()));
        assert!(third.wait(Duration::ZERO).unwrap().unwrap().is_empty());
        drop(jobs);
        assert!(second.wait(Duration::ZERO).is_none());
    }
}
