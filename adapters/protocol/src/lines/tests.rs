//! Lines that are cut, too long, or not text.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use super::*;

#[tokio::test]
async fn lines_are_read_with_blank_ones_skipped() {
    let mut reader = LineReader::new(&b"one\n\n  \r\ntwo\nlast"[..]);
    for expected in ["one", "two", "last"] {
        assert_eq!(reader.next().await.unwrap(), Some(expected.as_bytes()));
    }
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.next().await.unwrap(), None);
}

#[tokio::test]
async fn an_overlong_line_is_an_error_and_the_next_one_is_read() {
    let mut input = vec![b'x'; MAX_LINE_BYTES];
    input.extend_from_slice(b"\nnext\n");
    let mut reader = LineReader::new(&input[..]);
    assert!(matches!(reader.next().await, Err(WireError::TooLong)));
    assert_eq!(reader.next().await.unwrap(), Some(&b"next"[..]));

    let mut longest = vec![b'x'; MAX_LINE_BYTES - 1];
    longest.push(b'\n');
    let mut reader = LineReader::new(&longest[..]);
    assert_eq!(reader.next().await.unwrap().map(<[u8]>::len), Some(MAX_LINE_BYTES - 1));
}

#[tokio::test]
async fn a_read_that_was_dropped_half_way_loses_nothing() {
    let (mut writer, reader) = tokio::io::duplex(64);
    let mut reader = LineReader::new(reader);
    writer.write_all(b"hal").await.unwrap();
    {
        let mut read = std::pin::pin!(reader.next());
        assert!(futures_poll(read.as_mut()).await.is_pending());
    }
    writer.write_all(b"f\n").await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Some(&b"half"[..]));
}

async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(move |context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Counts what a writer is asked to do.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<(Vec<u8>, usize)>>);

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().1 += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_waiting_is_written_with_one_flush() {
    let (sender, mut queue) = mpsc::channel(BATCH_LINES);
    for number in 0..100 {
        sender.send(format!("{number}\n").into_bytes()).await.unwrap();
    }
    drop(sender);
    let sink = Counting::default();
    pump(&mut queue, sink.clone()).await.unwrap();
    let (written, flushes) = sink.0.lock().unwrap().clone();
    assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 100);
    assert_eq!(flushes, 1);
}
