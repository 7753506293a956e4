use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::CachedRepo;
use super::client::{Client, Failure, Reply};
use crate::Watch;

/// Brings the contents of a file into the cache as `blob`, which appears whole or not at all.
///
/// What has arrived is kept in `ETAG.incomplete`, as Python's library does, and is gone on from the
/// next time. The length is checked, and the SHA-256 where the tag is one. `reply` is the answer to
/// asking for the whole file at the client's revision, or at the commit `at`.
pub(super) fn blob(
    client: &Client,
    (file, at): (&str, Option<&str>),
    mut reply: Reply,
    blob: &Path,
    cached: &CachedRepo,
    watch: &Watch,
) -> Result<(), Failure> {
    if blob.is_file() {
        return Ok(());
    }
    let folder = blob.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| disk(folder, &e))?;
    let _lock = cached.lock(blob, watch).map_err(|e| disk(folder, &e))?;
    // Another process may have brought it meanwhile.
    if blob.is_file() {
        return Ok(());
    }
    let mut incomplete = blob.as_os_str().to_owned();
    incomplete.push(".incomplete");
    let incomplete = Path::new(&incomplete);
    let kept = std::fs::metadata(incomplete).map_or(0, |metadata| metadata.len());
    // Without a length nobody knows whether what is there is the beginning of it.
    let mut arrived = if reply.size.is_some_and(|size| kept <= size) {
        kept
    } else {
        0
    };
    if arrived > 0 && reply.size != Some(arrived) {
        let etag = reply.etag;
        reply = client.ask(file, at, arrived)?;
        if reply.etag != etag {
            return Err(passing("the file has just changed".into(), false));
        }
        // A server that does not know ranges sends the whole file.
        arrived = reply.first_byte;
    }
    if arrived == 0 || reply.size != Some(arrived) {
        let out = OpenOptions::new()
            .append(true)
            .create(true)
            .open(incomplete);
        let out = out.and_then(|out| out.set_len(arrived).map(|()| out));
        let mut out = out.map_err(|e| disk(incomplete, &e))?;
        let size = reply.size.unwrap_or(0);
        let body = reply.body.as_reader();
        let told = |arrived| (watch.progress)(file, arrived, size);
        let received = receive(body, &mut out, &mut arrived, &told);
        let whole = received.map_err(|e| disk(incomplete, &e))?;
        if !whole || reply.size.is_some_and(|size| size != arrived) {
            let of = reply
                .size
                .map_or(String::new(), |size| format!(" of {size}"));
            let message = format!("the connection was lost after {arrived}{of} bytes");
            return Err(passing(message, arrived > kept));
        }
    }
    check(&reply.etag, incomplete)?;
    std::fs::rename(incomplete, blob).map_err(|e| disk(blob, &e))
}

/// Writes the body behind the `arrived` bytes that are there, and counts on. Whether all of it came;
/// the error is one of writing.
fn receive(
    mut body: impl Read,
    out: &mut File,
    arrived: &mut u64,
    told: &dyn Fn(u64),
) -> std::io::Result<bool> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        told(*arrived);
        match body.read(&mut bytes) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                out.write_all(&bytes[..count])?;
                *arrived += count as u64;
            }
            Err(_) => return Ok(false),
        }
    }
}

/// The tag of a large file is the SHA-256 of its contents.
fn check(etag: &str, path: &Path) -> Result<(), Failure> {
    if etag.len() != 64 || !etag.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    let sha256 = sha256_of(path).map_err(|e| disk(path, &e))?;
    if sha256.eq_ignore_ascii_case(etag) {
        return Ok(());
    }
    std::fs::remove_file(path).map_err(|e| disk(path, &e))?;
    Err(Failure::Lasting(format!(
        "what arrived has sha256 {sha256}, the Hub says {etag}: nothing was kept, try again"
    )))
}

pub(crate) fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn passing(message: String, arrived: bool) -> Failure {
    Failure::Passing { message, arrived }
}

fn disk(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Lasting(format!("{}: {error}", path.display()))
}
