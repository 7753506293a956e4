//! Unpacks gzip.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// The content of all members of a gzip file, one after the other. Zeros behind a member are padding, as for Python's gzip.
pub(super) struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: Read> Gzip<BufReader<R>> {
    pub(super) fn new(source: R) -> Self {
        Self(Some(GzDecoder::new(BufReader::new(source))))
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            let has_more = skip_zeros(member.get_mut())?;
            let rest = self.0.take().filter(|_| has_more);
            self.0 = rest.map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

/// Skips zeros; `false` at the end of the source.
fn skip_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let has_other = zeros < bytes.len();
        source.consume(zeros);
        if has_other {
            return Ok(true);
        }
    }
}
