//! What this build is: its versions, on which a run's results depend, and its features.

use std::collections::BTreeMap;

/// This program and its version.
pub(crate) const PROGRAM: (&str, &str) = ("squad-burn", env!("CARGO_PKG_VERSION"));

/// The versions of this program and of Burn.
pub(crate) fn versions() -> BTreeMap<&'static str, String> {
    let (name, version) = PROGRAM;
    BTreeMap::from([
        (name, version.to_owned()),
        ("burn", bert_qa::burn_version()),
    ])
}

/// The features that all ranks must share: what reads the data and computes.
pub(crate) fn shared_features() -> Vec<&'static str> {
    let features = [
        ("cpu", cfg!(feature = "cpu")),
        ("flex", cfg!(feature = "flex")),
        ("libtorch", cfg!(feature = "libtorch")),
        ("cuda", cfg!(feature = "cuda")),
        ("nccl", cfg!(feature = "nccl")),
        ("csv", cfg!(feature = "csv")),
        ("parquet", cfg!(feature = "parquet")),
    ];
    let features = features.into_iter().filter(|(_, is_on)| *is_on);
    features.map(|(name, _)| name).collect()
}
