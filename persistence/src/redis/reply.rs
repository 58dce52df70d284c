//! The answers of our functions, taken apart.

use bytes::Bytes;
use redis::Value;

use crate::StoreError;
use crate::port::{Offset, Result};

/// An answer: a word, and what follows it.
pub(super) struct Reply {
    values: std::vec::IntoIter<Value>,
}

/// Takes the word off an answer.
pub(super) fn open(value: Value) -> Result<(String, Reply)> {
    let Value::Array(values) = value else {
        return Err(strange(&value));
    };
    let mut reply = Reply { values: values.into_iter() };
    let word = reply.text()?;
    Ok((word, reply))
}

pub(super) fn strange(value: &Value) -> StoreError {
    let shown: String = format!("{value:?}").chars().take(200).collect();
    StoreError::Corrupt(format!("the server answered something else than expected: {shown}"))
}

impl Reply {
    pub(super) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    pub(super) fn value(&mut self) -> Result<Value> {
        self.values.next().ok_or_else(|| StoreError::Corrupt("the server's answer is too short".to_owned()))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(bytes.into()),
            Value::SimpleString(text) => Ok(text.into()),
            Value::Okay => Ok(Bytes::from_static(b"OK")),
            Value::Int(number) => Ok(number.to_string().into()),
            other => Err(strange(&other)),
        }
    }

    pub(super) fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.into())
            .map_err(|error| StoreError::Corrupt(format!("expected text from the server: {error}")))
    }

    /// A text, or nothing.
    pub(super) fn perhaps(&mut self) -> Result<Option<String>> {
        match self.value()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|error| StoreError::Corrupt(format!("expected text from the server: {error}"))),
            other => Err(strange(&other)),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let text = self.text()?;
        text.parse().map_err(|_| StoreError::Corrupt(format!("expected a number, found '{text}'")))
    }

    /// An offset from its two parts.
    pub(super) fn offset(&mut self) -> Result<Offset> {
        let (millis, sequence) = (self.number()?, self.number()?);
        super::keys::offset(millis, sequence)
            .ok_or_else(|| StoreError::Corrupt(format!("there is no offset {millis}-{sequence}")))
    }
}
