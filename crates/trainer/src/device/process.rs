//! Memory and cores of this process, and other processes.

use std::path::Path;

/// Makes glibc's allocator keep freed memory in the process.
///
/// Every training step frees and allocates the same hundreds of megabytes; with glibc's defaults that costs a page fault
/// for each 4 KiB.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt only changes settings of the allocator, and runs before any other thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        // Arenas other than the main one ignore the threshold.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Keeps panics that are returned as errors off standard error: those of the readers of foreign files, and those for lack of
/// memory.
pub fn quiet_handled_panics() {
    const READERS: &[&str] = &[
        squad_data::TOKENIZER_THREAD,
        #[cfg(feature = "parquet")]
        squad_data::PARQUET_THREAD,
    ];

    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_reader = (std::thread::current().name()).is_some_and(|name| READERS.contains(&name));
        if !is_reader && super::out_of_memory::reason(info.payload()).is_none() {
            previous(info);
        }
    }));
}

/// The name of this machine; empty if it is not known.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
}

/// Whether a process of this machine runs; `true` if that is not known.
pub(crate) fn is_running(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// The number of physical cores that this process may use.
pub(crate) fn cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    allowed.min(num_cpus::get_physical()).max(1)
}

/// The peak resident memory of this process in bytes; `None` outside Linux.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
