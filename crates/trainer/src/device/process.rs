//! Memory and cores of this process.

/// Keeps freed memory in the process instead of giving it back to the system.
///
/// A training step frees and takes the same hundreds of megabytes again and again; with glibc's
/// defaults each time costs a page fault per 4 KiB.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt only changes settings of the allocator, and runs before any other thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        // Other arenas than the main one give memory back whatever the threshold says.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Keeps the panics of Parquet's decoder off standard error: they come back as errors of one line.
#[cfg(feature = "parquet")]
pub fn quiet_parquet_panics() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(squad_data::PARQUET_THREAD) {
            previous(info);
        }
    }));
}

/// The cores that this process may use; of one that runs several threads, one.
pub(crate) fn cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    allowed.min(num_cpus::get_physical()).max(1)
}

/// The process's peak resident memory in bytes, where the system tells it.
pub fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
