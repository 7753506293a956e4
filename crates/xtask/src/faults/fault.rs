use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use test_support::Random;

use super::{Bench, Ended};

/// Calls by which a run changes what is on the disk.
const WRITES: [&str; 13] = [
    "openat",
    "write",
    "writev",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "unlink",
    "unlinkat",
];

/// Other calls, at which a run may be killed too.
const OTHERS: [&str; 12] = [
    "read",
    "pread64",
    "close",
    "statx",
    "newfstatat",
    "getdents64",
    "lseek",
    "flock",
    "mmap",
    "munmap",
    "futex",
    "clone3",
];

/// The calls of an undisturbed run.
#[derive(Default)]
pub(super) struct Calls {
    /// How often each thread makes each of them.
    counts: Vec<(&'static str, usize)>,
    /// How many `openat` the dynamic loader makes at most, which gives up when it is interrupted.
    loading: usize,
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// SIGKILL at the n-th call of a thread.
    Kill { call: &'static str, at: usize },
    /// An error of the n-th call of a thread, and of all later ones if it `lasts`.
    Error {
        call: &'static str,
        error: &'static str,
        at: usize,
        lasts: bool,
    },
    /// Every n-th call of these is interrupted, once the program is loaded.
    Interrupted { every: usize, loading: usize },
    /// Writing takes this many milliseconds longer.
    Slow { milliseconds: usize },
    /// No file may be longer: a write stops in the middle, and the process gets SIGXFSZ.
    FileSize { bytes: usize },
    /// SIGKILL after this many milliseconds.
    KillAfter { milliseconds: usize },
    /// A signal for rank 1 once there are so many lines; a delayed rank goes on after two seconds.
    Rank { signal: &'static str, lines: usize },
}

impl Calls {
    /// Counts the calls of a run.
    pub(super) fn count(words: &[String], trace: &Path) -> Result<Self, String> {
        let status = Command::new("strace")
            .args([
                "-f",
                "-qqq",
                "-e",
                &format!("trace={},{}", WRITES.join(","), OTHERS.join(",")),
                "-o",
            ])
            .arg(trace)
            .args(words)
            .current_dir(crate::root())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|e| format!("strace: {e}: install it"))?;
        if !status.success() {
            return Err(format!("strace of the run: {status}"));
        }
        let text = std::fs::read(trace).map_err(|e| e.to_string())?;
        let mut counts = BTreeMap::<(&str, &'static str), usize>::new();
        let mut loading = 0;
        let text = String::from_utf8_lossy(&text);
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').unwrap_or_default();
            let name = rest.trim_start().split('(').next().unwrap_or_default();
            let mut known = WRITES.iter().chain(&OTHERS).copied();
            if let Some(call) = known.find(|call| *call == name) {
                let count = counts.entry((thread, call)).or_default();
                *count += 1;
                if call == "openat" && rest.contains(".so") {
                    loading = loading.max(*count);
                }
            }
        }
        // strace counts each thread's calls on its own.
        let counts = counts.into_iter().map(|((_, call), count)| (call, count));
        Ok(Self {
            counts: counts.collect(),
            loading,
        })
    }

    /// A call, and which of a thread's calls.
    fn draw(&self, random: &mut Random, among: &[&'static str]) -> (&'static str, usize) {
        let among: Vec<_> = self
            .counts
            .iter()
            .filter(|(call, _)| among.contains(call))
            .collect();
        let (call, count) = *random.one_of(&among);
        (call, random.below(count) + 1)
    }
}

impl Fault {
    pub(super) fn draw(random: &mut Random, calls: &Calls, ranks: bool) -> Self {
        if ranks {
            return Self::Rank {
                signal: random.one_of(&["KILL", "KILL", "STOP", "delayed", "TERM"]),
                lines: random.below(14),
            };
        }
        match random.below(12) {
            0..=3 => {
                let (call, at) = calls.draw(random, &WRITES);
                Self::Kill { call, at }
            }
            4 => {
                let (call, at) = calls.draw(random, &OTHERS);
                Self::Kill { call, at }
            }
            5 | 6 => {
                let (call, at) =
                    calls.draw(random, &["openat", "write", "fsync", "mkdir", "renameat"]);
                Self::Error {
                    call,
                    error: "ENOSPC",
                    at,
                    lasts: true,
                }
            }
            7 => {
                let (call, at) = calls.draw(random, &["fsync"]);
                let lasts = random.below(2) == 0;
                Self::Error {
                    call,
                    error: "EIO",
                    at,
                    lasts,
                }
            }
            8 => Self::Interrupted {
                every: random.below(5) + 2,
                loading: calls.loading,
            },
            9 => Self::Slow {
                milliseconds: random.below(20) + 1,
            },
            10 => Self::FileSize {
                bytes: random.below(120_000),
            },
            _ => Self::KillAfter {
                milliseconds: random.below(1500),
            },
        }
    }

    /// Runs the command under the fault.
    pub(super) fn run(
        &self,
        bench: &Bench,
        words: &[String],
        run: &Path,
    ) -> Result<(Ended, Option<String>), String> {
        let mut wrapped: Vec<String> = match self {
            Self::Rank { signal, lines } => return run_ranks(bench, words, run, signal, *lines),
            Self::FileSize { bytes } => vec!["prlimit".into(), format!("--fsize={bytes}")],
            Self::KillAfter { milliseconds } => {
                let seconds = *milliseconds as f64 / 1000.0;
                vec![
                    "timeout".into(),
                    "--signal=KILL".into(),
                    format!("{seconds:.3}"),
                ]
            }
            Self::Kill { call, at } => strace(&[format!("{call}:signal=KILL:when={at}")]),
            Self::Error {
                call,
                error,
                at,
                lasts,
            } => {
                let lasts = if *lasts { "+" } else { "" };
                strace(&[format!("{call}:error={error}:when={at}{lasts}")])
            }
            Self::Interrupted { every, loading } => strace(&[
                format!("write,fsync:error=EINTR:when={every}+{every}"),
                format!("openat:error=EINTR:when={}+{every}", loading + every),
            ]),
            Self::Slow { milliseconds } => strace(&[format!(
                "write,fsync,fdatasync,renameat2:delay_enter={}",
                1000 * milliseconds
            )]),
        };
        wrapped.extend_from_slice(words);
        bench.finish(bench.launch(&wrapped), run)
    }

    /// Whether a run under this fault may end with this exit code.
    pub(super) fn allows(&self, code: i32) -> bool {
        let killed = 128 + 9;
        match self {
            Self::Kill { .. } | Self::KillAfter { .. } => [0, killed].contains(&code),
            // An error is one line, or a warning where the run can do without.
            // 127: the program could not be loaded.
            Self::Error { .. } => [0, 1, 2, 127].contains(&code),
            Self::Interrupted { .. } | Self::Slow { .. } => code == 0,
            // SIGXFSZ ends the process, as a kill does.
            Self::FileSize { .. } => [0, 1, 2, 128 + 25].contains(&code),
            Self::Rank {
                signal: "delayed", ..
            } => code == 0,
            Self::Rank { .. } => (0..=255).contains(&code),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { call, at } => write!(f, "killed at {call} {at}"),
            Self::Error {
                call,
                error,
                at,
                lasts,
            } => {
                write!(
                    f,
                    "{error} of {call} {at}{}",
                    if *lasts { " and later" } else { "" }
                )
            }
            Self::Interrupted { every, .. } => write!(f, "every {every}th call interrupted"),
            Self::Slow { milliseconds } => write!(f, "{milliseconds} ms for each write"),
            Self::FileSize { bytes } => write!(f, "files of at most {bytes} bytes"),
            Self::KillAfter { milliseconds } => write!(f, "killed after {milliseconds} ms"),
            Self::Rank { signal, lines } => write!(f, "rank 1 {signal} after {lines} lines"),
        }
    }
}

/// The words before a command that make strace inject faults, each `CALLS:FAULT`.
fn strace(injections: &[String]) -> Vec<String> {
    let calls = injections.iter().filter_map(|each| each.split(':').next());
    let calls = calls.collect::<Vec<_>>().join(",");
    let mut words = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e"]
        .map(String::from)
        .to_vec();
    words.push(format!("trace={calls}"));
    for injection in injections {
        words.extend(["-e".into(), format!("inject={injection}")]);
    }
    words
}

/// Two ranks, of which the second gets a signal.
fn run_ranks(
    bench: &Bench,
    words: &[String],
    run: &Path,
    signal: &str,
    lines: usize,
) -> Result<(Ended, Option<String>), String> {
    let command = bench.launch(words);
    let log = run.join(run_log::METRICS_LOG);
    let count = move || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let lines = count() + lines;
    let marker = words[0].clone();
    std::thread::scope(|scope| {
        let disturber = scope.spawn(move || {
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(60) {
                if count() >= lines
                    && let Some(rank) = rank_1(&marker)
                {
                    let send = |name: &str| {
                        let _ = Command::new("kill")
                            .args([&format!("-{name}"), &rank])
                            .stderr(Stdio::null())
                            .status();
                    };
                    if signal == "delayed" {
                        send("STOP");
                        std::thread::sleep(Duration::from_secs(2));
                        send("CONT");
                    } else {
                        send(signal);
                    }
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let ended = bench.finish(command, run);
        let _ = disturber.join();
        ended
    })
}

/// The process id of rank 1 of this program.
fn rank_1(program: &str) -> Option<String> {
    let program = std::fs::canonicalize(program).ok()?;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ranks = processes.filter(|process| {
        let path = process.path();
        let is_program = std::fs::read_link(path.join("exe")).is_ok_and(|exe| exe == program);
        is_program && {
            let environment = std::fs::read(path.join("environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == b"OMPI_COMM_WORLD_RANK=1")
        }
    });
    ranks.next()?.file_name().into_string().ok()
}
