//! Pages of Parquet files that are compressed with zstd, the codec that polars writes.
//!
//! The `parquet` crate decompresses zstd through a C library, whose build changes that of Burn's dependencies. So this module reads
//! the pages itself: it parses their headers (Thrift's compact protocol) and decompresses them with `ruzstd`. The layout
//! is that of <https://github.com/apache/parquet-format>.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;

/// Bytes of a file that are read at once to find a page's header, which may hold statistics.
const HEADER_BYTES: usize = 1 << 12;

/// The pages of one column in one row group.
pub(super) struct ZstdPages {
    file: Arc<File>,
    next: u64,
    end: u64,
    /// Values that are still to come, as the file states.
    values_left: i64,
    header: Option<Header>,
}

impl ZstdPages {
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
            next,
            end: next.saturating_add(length),
            values_left: column.num_values(),
            header: None,
        })
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

    fn skip(&mut self, header: &Header) {
        self.next += header.compressed_size as u64;
        if header.kind != PageKind::Dictionary {
            self.values_left -= i64::from(header.num_values);
        }
    }

    fn page(&mut self, header: &Header) -> Result<Page> {
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
            decompress(values, header.uncompressed_size, &mut buffer)?;
        } else {
            buffer.extend_from_slice(values);
        }
        if buffer.len() != header.uncompressed_size {
            return Err(wrong("a page has another size than it states"));
        }
        let encoding = encoding(header.encoding)?;
        Ok(match header.kind {
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
        })
    }
}

/// Appends the decompressed values. The output is never longer than `size` and one byte.
fn decompress(values: &[u8], size: usize, out: &mut Vec<u8>) -> Result<()> {
    let damaged = |error: &dyn std::fmt::Display| wrong(&format!("zstd: {error}"));
    let decoder = ruzstd::decoding::StreamingDecoder::new(values).map_err(|e| damaged(&e))?;
    let left = size.saturating_sub(out.len()).saturating_add(1);
    let mut decoder = decoder.take(left as u64);
    decoder.read_to_end(out).map_err(|e| damaged(&e))?;
    Ok(())
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

impl Iterator for ZstdPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ZstdPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if self.header()?.is_none() {
            return Ok(None);
        }
        let Some(header) = self.header.take() else {
            return Ok(None);
        };
        let page = self.page(&header)?;
        self.skip(&header);
        Ok(Some(page))
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
            self.skip(&header);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    Data,
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
            2 => PageKind::Dictionary,
            3 => PageKind::DataV2,
            _ => return None,
        };
        let is_v2 = kind == PageKind::DataV2;
        let header = Self {
            kind,
            uncompressed_size: size(uncompressed)?,
            compressed_size: size(compressed)?,
            num_values: u32::try_from(field(1)?).ok()?,
            num_nulls: if is_v2 { count(2)? } else { 0 },
            num_rows: if is_v2 { count(3)? } else { 0 },
            encoding: field(if is_v2 { 4 } else { 2 })?,
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
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
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
