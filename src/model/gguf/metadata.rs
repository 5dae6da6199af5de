//! What a GGUF file says of its model, by key.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{Content, Value};

use crate::model::error::Error;
use crate::model::mapped::Mapped;

/// A GGUF file.
pub(in crate::model) struct Gguf {
    pub(super) file: Arc<Mapped>,
    pub(super) content: Content,
}

/// Every tensor is at a multiple of so many bytes, at least: what their blocks need.
const LEAST_ALIGNMENT: u64 = 8;

impl Gguf {
    /// Reads what the file at `path` says.
    ///
    /// # Errors
    /// Where it is not a GGUF file, or is cut before its tensors.
    pub(in crate::model) fn open(path: &Path) -> Result<Self, Error> {
        let file = Mapped::open(path)?;
        let refused = |reason: String| Error::Gguf { path: path.to_owned(), reason };
        check_alignment(file.bytes()).map_err(refused)?;
        let content = Content::read(&mut Cursor::new(file.bytes()));
        let content = content.map_err(|error| refused(plainly(&error.to_string())))?;
        let gguf = Self { file, content };
        match gguf.whole("split.count") {
            Some(parts) if parts > 1 => {
                Err(gguf.refused(format!("it is one of {parts} parts of a file that was split")))
            }
            _ => Ok(gguf),
        }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Gguf { path: self.file.path().to_owned(), reason: reason.into() }
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.content.metadata.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(text_of)
    }

    pub(super) fn whole(&self, key: &str) -> Option<u64> {
        self.value(key).and_then(whole)
    }

    /// A number, as it is spelt in decimals: 1e-5 in f32 is 1e-5.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        match self.value(key) {
            Some(Value::F32(number)) => number.to_string().parse().ok(),
            Some(Value::F64(number)) => Some(*number),
            _ => self.whole(key).map(|number| number as f64),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&str>, Error> {
        self.list(key, text_of, "texts")
    }

    /// A list, each value of which is what `read` makes of it.
    pub(super) fn list<'v, T>(
        &'v self,
        key: &str,
        read: fn(&'v Value) -> Option<T>,
        of: &str,
    ) -> Result<Vec<T>, Error> {
        let Some(Value::Array(values)) = self.value(key) else {
            return Err(self.refused(format!("it has no `{key}`, a list of {of}")));
        };
        let read: Option<Vec<T>> = values.iter().map(read).collect();
        read.ok_or_else(|| self.refused(format!("`{key}` should be a list of {of}")))
    }

    /// The family of networks that it is of.
    pub(super) fn architecture(&self) -> Result<&str, Error> {
        let none = || self.refused("it has no `general.architecture`");
        self.text("general.architecture").ok_or_else(none)
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A whole number of any width, not below 0.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::U8(number) => Some(u64::from(*number)),
        Value::U16(number) => Some(u64::from(*number)),
        Value::U32(number) => Some(u64::from(*number)),
        Value::U64(number) => Some(*number),
        Value::I8(number) => u64::try_from(*number).ok(),
        Value::I16(number) => u64::try_from(*number).ok(),
        Value::I32(number) => u64::try_from(*number).ok(),
        Value::I64(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// What candle says of a file that it does not read, in words for whoever has the file.
fn plainly(said: &str) -> String {
    let said = said.lines().next().unwrap_or_default();
    if let Some(kind) = said.strip_prefix("unknown dtype for tensor ") {
        return format!(
            "it has a tensor of GGML's type {kind}; read are f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 and \
             q2_k to q6_k"
        );
    }
    match said.strip_prefix("unknown magic ") {
        Some(magic) => format!("it begins with {magic}, not with `GGUF`"),
        None => said.trim_start_matches("gguf: ").to_owned(),
    }
}

/// Checks the alignment where a file names one: candle divides by it.
fn check_alignment(bytes: &[u8]) -> Result<(), String> {
    const KEY: &[u8] = b"general.alignment";
    /// It is among the first keys, before a vocabulary.
    const SEARCHED: usize = 16 << 20;
    const TYPE_BYTES: usize = 4;
    let searched = &bytes[..bytes.len().min(SEARCHED)];
    let Some(at) = searched.windows(KEY.len()).position(|found| found == KEY) else {
        return Ok(());
    };
    let value = bytes.get(at + KEY.len() + TYPE_BYTES..).and_then(<[u8]>::first_chunk);
    let alignment = value.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
    if alignment == 0 || !alignment.is_multiple_of(LEAST_ALIGNMENT) {
        let least = LEAST_ALIGNMENT;
        return Err(format!("`general.alignment` is {alignment}: expected a multiple of {least}"));
    }
    Ok(())
}
