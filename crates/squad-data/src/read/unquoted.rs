//! Tables whose cells stand between tabs: such a text may have no quoting at all, so that quotation marks belong to its cells.

use crate::read::quotes::{Cells, Escape, Place};

/// Bytes that wait until it is known whether cells are quoted.
const MAX_HELD: usize = 1 << 24;

/// What a text turns out to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quoting {
    /// A cell that begins with a quotation mark ends with one.
    Quoted,
    Unquoted,
    /// Either, with other cells; taken as quoted.
    Unclear,
}

/// Follows the cells of a table in both ways until only one of them makes rows as long as the header.
///
/// Text from the first cell on that begins with a quotation mark waits for the decision.
pub(super) struct Undecided {
    cells: Cells,
    /// Lines are the rows of a text without quoting, records those of one with quoting. Before the text that waits they are the
    /// same and only lines are counted.
    lines: RowLengths,
    records: RowLengths,
    /// Whether a quoted cell of the record has a line end.
    has_line_end: bool,
    /// The text that waits, and what it is if it is quoted.
    held: Vec<u8>,
    quoted: Vec<u8>,
}

impl Undecided {
    pub(super) fn new(cells: Cells) -> Self {
        Self {
            lines: RowLengths::new(cells.delimiter),
            records: RowLengths::new(cells.delimiter),
            cells,
            has_line_end: false,
            held: Vec::new(),
            quoted: Vec::new(),
        }
    }

    /// Passes over a byte, and writes it unless it waits.
    pub(super) fn pass(
        &mut self,
        byte: u8,
        out: &mut Vec<u8>,
    ) -> Result<Option<Quoting>, &'static str> {
        let is_quote = self.cells.place == Place::CellStart && byte == b'"';
        let is_header = self.lines.header == 0;
        if self.held.is_empty() {
            if !is_quote {
                self.lines.pass(byte);
                self.cells.pass(byte, out)?;
                return Ok(None);
            }
            self.records = self.lines.clone();
        }
        self.lines.pass(byte);
        self.held.push(byte);
        if let Err(problem) = self.cells.pass(byte, &mut self.quoted) {
            return if self.is_even_text() && !is_header {
                Ok(Some(Quoting::Unquoted))
            } else {
                Err(problem)
            };
        }
        // Quotation marks in the header are no part of names.
        if is_header {
            return Ok(Some(Quoting::Quoted));
        }
        let is_line_end = matches!(byte, b'\n' | b'\r');
        if self.cells.place != Place::CellStart {
            self.has_line_end |= is_line_end;
            self.records.pass(b' ');
        } else {
            self.records.pass(byte);
            if is_line_end {
                self.has_line_end = false;
                return Ok(self.decision());
            }
        }
        if self.held.len() < MAX_HELD {
            return Ok(None);
        }
        Ok(Some(if !self.has_line_end {
            Quoting::Unclear
        } else if self.is_even_text() {
            Quoting::Unquoted
        } else {
            Quoting::Quoted
        }))
    }

    /// The decision at the end of the text.
    pub(super) fn end(&mut self) -> Result<Quoting, &'static str> {
        let is_whole = self.lines.length == 0;
        self.lines.end();
        if let Err(problem) = self.cells.end(&mut self.quoted) {
            // A text that ends inside a line may be cut.
            return if self.is_even_text() && is_whole {
                Ok(Quoting::Unquoted)
            } else {
                Err(problem)
            };
        }
        if self.held.is_empty() {
            return Ok(Quoting::Quoted);
        }
        self.records.end();
        Ok(self.decision().unwrap_or(Quoting::Unclear))
    }

    /// Writes the text that waits as quoted cells, which go on from there.
    pub(super) fn take_quoted(&mut self, out: &mut Vec<u8>) -> Cells {
        out.append(&mut self.quoted);
        let fresh = Cells::new(self.cells.delimiter);
        std::mem::replace(&mut self.cells, fresh)
    }

    /// Writes the text that waits as cells without quoting, which go on from there.
    pub(super) fn take_unquoted(&mut self, out: &mut Vec<u8>) -> Unquoted {
        let mut cells = Unquoted {
            delimiter: self.cells.delimiter,
            place: Place::CellStart,
        };
        for byte in self.held.drain(..) {
            cells.pass(byte, out);
        }
        cells
    }

    /// Whether the text without quoting is a table so far, and no quote in it is escaped.
    fn is_even_text(&self) -> bool {
        self.lines.are_even && self.cells.escape == Escape::Unknown
    }

    fn decision(&self) -> Option<Quoting> {
        match (self.is_even_text(), self.records.are_even) {
            (true, true) => None,
            (true, false) => Some(Quoting::Unquoted),
            (false, _) => Some(Quoting::Quoted),
        }
    }
}

/// Whether rows are as long as the header.
#[derive(Clone)]
struct RowLengths {
    delimiter: u8,
    /// Number of the header's cells; 0 in the header.
    header: usize,
    /// Number of cells of the row so far; 0 for a blank one.
    length: usize,
    are_even: bool,
}

impl RowLengths {
    fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            header: 0,
            length: 0,
            are_even: true,
        }
    }

    fn pass(&mut self, byte: u8) {
        match byte {
            b'\n' | b'\r' => self.end(),
            _ if byte == self.delimiter => self.length = self.length.max(1) + 1,
            _ => self.length = self.length.max(1),
        }
    }

    fn end(&mut self) {
        let length = std::mem::take(&mut self.length);
        if self.header == 0 {
            self.header = length;
        }
        self.are_even &= length == 0 || length == self.header;
    }
}

/// Quotes the cells of a text without quoting that begin with a quotation mark.
pub(super) struct Unquoted {
    delimiter: u8,
    place: Place,
}

impl Unquoted {
    pub(super) fn pass(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_end = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        match (self.place, byte) {
            (Place::CellStart, b'"') => {
                out.extend(b"\"\"\"");
                self.place = Place::Quoted;
            }
            (Place::Quoted, b'"') => out.extend(b"\"\""),
            _ if is_end => {
                self.end(out);
                out.push(byte);
                self.place = Place::CellStart;
            }
            (place, _) => {
                out.push(byte);
                if place == Place::CellStart {
                    self.place = Place::Plain;
                }
            }
        }
    }

    /// Ends a cell, once: nothing is written at a second end.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.place, Place::CellStart) == Place::Quoted {
            out.push(b'"');
        }
    }
}
