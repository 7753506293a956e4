use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trainer::{Error, StopFlag};

/// SIGINT, SIGTERM, SIGUSR1 and SIGHUP stop what runs; a second SIGINT (Ctrl-C) ends the process at once. The others do
/// not: schedulers send them twice. A SIGHUP that `nohup` makes the process ignore stays ignored.
#[cfg(unix)]
pub(super) fn stop_on_signals(stop: &StopFlag) -> Result<CtrlC, Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::flag::{register, register_conditional_shutdown};
    let ctrl_c = CtrlC::default();
    // The order matters: the first SIGINT must find its flag not set.
    let handlers = register_conditional_shutdown(SIGINT, 128 + SIGINT, ctrl_c.0.clone())
        .and_then(|_| register(SIGINT, ctrl_c.0.clone()))
        .and_then(|_| register(SIGINT, stop.shared()))
        .and_then(|_| register(SIGTERM, stop.shared()))
        .and_then(|_| register(SIGUSR1, stop.shared()))
        .and_then(|id| {
            if is_ignored(SIGHUP) {
                Ok(id)
            } else {
                register(SIGHUP, stop.shared())
            }
        });
    match handlers {
        Ok(_) => Ok(ctrl_c),
        Err(e) => Err(Error::Device(format!("cannot handle signals: {e}"))),
    }
}

/// Whether the next SIGINT (Ctrl-C) ends the process at once.
#[derive(Clone, Default)]
pub(super) struct CtrlC(Arc<AtomicBool>);

impl CtrlC {
    pub(super) fn ends_at_once(&self, at_once: bool) {
        self.0.store(at_once, Ordering::Relaxed);
    }
}

/// Makes a file that grows beyond the limit of `ulimit -f` an error like a full disk, as Python does; SIGXFSZ would end the
/// process without a word.
#[cfg(unix)]
pub(super) fn report_files_that_are_too_large() {
    let unused = Arc::new(AtomicBool::new(false));
    // Without the handler the signal ends the process as before.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, unused);
}

#[cfg(not(unix))]
pub(super) fn report_files_that_are_too_large() {}

/// Whether the process was started with a signal ignored; `false` outside Linux.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
pub(super) fn stop_on_signals(_: &StopFlag) -> Result<CtrlC, Error> {
    Ok(CtrlC::default())
}
