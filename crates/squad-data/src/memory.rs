//! How much memory there is, and how much of it the text of a file may take.

use std::path::Path;
use std::sync::OnceLock;

/// The most memory in bytes that this process can have: that of the machine, or less under a limit of its control group
/// (container, SLURM job) or of its address space (`ulimit -v`). `None` where it is not known.
pub fn memory_limit() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo".as_ref()).and_then(|text| machine(&text));
    let address_space = read("/proc/self/limits".as_ref()).and_then(|text| address_space(&text));
    let groups = read("/proc/self/cgroup".as_ref()).unwrap_or_default();
    let group = group_files(&groups)
        .iter()
        .filter_map(|file| read(file.as_ref())?.trim().parse().ok())
        .min();
    [machine, address_space, group].into_iter().flatten().min()
}

/// Checks that the text of a data file, as far as it is read, leaves memory for what is made of it.
pub(crate) fn check_text_size(bytes: u64) -> Result<(), String> {
    static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
    check_share(bytes, *LIMIT.get_or_init(memory_limit))
}

fn check_share(bytes: u64, limit: Option<u64>) -> Result<(), String> {
    match limit {
        Some(limit) if bytes > limit / 4 => Err(format!(
            "its text has more than {}: at most a quarter of the {} of memory that this process can have is used for it",
            readable_size(limit / 4),
            readable_size(limit)
        )),
        _ => Ok(()),
    }
}

/// A number of bytes for messages, such as `1.5 GiB`.
pub fn readable_size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (0..7)
        .rev()
        .find(|unit| bytes >> (10 * unit) > 0)
        .unwrap_or(0);
    let number = bytes as f64 / (1_u64 << (10 * unit)) as f64;
    let digits = usize::from(unit > 0);
    format!("{number:.digits$} {}", units[unit])
}

/// `MemTotal` of `/proc/meminfo`.
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The soft limit of `/proc/self/limits`.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The files with the limits of the groups of `/proc/self/cgroup` and of their parents, in both versions.
fn group_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let parents = Path::new(path).ancestors();
        files.extend(parents.map(|path| {
            let path = path.to_string_lossy();
            format!("{root}{}/{file}", path.trim_end_matches('/'))
        }));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_the_files_of_linux() {
        assert_eq!(
            machine("MemFree: 1 kB\nMemTotal:  24 kB\n"),
            Some(24 * 1024)
        );
        assert_eq!(machine("MemTotal: much"), None);
        let limits =
            "Max cpu time   unlimited unlimited seconds\nMax address space  2048 4096 bytes";
        assert_eq!(address_space(limits), Some(2048));
        assert_eq!(address_space(&limits.replace("2048", "unlimited")), None);
        assert_eq!(
            group_files("0::/a/b\n3:cpu,memory:/c\n2:cpu:/d\nwrong"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory/c/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            ]
        );
        #[cfg(target_os = "linux")]
        assert!(memory_limit().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn a_text_may_have_a_quarter_of_the_memory() {
        assert_eq!(check_share(1024, Some(4096)), Ok(()));
        assert_eq!(check_share(u64::MAX, None), Ok(()));
        let message = check_share(1025, Some(4096)).unwrap_err();
        assert!(
            message.contains("1.0 KiB") && message.contains("4.0 KiB"),
            "{message}"
        );
        assert_eq!(check_text_size(1), Ok(()));
    }

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(readable_size(bytes), text);
        }
    }
}
