//! A stream of bytes into syslog messages: both framings of RFC 6587, told apart message by message.
//!
//! Octet counting begins with a number, a space and `<`; whatever begins otherwise goes up to the end of its line. So a
//! line that begins with a number for another reason is a line. What is longer than the limit is cut, never refused.

use std::io;

use bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// The longest number in front of a message.
const DIGITS_MAX: usize = 9;

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its bytes, without what separates it from the next.
    pub bytes: BytesMut,
    /// Whether a part of it is missing: it was too long, or the connection ended within it.
    pub cut: bool,
}

/// What of the stream is thrown away, because it belongs to a message that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// Up to the end of the line.
    Line,
}

/// Takes messages off a stream.
#[derive(Debug)]
pub(super) struct Framing {
    limit: usize,
    skip: Skip,
    /// Up to where there is no end of line.
    looked: usize,
}

/// How a message begins.
enum Start {
    /// With so many bytes of number and space, and then so many of message.
    Counted(usize, usize),
    Line,
    /// Too little has come to tell.
    Unknown,
}

impl Framing {
    /// With messages of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Framing { limit, skip: Skip::Nothing, looked: 0 }
    }

    /// Throws away what is to be; false when more of it is to come.
    fn skipped(&mut self, from: &mut BytesMut) -> bool {
        match self.skip {
            Skip::Nothing => return true,
            Skip::Bytes(count) => {
                let here = count.min(from.len());
                from.advance(here);
                self.skip = if here == count { Skip::Nothing } else { Skip::Bytes(count - here) };
            }
            Skip::Line => match from.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    from.advance(end + 1);
                    self.skip = Skip::Nothing;
                }
                None => from.clear(),
            },
        }
        self.skip == Skip::Nothing
    }

    fn counted(&mut self, from: &mut BytesMut, head: usize, length: usize) -> Option<Frame> {
        let kept = length.min(self.limit);
        if from.len() < head + kept {
            return None;
        }
        from.advance(head);
        let bytes = from.split_to(kept);
        if length > kept {
            self.skip = Skip::Bytes(length - kept);
        }
        Some(Frame { bytes, cut: length > kept })
    }

    fn line(&mut self, from: &mut BytesMut) -> Option<Frame> {
        let end = from.get(self.looked..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
        let Some(end) = end.map(|end| self.looked + end) else {
            self.looked = from.len();
            if from.len() <= self.limit {
                return None;
            }
            self.looked = 0;
            self.skip = Skip::Line;
            let bytes = from.split_to(self.limit);
            return Some(Frame { bytes, cut: true });
        };
        self.looked = 0;
        let mut bytes = from.split_to(end);
        from.advance(1);
        let cut = bytes.len() > self.limit;
        bytes.truncate(self.limit);
        Some(Frame { bytes, cut })
    }
}

fn start(bytes: &[u8]) -> Start {
    let digits = bytes.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > DIGITS_MAX || bytes.first() == Some(&b'0') {
        return if bytes.is_empty() { Start::Unknown } else { Start::Line };
    }
    match bytes.get(digits..) {
        None | Some([] | [b' ']) => Start::Unknown,
        Some([b' ', b'<', ..]) => {
            let length = bytes.iter().take(digits).fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            Start::Counted(digits + 1, length)
        }
        Some(_) => Start::Line,
    }
}

/// Without what senders put at the end of a message, and without what has no content.
pub(super) fn trimmed(mut frame: Frame) -> Option<Frame> {
    let end = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0 | b' ');
    let kept = frame.bytes.iter().rposition(|byte| !end(byte)).map_or(0, |last| last + 1);
    frame.bytes.truncate(kept);
    (!frame.bytes.is_empty()).then_some(frame)
}

impl Decoder for Framing {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Frame>> {
        while self.skipped(from) {
            // Some senders count, and put an end of line behind all the same.
            while self.looked == 0 && matches!(from.first(), Some(b'\n' | b'\r' | 0)) {
                from.advance(1);
            }
            let found = match start(from) {
                Start::Unknown => return Ok(None),
                Start::Counted(head, length) => self.counted(from, head, length),
                Start::Line => self.line(from),
            };
            match found.map(trimmed) {
                None => return Ok(None),
                Some(None) => {}
                Some(frame) => return Ok(frame),
            }
        }
        Ok(None)
    }

    fn decode_eof(&mut self, from: &mut BytesMut) -> io::Result<Option<Frame>> {
        if let Some(frame) = self.decode(from)? {
            return Ok(Some(frame));
        }
        self.looked = 0;
        if let Start::Counted(head, _) = start(from) {
            from.advance(head);
        }
        let bytes = from.split();
        Ok(trimmed(Frame { bytes, cut: true }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of bytes that arrive in pieces of this size; what was cut ends with `~`.
    fn frames(bytes: &[u8], piece: usize, limit: usize) -> Vec<String> {
        let (mut framing, mut buffer, mut found) = (Framing::new(limit), BytesMut::new(), Vec::new());
        let text = |frame: Frame| {
            format!("{}{}", String::from_utf8_lossy(&frame.bytes), if frame.cut { "~" } else { "" })
        };
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = framing.decode(&mut buffer).unwrap() {
                found.push(text(frame));
            }
            assert!(buffer.len() <= limit + DIGITS_MAX + 1 + piece.len(), "what is kept is bounded");
        }
        while let Some(frame) = framing.decode_eof(&mut buffer).unwrap() {
            found.push(text(frame));
        }
        found
    }

    #[test]
    fn messages_are_the_same_however_they_arrive() {
        let bytes = b"<1>one\n5 <2>aa\n\r\n\0<3>three\r\n12 <4>two\nlines6 <5>six2026-01-31 no count\n12 monkeys\n\
            27 <6>much too long to be kept<7>next\n<8>this line is far too long\n0 <9>zero\n99999999999 x\n7 <0>half";
        let expected = [
            "<1>one",
            "<2>aa",
            "<3>three",
            "<4>two\nlines",
            "<5>six",
            "2026-01-31 no c~",
            "12 monkeys",
            "<6>much too lon~",
            "<7>next",
            "<8>this line is~",
            "0 <9>zero",
            "99999999999 x",
            "<0>half",
        ];
        for piece in 1..=bytes.len() {
            assert_eq!(frames(bytes, piece, 15), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_a_connection_ends_in_is_kept_and_said_to_be_cut() {
        for piece in [1, 3, 100] {
            assert_eq!(frames(b"<1>half", piece, 100), ["<1>half~"]);
            assert_eq!(frames(b"20 <1>half", piece, 100), ["<1>half~"]);
            assert_eq!(frames(b"20", piece, 100), ["20~"]);
            assert_eq!(frames(b"\n\n \n\0\0", piece, 100), Vec::<String>::new());
            assert_eq!(frames(b"<1>a line that is cut, and its end", piece, 8), ["<1>a lin~"]);
        }
    }

    #[test]
    fn junk_gives_messages_and_never_an_error() {
        let junk: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for piece in [1, 7, 4096] {
            let found = frames(&junk, piece, 64);
            assert!(found.len() > 50, "{}", found.len());
        }
    }
}
