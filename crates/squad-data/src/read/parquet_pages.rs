//! Pages of Parquet files, whose sizes are checked before memory is reserved for them.
//!
//! A page that is compressed with gzip, brotli or zstd may be a thousand and more times as long as it says, and the `parquet`
//! crate decompresses it whole. It decompresses zstd through a C library, too, whose build changes that of Burn's
//! dependencies. So this module reads such pages itself: it parses their headers (Thrift's compact protocol) and
//! decompresses as much as they state. Of other pages it checks the headers. The layout is that of
//! <https://github.com/apache/parquet-format>.

use std::fs::File;
#[cfg(feature = "parquet-codecs")]
use std::io::Read;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

use crate::memory::check_text_size;
use crate::varint::varint;

/// Bytes of a file that are read at once to find a page's header, which may hold statistics.
const HEADER_BYTES: usize = 1 << 12;

/// No byte of Snappy or LZ4 stands for more.
const MAX_RATIO: usize = 256;
/// Bytes that any page may have.
const SMALL: usize = 1 << 16;

/// The pages of one column in one row group.
pub(super) struct Pages {
    file: Arc<File>,
    codec: Compression,
    next: u64,
    end: u64,
    /// Values that are still to come, as the file states.
    values_left: i64,
    header: Option<Header>,
}

impl Pages {
    pub(super) fn new(file: Arc<File>, column: &ColumnChunkMetaData) -> Result<Self> {
        let start = column
            .dictionary_page_offset()
            .unwrap_or(column.data_page_offset());
        let range = u64::try_from(start)
            .ok()
            .zip(u64::try_from(column.compressed_size()).ok());
        let (next, length) = range.ok_or_else(|| wrong("a column has a negative place"))?;
        Ok(Self {
            file,
            codec: column.compression(),
            next,
            end: next.saturating_add(length),
            values_left: column.num_values(),
            header: None,
        })
    }

    /// Whether this module decompresses the pages.
    pub(super) fn decompresses(&self) -> bool {
        cfg!(feature = "parquet-codecs")
            && matches!(
                self.codec,
                Compression::GZIP(_) | Compression::BROTLI(_) | Compression::ZSTD(_)
            )
    }

    /// Checks the sizes that the headers state, for a reader that believes them.
    pub(super) fn check(mut self) -> Result<()> {
        // That reader goes on to the end of the column.
        self.values_left = i64::MAX;
        while let Some(header) = self.header()? {
            let most = header.compressed_size.saturating_mul(MAX_RATIO);
            if header.uncompressed_size > most.saturating_add(SMALL) {
                return Err(wrong("a page states a size that it cannot have"));
            }
            if let Some(header) = self.header.take() {
                self.pass(&header);
            }
            self.values_left = i64::MAX;
        }
        Ok(())
    }

    /// The header of the next page; `None` behind the last one.
    fn header(&mut self) -> Result<Option<&Header>> {
        if self.header.is_none() && self.next < self.end && self.values_left > 0 {
            let rest = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
            let mut length = HEADER_BYTES;
            self.header = loop {
                let bytes = self.file.get_bytes(self.next, length.min(rest))?;
                match Header::parse(&bytes) {
                    Some((header, used)) => {
                        self.next += used as u64;
                        break Some(header);
                    }
                    None if length < rest => length = length.saturating_mul(16),
                    None => return Err(wrong("a page has no header")),
                }
            };
        }
        Ok(self.header.as_ref())
    }

    fn pass(&mut self, header: &Header) {
        self.next += header.compressed_size as u64;
        if matches!(header.kind, PageKind::Data | PageKind::DataV2) {
            self.values_left -= i64::from(header.num_values);
        }
    }

    /// `None` for a page that is none of values.
    fn page(&mut self, header: &Header) -> Result<Option<Page>> {
        check_text_size(header.uncompressed_size as u64).map_err(|problem| wrong(&problem))?;
        let fits = self.next + header.compressed_size as u64 <= self.end;
        if !fits {
            return Err(wrong("a page is longer than its column"));
        }
        let bytes = self.file.get_bytes(self.next, header.compressed_size)?;
        // Levels of the second version come before the compressed values.
        let levels = match header.kind {
            PageKind::DataV2 => header
                .def_levels_length
                .saturating_add(header.rep_levels_length),
            _ => 0,
        };
        let (Some(levels_bytes), Some(values)) = (bytes.get(..levels), bytes.get(levels..)) else {
            return Err(wrong("the levels of a page are longer than the page"));
        };
        let mut buffer = levels_bytes.to_vec();
        if header.is_compressed && !values.is_empty() {
            decompress(self.codec, values, header.uncompressed_size, &mut buffer)?;
        } else {
            buffer.extend_from_slice(values);
        }
        if buffer.len() != header.uncompressed_size {
            return Err(wrong("a page has another size than it states"));
        }
        let encoding = encoding(header.encoding)?;
        Ok(Some(match header.kind {
            PageKind::Index => return Ok(None),
            PageKind::Dictionary => Page::DictionaryPage {
                buf: buffer.into(),
                num_values: header.num_values,
                encoding,
                is_sorted: false,
            },
            PageKind::Data => Page::DataPage {
                buf: buffer.into(),
                num_values: header.num_values,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
            PageKind::DataV2 => Page::DataPageV2 {
                buf: buffer.into(),
                num_values: header.num_values,
                encoding,
                num_nulls: header.num_nulls,
                num_rows: header.num_rows,
                def_levels_byte_len: header.def_levels_length as u32,
                rep_levels_byte_len: header.rep_levels_length as u32,
                is_compressed: header.is_compressed,
                statistics: None,
            },
        }))
    }
}

/// Appends the decompressed values. The output is never longer than `size` and one byte.
#[cfg(feature = "parquet-codecs")]
fn decompress(codec: Compression, values: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    let name = match codec {
        Compression::GZIP(_) => "gzip",
        Compression::BROTLI(_) => "brotli",
        _ => "zstd",
    };
    let damaged = |error: &dyn std::fmt::Display| wrong(&format!("{name}: {error}"));
    let decoder: Box<dyn Read> = match codec {
        Compression::GZIP(_) => Box::new(flate2::read::MultiGzDecoder::new(values)),
        Compression::BROTLI(_) => Box::new(brotli_decompressor::Decompressor::new(
            values,
            BROTLI_BUFFER,
        )),
        _ => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(values);
            Box::new(decoder.map_err(|e| damaged(&e))?)
        }
    };
    let left = size.saturating_sub(out.len()).saturating_add(1);
    let mut decoder = decoder.take(left as u64);
    decoder.read_to_end(out).map_err(|e| damaged(&e))?;
    Ok(())
}

#[cfg(feature = "parquet-codecs")]
const BROTLI_BUFFER: usize = 1 << 12;

#[cfg(not(feature = "parquet-codecs"))]
fn decompress(codec: Compression, _: &[u8], _: usize, _: &mut Vec<u8>) -> Result<()> {
    Err(wrong(&format!(
        "{codec} needs the feature `parquet-codecs`"
    )))
}

fn encoding(number: i64) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        other => return Err(wrong(&format!("the encoding {other} is not known"))),
    })
}

fn wrong(problem: &str) -> ParquetError {
    ParquetError::General(problem.to_owned())
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        while self.header()?.is_some() {
            let Some(header) = self.header.take() else {
                return Ok(None);
            };
            let page = self.page(&header)?;
            self.pass(&header);
            if page.is_some() {
                return Ok(page);
            }
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(self.header()?.map(|header| {
            let is_dict = header.kind == PageKind::Dictionary;
            PageMetadata {
                num_rows: (header.kind == PageKind::DataV2).then_some(header.num_rows as usize),
                num_levels: (!is_dict).then_some(header.num_values as usize),
                is_dict,
            }
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.header()?;
        if let Some(header) = self.header.take() {
            self.pass(&header);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    Data,
    /// It has no values, and no reader.
    Index,
    Dictionary,
    DataV2,
}

/// A page's header, as far as it is used.
#[derive(Debug)]
struct Header {
    kind: PageKind,
    uncompressed_size: usize,
    compressed_size: usize,
    num_values: u32,
    num_nulls: u32,
    num_rows: u32,
    encoding: i64,
    def_levels_length: usize,
    rep_levels_length: usize,
    is_compressed: bool,
}

impl Header {
    /// The header at the start of some bytes, and its length. `None` if it is wrong or not whole.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut thrift = Thrift { rest: bytes };
        let (mut kind, mut uncompressed, mut compressed) = (None, None, None);
        let mut page: Vec<(i16, i64)> = Vec::new();
        thrift.fields(&mut |thrift, id, of| {
            match (id, of) {
                (1, INT) => kind = Some(thrift.number()?),
                (2, INT) => uncompressed = Some(thrift.number()?),
                (3, INT) => compressed = Some(thrift.number()?),
                (5 | 7 | 8, STRUCT) => thrift.fields(&mut |thrift, id, of| {
                    match of {
                        INT => page.push((id, thrift.number()?)),
                        TRUE | FALSE => page.push((id, i64::from(of == TRUE))),
                        _ => thrift.skip(of, 0)?,
                    }
                    Some(())
                })?,
                _ => thrift.skip(of, 0)?,
            }
            Some(())
        })?;
        let size = |number: Option<i64>| usize::try_from(i32::try_from(number?).ok()?).ok();
        let field = |id: i16| page.iter().find(|(found, _)| *found == id).map(|(_, n)| *n);
        let count = |id: i16| u32::try_from(field(id).unwrap_or(0)).ok();
        let length = |id: i16| size(Some(field(id).unwrap_or(0)));
        let kind = match kind? {
            0 => PageKind::Data,
            1 => PageKind::Index,
            2 => PageKind::Dictionary,
            3 => PageKind::DataV2,
            _ => return None,
        };
        let is_v2 = kind == PageKind::DataV2;
        let header = Self {
            kind,
            uncompressed_size: size(uncompressed)?,
            compressed_size: size(compressed)?,
            num_values: count(1)?,
            num_nulls: if is_v2 { count(2)? } else { 0 },
            num_rows: if is_v2 { count(3)? } else { 0 },
            encoding: field(if is_v2 { 4 } else { 2 }).unwrap_or(0),
            def_levels_length: if is_v2 { length(5)? } else { 0 },
            rep_levels_length: if is_v2 { length(6)? } else { 0 },
            is_compressed: !is_v2 || field(7) != Some(0),
        };
        Some((header, bytes.len() - thrift.rest.len()))
    }
}

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const INT: u8 = 5;
const STRUCT: u8 = 12;

/// Structs inside one another in a page's header: statistics lie in the page, in the header.
const MAX_DEPTH: usize = 8;

/// Reads Thrift's compact protocol.
struct Thrift<'a> {
    rest: &'a [u8],
}

type OnField<'f> = dyn FnMut(&mut Thrift<'_>, i16, u8) -> Option<()> + 'f;

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        varint(&mut self.rest)
    }

    fn number(&mut self) -> Option<i64> {
        self.unsigned().map(zigzag)
    }

    /// Calls `on_field` with id and type of each field of a struct; it must take the value.
    fn fields(&mut self, on_field: &mut OnField<'_>) -> Option<()> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.number()?).ok()?,
                delta => id.checked_add(i16::from(delta))?,
            };
            on_field(self, id, head & 0x0f)?;
        }
    }

    /// Passes over a value.
    fn skip(&mut self, of: u8, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match of {
            TRUE | FALSE => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.unsigned().map(drop),
            7 => self.take(8),
            8 => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.take(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.unsigned()?,
                    count => u64::from(count),
                };
                let element = head & 0x0f;
                // Truth values in a list take a byte each.
                let element = if matches!(element, TRUE | FALSE) {
                    3
                } else {
                    element
                };
                (0..count).try_for_each(|_| self.skip(element, depth + 1))
            }
            STRUCT => self.fields(&mut |thrift, _, of| thrift.skip(of, depth + 1)),
            _ => None,
        }
    }

    fn take(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }
}

/// The signed number that zigzag encoding writes as this one.
pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The number of values of the largest row, as the repetition levels of a column's pages tell: a value with level 0 begins
/// a row. A row may go on in the next page.
#[derive(Debug, Default)]
pub(super) struct LargestRow {
    current: u64,
    largest: u64,
}

impl LargestRow {
    /// Adds a page; returns the largest row so far.
    pub(super) fn add(&mut self, page: &Page, max_level: i16) -> u64 {
        let values = u64::from(page.num_values());
        let levels = match page {
            _ if max_level == 0 => return 1,
            Page::DictionaryPage { .. } => return self.largest,
            Page::DataPage { buf, .. } => {
                let length = buf
                    .first_chunk()
                    .map_or(0, |length| u32::from_le_bytes(*length));
                buf.get(4..)
                    .map(|rest| &rest[..rest.len().min(length as usize)])
            }
            Page::DataPageV2 {
                buf,
                rep_levels_byte_len,
                ..
            } => buf.get(..*rep_levels_byte_len as usize),
        };
        self.add_levels(levels.unwrap_or_default(), max_level, values);
        self.largest
    }

    /// Adds levels in Parquet's hybrid of runs and packed bits. What is not there counts as one row.
    fn add_levels(&mut self, levels: &[u8], max_level: i16, values: u64) {
        let bits = 16 - (max_level as u16).leading_zeros() as usize;
        let mut thrift = Thrift { rest: levels };
        let mut left = values;
        while left > 0 {
            let Some(head) = thrift.unsigned() else {
                break;
            };
            if head & 1 == 0 {
                let mut level = 0_u16;
                for shift in (0..bits).step_by(8) {
                    level |= u16::from(thrift.byte().unwrap_or(1)) << shift;
                }
                let count = (head >> 1).min(left);
                self.add_run(level == 0, count);
                left -= count;
                if count == 0 {
                    break;
                }
                continue;
            }
            let count = (head >> 1).saturating_mul(8).min(left);
            let length = usize::try_from((head >> 1).saturating_mul(bits as u64));
            let packed = thrift.rest;
            let length = length.unwrap_or(usize::MAX).min(packed.len());
            thrift.rest = &packed[length..];
            let count = count.min((length * 8 / bits) as u64);
            for value in 0..count as usize {
                let is_zero = (value * bits..(value + 1) * bits)
                    .all(|bit| packed[bit / 8] >> (bit % 8) & 1 == 0);
                self.add_run(is_zero, 1);
            }
            left -= count;
            if count == 0 {
                break;
            }
        }
        self.add_run(false, left);
    }

    fn add_run(&mut self, begins_rows: bool, count: u64) {
        if count == 0 {
            return;
        }
        self.current = if begins_rows { 1 } else { self.current + count };
        self.largest = self.largest.max(self.current);
    }
}

/// The longest text of a dictionary page.
pub(super) fn longest_entry(mut dictionary: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, rest)) = dictionary.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        let Some(rest) = rest.get(length as usize..) else {
            break;
        };
        longest = longest.max(length);
        dictionary = rest;
    }
    longest.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_row_is_counted_over_runs_bits_and_pages() {
        let largest = |pages: &[(&[u8], u64)], max_level| {
            let mut rows = LargestRow::default();
            for (levels, values) in pages {
                rows.add_levels(levels, max_level, *values);
            }
            rows.largest
        };
        // A run of five rows of one value.
        assert_eq!(largest(&[(&[10, 0], 5)], 1), 1);
        // A value that begins a row, and a run of a million more.
        let run = [2, 0, 0x80, 0x89, 0x7a, 1];
        assert_eq!(largest(&[(&run, 1_000_001)], 1), 1_000_001);
        // The same, but the page has fewer values.
        assert_eq!(largest(&[(&run, 10)], 1), 10);
        // Eight bits: rows of 3, 1 and 4 values; and of two bits each.
        assert_eq!(largest(&[(&[3, 0b1110_0110], 8)], 1), 4);
        assert_eq!(largest(&[(&[3, 0b0001_0100, 0b1001_0000], 8)], 2), 3);
        // The second page goes on with the row of the first.
        assert_eq!(largest(&[(&[3, 0b1110_0110], 8), (&[4, 1, 4, 0], 4)], 1), 6);
        // Cut off.
        assert_eq!(largest(&[(&[], 7)], 1), 7);
        assert_eq!(largest(&[(&[0xff, 0xff], 7)], 1), 7);
    }

    #[test]
    fn the_longest_entry_of_a_dictionary_is_found() {
        assert_eq!(longest_entry(b"\x01\0\0\0a\x03\0\0\0abc\0\0\0\0"), 3);
        assert_eq!(longest_entry(b"\x02\0\0\0ab\xff\xff\xff\xffrest"), 2);
        assert_eq!(longest_entry(b""), 0);
    }

    #[test]
    #[cfg(feature = "parquet-codecs")]
    fn pages_are_decompressed_up_to_the_size_they_state() {
        use std::io::Write;
        let zeros = vec![0; 1 << 22];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&zeros).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd =
            ruzstd::encoding::compress_to_vec(&*zeros, ruzstd::encoding::CompressionLevel::Fastest);
        for (codec, bytes) in [
            (Compression::GZIP(Default::default()), gzip),
            (Compression::ZSTD(Default::default()), zstd),
        ] {
            assert!(bytes.len() < zeros.len() / 100);
            for size in [1000, zeros.len()] {
                let mut out = Vec::new();
                decompress(codec, &bytes, size, &mut out).unwrap();
                assert_eq!(out.len(), zeros.len().min(size + 1));
                assert!(out.capacity() <= 2 * size + 64, "{}", out.capacity());
            }
        }
    }
}
