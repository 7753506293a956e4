use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use trainer::{Error, StopFlag};

/// The exit code for "start me again" (`EX_TEMPFAIL` of sysexits.h).
pub(super) const STOPPED: u8 = 75;

/// SIGINT, SIGTERM, SIGUSR1 and SIGHUP stop what runs; a second SIGINT (Ctrl-C) ends the process at once. The others do
/// not: schedulers send them twice. A signal that the process was started to ignore stays ignored: SIGHUP under `nohup`,
/// SIGINT in the background of a script.
#[cfg(unix)]
pub(super) fn stop_on_signals(stop: &StopFlag) -> Result<AtOnce, Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::flag::{register, register_conditional_shutdown};
    let at_once = AtOnce::default();
    let AtOnce { ctrl_c, others } = at_once.clone();
    let mut handlers = Ok(());
    if !is_ignored(SIGINT) {
        // The order matters: the first SIGINT must find its flag not set.
        handlers = register_conditional_shutdown(SIGINT, 128 + SIGINT, ctrl_c.clone())
            .and_then(|_| register(SIGINT, ctrl_c))
            .and_then(|_| register(SIGINT, stop.shared()))
            .map(drop);
    }
    for signal in [SIGTERM, SIGUSR1, SIGHUP] {
        if !is_ignored(signal) {
            handlers = handlers
                .and_then(|()| {
                    register_conditional_shutdown(signal, STOPPED.into(), others.clone())
                })
                .and_then(|_| register(signal, stop.shared()))
                .map(drop);
        }
    }
    match handlers {
        Ok(()) => Ok(at_once),
        Err(e) => Err(Error::Device(format!("cannot handle signals: {e}"))),
    }
}

/// Whether the next signal ends the process at once: SIGINT (Ctrl-C), and the others.
#[derive(Clone, Default)]
pub(super) struct AtOnce {
    ctrl_c: Arc<AtomicBool>,
    others: Arc<AtomicBool>,
}

impl AtOnce {
    pub(super) fn set(&self, at_once: bool) {
        self.ctrl_c.store(at_once, Ordering::Relaxed);
        self.others.store(at_once, Ordering::Relaxed);
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
pub(super) fn stop_on_signals(_: &StopFlag) -> Result<AtOnce, Error> {
    Ok(AtOnce::default())
}
