//! One file, from the first of several addresses that has it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;

use super::manifest::{DatasetFile, check_address};
use super::part::Part;
use super::request::{Failure, agent, request};
use crate::Error;
use crate::artifacts::digest::sha256_of;

/// Where a file may come from besides its own address, and how patiently it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchOptions {
    /// Addresses of folders that hold the files under their names, asked before the file's own.
    pub mirrors: Vec<String>,
    /// Addresses of such folders, asked after the file's own.
    pub last_mirrors: Vec<String>,
    /// How often in a row an address may fail without one more byte of the file before the next
    /// address is asked: dropped connections, silence, and answers of 5xx, 408 and 429. Default 4.
    pub retries: u32,
    /// The wait after the first failure, doubled after each further one. Default 1 s.
    pub first_wait: Duration,
    /// The longest silence of a server. Default 30 s.
    pub patience: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            last_mirrors: Vec::new(),
            retries: 4,
            first_wait: Duration::from_secs(1),
            patience: Duration::from_secs(30),
        }
    }
}

/// What is told while a file is fetched.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchEvent<'a> {
    /// So many of its bytes are there, those of an earlier download included.
    Progress {
        /// The file.
        file: &'a DatasetFile,
        /// Bytes that are there.
        bytes: u64,
    },
    /// A line about what did not go well, and what is done about it.
    Notice(String),
}

/// Fetches a file into a folder, which is made if need be, and gives its path.
///
/// It grows under the name `NAME.part` and gets its own when size and SHA-256 are right. A part
/// that an earlier download left is gone on with; where that leads to other content, the download
/// starts over, once at each address. A file that is there already is checked and left as it is.
///
/// # Errors
/// If no address has the file (the message tells what came of each, and what to do), if a file of
/// that name but other content is in the way, if another process is fetching it, or if the disk
/// does not take it.
pub fn fetch_file(
    file: &DatasetFile,
    folder: &Path,
    options: &FetchOptions,
    tell: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, Error> {
    let addresses = addresses(file, options)?;
    let target = folder.join(&file.name);
    if target.exists() {
        check_present(file, &target)?;
        tell(FetchEvent::Notice(format!(
            "{} is there already",
            target.display()
        )));
        return Ok(target);
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let part = Part::open(folder.join(format!("{}.part", file.name)))?;
    let agent = agent(options.patience);
    let mut download = Download {
        file,
        options,
        agent,
        part,
        tell,
    };
    let mut outcomes = Vec::new();
    for (number, url) in (1..).zip(&addresses) {
        match download.ask(url) {
            Ok(()) => {
                download.part.finish(&target)?;
                return Ok(target);
            }
            Err(Stop::Local(error)) => return Err(error),
            Err(Stop::Address(message)) => {
                let outcome = format!("{url}: {message}");
                if number < addresses.len() {
                    download.notice(format!("{outcome}: asking the next address"));
                }
                outcomes.push(outcome);
            }
        }
    }
    Err(Error::File {
        path: target,
        message: format!(
            "{}; give a mirror that has it (--mirror URL), or put the file there yourself ({} bytes, sha256 {})",
            outcomes.join("; "),
            file.size,
            file.sha256
        ),
    })
}

/// The mirrors asked for by the user, the file's own address, the manifest's mirrors.
fn addresses(file: &DatasetFile, options: &FetchOptions) -> Result<Vec<String>, Error> {
    let in_folder = |mirror: &String| match check_address(mirror) {
        Ok(()) => Ok(format!("{}/{}", mirror.trim_end_matches('/'), file.name)),
        Err(message) => Err(Error::Config(vec![format!("mirror {message}")])),
    };
    let first = options.mirrors.iter().map(in_folder);
    let last = options.last_mirrors.iter().map(in_folder);
    first.chain([Ok(file.url.clone())]).chain(last).collect()
}

/// A file that is there already must be the one that was asked for; it is not ours to replace.
fn check_present(file: &DatasetFile, target: &Path) -> Result<(), Error> {
    let digest = File::open(target)
        .and_then(|mut file| sha256_of(&mut file))
        .map_err(|e| Error::file(target, e))?;
    match digest == file.sha256 {
        true => Ok(()),
        false => Err(Error::File {
            path: target.into(),
            message: format!(
                "is there already with other content (sha256 {digest}, not {}): move it away, or fetch to another folder",
                file.sha256
            ),
        }),
    }
}

/// What ends the asking of one address.
enum Stop {
    Address(String),
    Local(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

struct Download<'a> {
    file: &'a DatasetFile,
    options: &'a FetchOptions,
    agent: Agent,
    part: Part,
    tell: &'a mut dyn FnMut(FetchEvent<'_>),
}

impl Download<'_> {
    /// Leaves the whole file in `part`, or says why this address cannot.
    fn ask(&mut self, url: &str) -> Result<(), Stop> {
        let (mut failures, mut furthest, mut started_over) = (0, self.part.len(), false);
        loop {
            let failure = match self.rest(url) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            match failure {
                Failure::Local(error) => return Err(Stop::Local(error)),
                Failure::GiveUp(message) => return Err(Stop::Address(message)),
                Failure::StartOver(message) => {
                    self.part.clear()?;
                    if started_over {
                        return Err(Stop::Address(message));
                    }
                    (started_over, furthest) = (true, 0);
                    self.notice(format!("{url}: {message}: starting over"));
                }
                Failure::Retry(message) => {
                    let went_on = self.part.len() > furthest;
                    if went_on {
                        (failures, furthest) = (0, self.part.len());
                    } else if failures == self.options.retries {
                        let times = failures + 1;
                        return Err(Stop::Address(format!("{message} ({times} times in a row)")));
                    }
                    let factor = 2_u32.saturating_pow(failures);
                    let wait = self.options.first_wait.saturating_mul(factor);
                    failures += u32::from(!went_on);
                    let seconds = wait.as_secs_f64();
                    self.notice(format!("{url}: {message}: trying again in {seconds} s"));
                    std::thread::sleep(wait);
                }
            }
        }
    }

    /// One request for what is missing, and a look at the whole once nothing is.
    fn rest(&mut self, url: &str) -> Result<(), Failure> {
        if self.part.len() < self.file.size {
            self.receive(url)?;
        }
        self.check()
    }

    fn receive(&mut self, url: &str) -> Result<(), Failure> {
        let (have, size) = (self.part.len(), self.file.size);
        let mut answer = request(&self.agent, url, have, size, self.options.patience)?;
        if answer.start != have {
            self.notice(format!("{url}: sends whole files only: starting over"));
            self.part.clear().map_err(Failure::Local)?;
        }
        self.progress();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = answer.read(&mut buffer).map_err(|failure| match failure {
                Failure::Retry(message) => {
                    let have = self.part.len();
                    Failure::Retry(format!("{message} after {have} of {size} bytes"))
                }
                other => other,
            })?;
            if count == 0 {
                break;
            }
            if self.part.len() + count as u64 > size {
                return Err(Failure::StartOver(format!("sent more than {size} bytes")));
            }
            self.part.append(&buffer[..count]).map_err(Failure::Local)?;
            self.progress();
        }
        match self.part.len() {
            length if length < size => Err(Failure::Retry(format!(
                "ended after {length} of {size} bytes"
            ))),
            _ => Ok(()),
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        let (length, size) = (self.part.len(), self.file.size);
        if length > size {
            return Err(Failure::StartOver(format!(
                "cannot go on from {length} bytes of {size}"
            )));
        }
        let digest = self.part.sha256().map_err(Failure::Local)?;
        match digest == self.file.sha256 {
            true => Ok(()),
            false => Err(Failure::StartOver(format!(
                "led to other content (sha256 {digest}, not {})",
                self.file.sha256
            ))),
        }
    }

    fn progress(&mut self) {
        let (file, bytes) = (self.file, self.part.len());
        (self.tell)(FetchEvent::Progress { file, bytes });
    }

    fn notice(&mut self, line: String) {
        (self.tell)(FetchEvent::Notice(line));
    }
}
