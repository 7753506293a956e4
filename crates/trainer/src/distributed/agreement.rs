//! How ranks agree before the first step, and report an error once.

use process_group::ProcessGroup;

use crate::Error;
use crate::device::process::hostname;

/// Returns `result` if it is `Ok` on all ranks. Otherwise every rank gets an error: a failed rank its own with its rank,
/// the others [`Error::PeerFailed`], which nobody has to print. A rank whose error a lower rank reports gets
/// [`Error::PeerFailed`] too.
///
/// # Errors
/// If any rank fails or is lost.
pub fn check_all_ranks<T>(group: &dyn ProcessGroup, result: Result<T, Error>) -> Result<T, Error> {
    if group.world_size() == 1 || matches!(result, Err(Error::Group(_))) {
        return result;
    }
    let encode = |error: &Error| [&[error.exit_code()], error.to_string().as_bytes()].concat();
    let mine = result.as_ref().err().map(encode).unwrap_or_default();
    let all = group.all_gather_bytes(mine.clone())?;
    let Some(first) = all.iter().find(|error| !error.is_empty()) else {
        return result;
    };
    match result {
        Err(error) if !all[..group.rank()].contains(&mine) => Err(known_to_all(error, group)),
        _ => Err(Error::PeerFailed {
            exit_code: first[0],
        }),
    }
}

/// Checks that all ranks pass the same bytes. If not, rank 0 gets the error that names the others, and they get
/// [`Error::PeerFailed`].
///
/// # Errors
/// If a rank passes other bytes or is lost.
pub(crate) fn assert_same_on_all_ranks(
    group: &dyn ProcessGroup,
    what: &str,
    mine: &[u8],
) -> Result<(), Error> {
    match group.check_equal(what, mine) {
        Err(error @ process_group::Error::Unequal { .. }) => {
            let error = known_to_all(error.into(), group);
            match group.rank() {
                0 => Err(error),
                _ => Err(Error::PeerFailed {
                    exit_code: error.exit_code(),
                }),
            }
        }
        result => Ok(result?),
    }
}

/// Adds this rank to an error that the others do not know about, if there are others.
pub(crate) fn with_rank(error: Error, group: &dyn ProcessGroup) -> Error {
    match error {
        Error::Rank { .. } | Error::PeerFailed { .. } | Error::Group(_) => error,
        error => of_rank(error, group, false),
    }
}

/// Adds this rank to an error that the others know about, if there are others.
pub(crate) fn known_to_all(error: Error, group: &dyn ProcessGroup) -> Error {
    of_rank(error, group, true)
}

fn of_rank(error: Error, group: &dyn ProcessGroup, is_known: bool) -> Error {
    if group.world_size() == 1 {
        return error;
    }
    Error::Rank {
        place: name(group),
        source: Box::new(error),
        is_known,
    }
}

/// `rank 1 (node7)`
fn name(group: &dyn ProcessGroup) -> String {
    let rank = group.rank();
    match &*hostname() {
        "" => format!("rank {rank}"),
        host => format!("rank {rank} ({host})"),
    }
}
