//! A kept file that is damaged in any way is noticed and made again.

use std::path::Path;

use proptest::prelude::*;

use crate::cache::{get, names, options, questions};

/// Spoils the kept file, and sees the damage told, the windows made and the file mended.
fn assert_mended(
    folder: &Path,
    spoil: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    let made = get(folder, &questions(), &options());
    let whole = std::fs::read(&made.path).unwrap();
    let spoilt = spoil(whole.clone());
    prop_assert_ne!(&spoilt, &whole, "the damage must be one");
    std::fs::write(&made.path, spoilt).unwrap();
    let mended = get(folder, &questions(), &options());
    prop_assert!(!mended.read && mended.damage.is_some() && mended.not_kept.is_none());
    prop_assert!(
        mended.notice().contains("the file there was no use: "),
        "{}",
        mended.notice()
    );
    prop_assert_eq!(&mended.features, &made.features);
    prop_assert!(
        get(folder, &questions(), &options()).read,
        "the file is whole again"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_anywhere_is_found(at in any::<prop::sample::Index>(), change in 1..=255u8) {
        let folder = tempfile::tempdir().unwrap();
        assert_mended(folder.path(), |mut bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            bytes
        })?;
    }

    /// The header is a small part of the file, and the part where a change could pass unseen.
    #[test]
    fn a_changed_byte_of_the_header_is_found(at in any::<prop::sample::Index>(), change in 1..=255u8) {
        let folder = tempfile::tempdir().unwrap();
        assert_mended(folder.path(), |mut bytes| {
            let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
            bytes[at.index(header)] ^= change;
            bytes
        })?;
    }

    #[test]
    fn a_cut_file_is_found(at in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        assert_mended(folder.path(), |bytes| bytes[..at.index(bytes.len())].to_vec())?;
    }
}

#[test]
fn other_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let other = get(folder.path(), &questions()[1..], &options());
    let other = std::fs::read(other.path).unwrap();
    // A good file of other windows under this name.
    assert_mended(folder.path(), |_| other).unwrap();
    assert_mended(folder.path(), |bytes| [&bytes[..], b"\0"].concat()).unwrap();
    // Space for space that JSON does not tell apart.
    assert_mended(folder.path(), |mut bytes| {
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes.splice(..header, {
            let mut json = bytes[8..header].to_vec();
            json.extend(b"        ");
            [&(json.len() as u64).to_le_bytes()[..], &json].concat()
        });
        bytes
    })
    .unwrap();
    let path = get(folder.path(), &questions(), &options()).path;
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let cached = get(folder.path(), &questions(), &options());
    assert!(
        cached.damage.is_some() && cached.not_kept.is_some(),
        "{}",
        cached.notice()
    );
    assert!(
        !names(folder.path())
            .iter()
            .any(|name| name.ends_with(".partial"))
    );
}
