//! Bytes into lines. A line that is too long is thrown away as it comes, and told once; the next one counts again.

use std::io;

use bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// What a line was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its bytes, without the end of line.
    Whole(BytesMut),
    /// It was longer than the limit.
    TooLong,
    /// The connection ended in the middle of it.
    Half,
}

/// Takes lines off a stream.
#[derive(Debug)]
pub(super) struct Lines {
    limit: usize,
    /// Up to where there is no end of line.
    looked: usize,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl Lines {
    /// With lines of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Lines { limit, looked: 0, skipping: false }
    }

    /// From now on with lines of up to `limit` bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }
}

impl Decoder for Lines {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Line>> {
        let found = from.get(self.looked..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
        let Some(found) = found else {
            self.looked = from.len();
            if self.skipping || from.len() > self.limit.saturating_add(1) {
                from.clear();
                self.looked = 0;
                self.skipping = true;
            }
            return Ok(None);
        };
        let mut line = from.split_to(self.looked + found);
        from.advance(1);
        self.looked = 0;
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        let too_long = std::mem::take(&mut self.skipping) || line.len() > self.limit;
        Ok(Some(if too_long { Line::TooLong } else { Line::Whole(line) }))
    }

    fn decode_eof(&mut self, from: &mut BytesMut) -> io::Result<Option<Line>> {
        if let Some(line) = self.decode(from)? {
            return Ok(Some(line));
        }
        let half = std::mem::take(&mut self.skipping) || !from.is_empty();
        from.clear();
        self.looked = 0;
        Ok(half.then_some(Line::Half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of bytes that arrive in pieces of this size.
    fn lines(bytes: &[u8], piece: usize, limit: usize) -> Vec<Line> {
        let (mut decoder, mut buffer, mut found) = (Lines::new(limit), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(line) = decoder.decode(&mut buffer).unwrap() {
                found.push(line);
            }
            assert!(buffer.len() <= limit + 1 + piece.len(), "what is kept is bounded");
        }
        while let Some(line) = decoder.decode_eof(&mut buffer).unwrap() {
            found.push(line);
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let whole = |text: &str| Line::Whole(text.into());
        let expected =
            [whole("one"), whole(""), whole("two"), Line::TooLong, whole("ten chars."), Line::Half];
        let bytes = b"one\n\r\ntwo\r\nmuch too long a line\nten chars.\nhalf";
        for piece in 1..=bytes.len() {
            assert_eq!(lines(bytes, piece, 10), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn the_end_of_a_line_that_is_too_long_is_half_a_line() {
        for piece in [1, 5, 100] {
            assert_eq!(lines(b"far too long", piece, 4), [Line::Half]);
            assert_eq!(lines(b"", piece, 4), []);
        }
    }
}
