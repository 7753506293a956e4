use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use run_log::Record;
use tensorboard_rs::summary_writer::SummaryWriter;

use crate::Error;
use crate::artifacts::run_dir::check_writable;
use crate::logging::observer::{EpochReport, EvaluationReport, Observer, StepReport};

/// Writes TensorBoard event files. The x value is the epoch for figures of an epoch, else the optimizer step.
///
/// `tensorboard-rs` panics if a write fails, so it runs on a thread of its own: a failure is one warning, and training
/// continues.
pub(crate) struct TensorBoard {
    points: Option<Sender<Point>>,
    thread: Option<JoinHandle<()>>,
}

struct Point {
    tag: String,
    value: f32,
    x: usize,
}

impl TensorBoard {
    /// Replaces the event files in `folder` and first writes the records of `past`; calls `warn` once if they cannot be
    /// written.
    pub(crate) fn new(
        folder: &Path,
        past: Vec<Record>,
        warn: impl FnOnce(&str) + Send + 'static,
    ) -> Self {
        silence_tensorboard_rs();
        let (points, received) = channel();
        let folder = folder.to_owned();
        let thread = std::thread::Builder::new().name("tensorboard".into()).spawn(move || {
            let written = catch_unwind(AssertUnwindSafe(|| write(&folder, &received)));
            let cause = match written {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => message(&*panic),
            };
            warn(&format!(
                "{}: TensorBoard events cannot be written ({cause}); the run goes on without them",
                folder.display(),
            ));
        });
        let board = Self {
            points: Some(points),
            thread: thread.ok(),
        };
        for record in past {
            let x = record.x();
            board.send(record.scalars, x);
        }
        board
    }

    fn send<T: Into<String>>(&self, scalars: impl IntoIterator<Item = (T, f64)>, x: u32) {
        for (tag, value) in scalars {
            let point = Point {
                tag: tag.into(),
                value: value as f32,
                x: x as usize,
            };
            // After a failure the thread is gone and has warned.
            let _ = self.points.as_ref().map(|points| points.send(point));
        }
    }
}

/// Writes points until the sender is dropped.
fn write(folder: &Path, points: &Receiver<Point>) -> std::io::Result<()> {
    // Errors that need no panic.
    std::fs::create_dir_all(folder)?;
    check_writable(folder)?;
    // A killed process may have written points after its last checkpoint, so a resumed run writes all points again.
    for entry in atomic_fs::entries(folder)? {
        if entry.file_name().to_string_lossy().contains("tfevents") {
            std::fs::remove_file(entry.path())?;
        }
    }
    // The writer's destructor panics if its own thread is gone, and a panic during unwinding aborts the process: after a
    // failure the writer is leaked.
    let mut writer = ManuallyDrop::new(SummaryWriter::new(folder));
    while let Ok(first) = points.recv() {
        for point in std::iter::once(first).chain(points.try_iter()) {
            writer.add_scalar(&point.tag, point.value, point.x);
        }
        writer.flush();
    }
    drop(ManuallyDrop::into_inner(writer));
    Ok(())
}

/// Keeps panics of `tensorboard-rs` off standard error: they become a warning.
fn silence_tensorboard_rs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info
                .location()
                .is_some_and(|place| place.file().contains("tensorboard-rs"))
            {
                previous(info);
            }
        }));
    });
}

fn message(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
    text.filter(|text| !text.is_empty())
        .unwrap_or("no reason given")
        .replace('\n', " ")
}

impl Observer for TensorBoard {
    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.send(report.scalars(), report.step);
        Ok(())
    }

    fn evaluation(&mut self, report: &EvaluationReport) -> Result<(), Error> {
        self.send(report.scalars(), report.step);
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), Error> {
        self.send(report.scalars(), report.epoch);
        Ok(())
    }
}

impl Drop for TensorBoard {
    /// Waits until all points are on disk.
    fn drop(&mut self) {
        self.points = None;
        if let Some(thread) = self.thread.take() {
            // The thread catches its panics.
            let _ = thread.join();
        }
    }
}
