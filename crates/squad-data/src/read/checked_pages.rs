//! Pages of Parquet files that are checked before the `parquet` crate decodes them.
//!
//! The crate reserves memory for as many values as a page claims to have. So the claims are compared with what the
//! page's bytes can hold.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::{Encoding, Type as Physical};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::RowGroupReader;
use parquet::record::reader::RowIter;
use parquet::schema::types::Type;

use crate::memory::check_text_size;
use crate::read::parquet_pages::{LargestRow, Pages, longest_entry, zigzag};
use crate::varint::varint;

/// A row group whose pages are checked before they are decoded.
pub(super) struct CheckedGroup<'a> {
    pub(super) group: Box<dyn RowGroupReader + 'a>,
    /// The maximum number of values that a page may claim to have.
    pub(super) max_values: u64,
    pub(super) file: Arc<File>,
    /// What the largest pages and rows of all columns may take together.
    pub(super) bytes: Arc<AtomicU64>,
}

impl CheckedGroup<'_> {
    fn pages(&self, column: usize) -> Result<Box<dyn PageReader>> {
        let chunk = self.group.metadata().column(column);
        let pages = Pages::new(Arc::clone(&self.file), chunk)?;
        if pages.decompresses() {
            return Ok(Box::new(pages));
        }
        pages.check()?;
        self.group.get_column_page_reader(column)
    }
}

impl RowGroupReader for CheckedGroup<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.group.metadata()
    }

    fn num_columns(&self) -> usize {
        self.group.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> Result<Box<dyn PageReader>> {
        let chunk = self.group.metadata().column(column);
        Ok(Box::new(CheckedPages {
            pages: self.pages(column)?,
            max_values: self.max_values,
            shape: PageShape::of(chunk),
            row: LargestRow::default(),
            dictionary: [0, 0],
            largest: 0,
            bytes: Arc::clone(&self.bytes),
        }))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.group.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

/// What the pages of a column look like.
struct PageShape {
    /// The fewest bytes that a value takes.
    least_bytes: u64,
    max_rep_level: i16,
    /// The lists of levels before the values in pages of the first version.
    num_levels: usize,
}

impl PageShape {
    fn of(chunk: &ColumnChunkMetaData) -> Self {
        let column = chunk.column_descr();
        let max_rep_level = column.max_rep_level();
        let has_levels = [column.max_def_level(), max_rep_level].map(|max| max > 0);
        Self {
            max_rep_level,
            least_bytes: match column.physical_type() {
                Physical::FIXED_LEN_BYTE_ARRAY => 1,
                // A string has its length before it.
                _ => 4,
            },
            num_levels: has_levels.into_iter().filter(|has| *has).count(),
        }
    }

    /// The values of a data page, behind the levels.
    fn values<'p>(&self, page: &'p Page) -> Option<&'p [u8]> {
        match page {
            Page::DataPage { buf, .. } => {
                let mut rest: &[u8] = buf;
                for _ in 0..self.num_levels {
                    let (length, behind) = rest.split_first_chunk()?;
                    rest = behind.get(u32::from_le_bytes(*length) as usize..)?;
                }
                Some(rest)
            }
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                buf.get(usize::try_from(levels).ok()?..)
            }
            Page::DictionaryPage { .. } => None,
        }
    }
}

struct CheckedPages {
    pages: Box<dyn PageReader>,
    max_values: u64,
    shape: PageShape,
    row: LargestRow,
    /// Bytes of the dictionary and of its longest entry.
    dictionary: [u64; 2],
    /// What this column adds to `bytes`.
    largest: u64,
    bytes: Arc<AtomicU64>,
}

impl CheckedPages {
    /// Checks that the columns' pages and a row made of them fit into memory. A few bytes of a page may stand for many values
    /// of a row, each of them a long text of the dictionary; `text_bytes` is what strings become that share their beginnings.
    fn check_memory(&mut self, page: &Page, text_bytes: u64) -> Result<()> {
        /// A decoded value without its text.
        const VALUE: u64 = 64;
        let bytes = page.buffer().len() as u64;
        if let Page::DictionaryPage { buf, .. } = page {
            self.dictionary = [bytes, longest_entry(buf)];
        }
        let [dictionary, longest] = self.dictionary;
        let row = self.row.add(page, self.shape.max_rep_level);
        let needed = (dictionary + bytes)
            .saturating_add(text_bytes)
            .saturating_add(row.saturating_mul(longest + VALUE));
        if needed <= self.largest {
            return Ok(());
        }
        let more = needed - self.largest;
        self.largest = needed;
        let others = self.bytes.fetch_add(more, Ordering::Relaxed);
        check_text_size(others.saturating_add(more)).map_err(ParquetError::General)
    }

    /// Returns the bytes of the page's texts, if they may be more than the page's.
    fn check(&self, page: &Page) -> Result<u64> {
        let values = u64::from(page.num_values());
        let fits = match page {
            Page::DictionaryPage { buf, .. } => values <= buf.len() as u64 / self.shape.least_bytes,
            _ => values <= self.max_values,
        };
        if !fits {
            return Err(too_many(values));
        }
        match page.encoding() {
            Encoding::PLAIN
            | Encoding::PLAIN_DICTIONARY
            | Encoding::RLE_DICTIONARY
            | Encoding::RLE
            | Encoding::DELTA_BINARY_PACKED
            | Encoding::BYTE_STREAM_SPLIT => Ok(0),
            encoding @ (Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY) => {
                let bytes = self.shape.values(page).unwrap_or_default();
                self.check_strings(bytes, values, encoding == Encoding::DELTA_BYTE_ARRAY)
            }
            other => Err(ParquetError::General(format!(
                "the encoding {other} is not read; write the file with the plain or the dictionary encoding"
            ))),
        }
    }

    /// Checks the lengths of strings, with the lengths of what each shares with the one before it, or without.
    fn check_strings(&self, bytes: &[u8], values: u64, has_prefixes: bool) -> Result<u64> {
        let damaged = || ParquetError::General("the lengths of a page's strings are wrong".into());
        let (mut rest, mut text_bytes) = (bytes, 0u64);
        for _ in 0..1 + usize::from(has_prefixes) {
            let lengths = Lengths::read(rest, values).ok_or_else(damaged)?;
            text_bytes = text_bytes.saturating_add(lengths.sum);
            rest = &rest[lengths.end..];
        }
        Ok(text_bytes)
    }
}

fn too_many(values: u64) -> ParquetError {
    ParquetError::General(format!(
        "a page claims to have {values} values, more than it can hold"
    ))
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            let text_bytes = self.check(page)?;
            self.check_memory(page, text_bytes)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

/// Lengths in the encoding DELTA_BINARY_PACKED.
#[derive(Debug, PartialEq, Eq)]
struct Lengths {
    /// The sum of the lengths.
    sum: u64,
    /// Where the bytes behind them begin.
    end: usize,
}

impl Lengths {
    /// Reads the lengths at the start of some bytes. `None` if they are wrong, negative, or more than `max_values`.
    fn read(bytes: &[u8], max_values: u64) -> Option<Self> {
        let mut rest = bytes;
        let block = varint(&mut rest)?;
        let parts = varint(&mut rest)?;
        let total = varint(&mut rest)?;
        let mut value = zigzag(varint(&mut rest)?);
        if total > max_values || parts == 0 || block % parts != 0 {
            return None;
        }
        let part_values = block / parts;
        if part_values == 0 || part_values % 8 != 0 {
            return None;
        }
        let mut sum = 0u64;
        let mut add = |value: i64| -> Option<()> {
            sum = sum.checked_add(u64::try_from(value).ok()?)?;
            Some(())
        };
        if total > 0 {
            add(value)?;
        }
        let mut left = total.saturating_sub(1);
        while left > 0 {
            let least = zigzag(varint(&mut rest)?);
            let (widths, behind) = rest.split_at_checked(usize::try_from(parts).ok()?)?;
            rest = behind;
            for &width in widths {
                if left == 0 {
                    break;
                }
                if width > 64 {
                    return None;
                }
                let size = (part_values / 8).checked_mul(u64::from(width))?;
                let (packed, behind) = rest.split_at_checked(usize::try_from(size).ok()?)?;
                rest = behind;
                let count = part_values.min(left);
                left -= count;
                for number in 0..count {
                    let delta = bits(packed, number as usize * usize::from(width), width);
                    value = value.checked_add(least.checked_add(i64::try_from(delta).ok()?)?)?;
                    add(value)?;
                }
            }
        }
        let end = bytes.len() - rest.len();
        Some(Self { sum, end })
    }
}

/// `width` bits from the bit `first`; bytes hold their lowest bits first.
fn bits(bytes: &[u8], first: usize, width: u8) -> u64 {
    let (mut value, mut filled) = (0u64, 0);
    while filled < usize::from(width) {
        let at = first + filled;
        let count = (8 - at % 8).min(usize::from(width) - filled);
        let part = (bytes[at / 8] >> (at % 8)) as u64 & ((1 << count) - 1);
        value |= part << filled;
        filled += count;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the format's description: 7, 5, 3, 1, 2, 3, 4, 5 in a block of 128 with 4 parts.
    fn example() -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0];
        // Differences from the least one, -2: 0, 0, 0, 3, 3, 3, 3 with 2 bits each.
        bytes.extend([0b1100_0000, 0b0011_1111]);
        bytes.extend([0; 6]);
        bytes
    }

    #[test]
    fn lengths_are_added_up() {
        let mut bytes = example();
        let end = bytes.len();
        bytes.extend(b"texts");
        assert_eq!(Lengths::read(&bytes, 8), Some(Lengths { sum: 30, end }));
        assert_eq!(Lengths::read(&bytes, 7), None);
        assert_eq!(Lengths::read(&bytes[..end - 1], 8), None);
        assert_eq!(Lengths::read(&[], 8), None);
        let one = [0x80, 1, 4, 1, 10];
        assert_eq!(Lengths::read(&one, 1), Some(Lengths { sum: 5, end: 5 }));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for (at, byte) in [(2, 0), (2, 5), (4, 13), (6, 65), (5, 0x7f)] {
            let mut bytes = example();
            bytes[at] = byte;
            assert_eq!(Lengths::read(&bytes, 8), None, "{at}: {byte}");
        }
    }
}
