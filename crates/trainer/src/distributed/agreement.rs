//! What ranks tell each other before the first step.

use process_group::ProcessGroup;

use crate::Error;

/// Goes on where every rank can. A rank that cannot gets its own error, unless one before it has the same to
/// say; the others get [`Error::PeerFailed`], which needs no line.
///
/// # Errors
/// As said; and if a rank is lost.
pub fn check_all_ranks<T>(group: &dyn ProcessGroup, result: Result<T, Error>) -> Result<T, Error> {
    if group.world_size() == 1 || matches!(result, Err(Error::Group(_))) {
        return result;
    }
    let told = |error: &Error| [&[error.exit_code()], error.to_string().as_bytes()].concat();
    let mine = result.as_ref().err().map(told).unwrap_or_default();
    let all = group.all_gather_bytes(mine.clone())?;
    let Some(first) = all.iter().position(|told| !told.is_empty()) else {
        return result;
    };
    match result {
        Err(error) if !all[..group.rank()].contains(&mine) => Err(Error::Rank {
            place: place(group),
            source: Box::new(error),
            is_known: true,
        }),
        _ => Err(Error::PeerFailed {
            exit_code: all[first][0],
        }),
    }
}

/// Checks that something is the same on all ranks. Rank 0 says whose is not; on the others the error
/// needs no line.
///
/// # Errors
/// As said; and if a rank is lost.
pub(crate) fn assert_same_on_all_ranks(
    group: &dyn ProcessGroup,
    what: &str,
    mine: &[u8],
) -> Result<(), Error> {
    let told = match group.check_equal(what, mine) {
        Err(error @ process_group::Error::Unequal { .. }) => Error::Rank {
            place: place(group),
            source: Box::new(error.into()),
            is_known: true,
        },
        result => return Ok(result?),
    };
    match group.rank() {
        0 => Err(told),
        _ => Err(Error::PeerFailed {
            exit_code: told.exit_code(),
        }),
    }
}

/// An error of this rank with its name, where there are others.
pub(crate) fn with_rank(error: Error, group: &dyn ProcessGroup) -> Error {
    match error {
        error if group.world_size() == 1 => error,
        Error::Rank { .. } | Error::PeerFailed { .. } | Error::Group(_) => error,
        error => Error::Rank {
            place: place(group),
            // A step that gives no number is the same step for all.
            is_known: matches!(error, Error::Diverged { .. }),
            source: Box::new(error),
        },
    }
}

/// `rank 1 (node7)`
fn place(group: &dyn ProcessGroup) -> String {
    let rank = group.rank();
    match std::fs::read_to_string("/proc/sys/kernel/hostname") {
        Ok(host) => format!("rank {rank} ({})", host.trim()),
        Err(_) => format!("rank {rank}"),
    }
}
