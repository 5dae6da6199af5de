//! Requests in files and replies from files, as batch APIs and `vllm run-batch` have them: a JSON object a
//! line, a reply found by the id of its row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What is done with files.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Requests are written.
    Export(Export),
    /// Replies are taken.
    Import(Arc<Replies>),
}

/// Where requests are written, and how many into one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The folder.
    pub folder: PathBuf,
    /// How the files' names begin.
    pub stem: String,
    /// Requests in a file, at most.
    pub max_requests: usize,
    /// Bytes of a file, at most.
    pub max_bytes: u64,
}

/// Why work with files ends: it does not make the table.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The requests are written.
    #[error("{} requests are written", .ids.len())]
    Exported {
        /// Their ids.
        ids: Vec<String>,
        /// Where.
        files: Vec<PathBuf>,
    },
    /// The replies are taken, and others are missing.
    #[error("{taken} replies are taken, {missing} are missing")]
    Imported {
        /// Rows that landed.
        taken: usize,
        /// Rows without a reply.
        missing: usize,
        /// Replies that are errors and may be had another time, the first few with why.
        failed: Vec<(String, String)>,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no reply.
    #[error("{}:{line}: expected a reply to a batch request, found {found}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is there.
        found: String,
    },
}

#[derive(Serialize)]
struct Line<'l> {
    custom_id: &'l str,
    method: &'static str,
    url: &'static str,
    body: &'l RawValue,
}

/// Writes requests into files, so many into each.
#[derive(Debug)]
pub(super) struct Writer<'e> {
    export: &'e Export,
    file: Option<(BufWriter<File>, usize, u64)>,
    ids: Vec<String>,
    files: Vec<PathBuf>,
}

impl<'e> Writer<'e> {
    pub(super) const fn new(export: &'e Export) -> Self {
        Self { export, file: None, ids: Vec::new(), files: Vec::new() }
    }

    pub(super) fn write(
        &mut self,
        id: &str,
        url: &'static str,
        body: String,
    ) -> Result<(), Stopped> {
        let path = self.files.last().unwrap_or(&self.export.folder).clone();
        let fail = |source| Stopped::File { path: path.clone(), source };
        let body = RawValue::from_string(body).map_err(|error| fail(error.into()))?;
        let line = Line { custom_id: id, method: "POST", url, body: &body };
        let mut line = serde_json::to_vec(&line).map_err(|error| fail(error.into()))?;
        line.push(b'\n');
        let length = line.len() as u64;
        let full = |(_, requests, bytes): &(_, usize, u64)| {
            *requests >= self.export.max_requests || bytes + length > self.export.max_bytes
        };
        if self.file.as_ref().is_none_or(full) {
            self.begin()?;
        }
        if let Some((file, requests, bytes)) = &mut self.file {
            file.write_all(&line).map_err(fail)?;
            *requests += 1;
            *bytes += length;
        }
        self.ids.push(id.to_owned());
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Stopped> {
        self.end()?;
        let name = format!("{}-{:04}.jsonl", self.export.stem, self.files.len());
        let path = self.export.folder.join(name);
        let made = File::create(&path);
        let file = made.map_err(|source| Stopped::File { path: path.clone(), source })?;
        self.files.push(path);
        self.file = Some((BufWriter::new(file), 0, 0));
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stopped> {
        let (Some((mut file, ..)), Some(path)) = (self.file.take(), self.files.last()) else {
            return Ok(());
        };
        let fail = |source| Stopped::File { path: path.clone(), source };
        file.flush().map_err(fail)
    }

    /// Says what was written.
    pub(super) fn finish(mut self) -> Stopped {
        match self.end() {
            Ok(()) => Stopped::Exported { ids: self.ids, files: self.files },
            Err(error) => error,
        }
    }
}

/// Replies in files, by the ids of their rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Replies {
    files: Vec<PathBuf>,
    places: HashMap<String, Place>,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    file: usize,
    line: usize,
    start: u64,
    bytes: usize,
}

/// What a line says, as far as it is needed.
#[derive(Deserialize)]
struct ReplyLine<'l> {
    custom_id: String,
    #[serde(borrow)]
    response: Option<Response<'l>>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Response<'l> {
    status_code: Option<u16>,
    #[serde(borrow)]
    body: Option<&'l RawValue>,
}

/// What a line says of its request.
pub(super) enum Said {
    Body(String),
    Refused(String),
    Failed(String),
}

impl Replies {
    /// Finds the replies in files. Of two to one request, one that is a text counts before an error, and
    /// a later one before an earlier one.
    ///
    /// # Errors
    /// Naming the line that is no reply.
    pub fn find(files: Vec<PathBuf>) -> Result<Self, Stopped> {
        let mut places: HashMap<String, (bool, Place)> = HashMap::new();
        for (file, path) in files.iter().enumerate() {
            let fail = |source| Stopped::File { path: path.clone(), source };
            let mut reader = BufReader::new(File::open(path).map_err(fail)?);
            let (mut start, mut text) = (0, Vec::new());
            for line in 1.. {
                text.clear();
                let bytes = reader.read_until(b'\n', &mut text).map_err(fail)?;
                if bytes == 0 {
                    break;
                }
                if !text.trim_ascii().is_empty() {
                    let (id, is_text) = looked_at(&text, path, line)?;
                    let place = Place { file, line, start, bytes };
                    let known = places.get(&id).is_some_and(|(known, _)| *known && !is_text);
                    if !known {
                        places.insert(id, (is_text, place));
                    }
                }
                start += bytes as u64;
            }
        }
        let places = places.into_iter().map(|(id, (_, place))| (id, place)).collect();
        Ok(Self { files, places })
    }

    /// The ids that are replied to.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// What is replied to a request, and where.
    pub(super) fn of(&self, id: &str) -> Result<Option<(Said, String)>, Stopped> {
        let Some(place) = self.places.get(id) else { return Ok(None) };
        let path = &self.files[place.file];
        let fail = |source| Stopped::File { path: path.clone(), source };
        let mut file = File::open(path).map_err(fail)?;
        file.seek(SeekFrom::Start(place.start)).map_err(fail)?;
        let mut text = vec![0; place.bytes];
        file.read_exact(&mut text).map_err(fail)?;
        let line: ReplyLine<'_> = parsed(&text, path, place.line)?;
        Ok(Some((said(line), format!("{}:{}", path.display(), place.line))))
    }
}

fn parsed<'t>(text: &'t [u8], path: &Path, line: usize) -> Result<ReplyLine<'t>, Stopped> {
    serde_json::from_slice(text).map_err(|error| Stopped::Line {
        path: path.to_owned(),
        line,
        found: error.to_string(),
    })
}

fn looked_at(text: &[u8], path: &Path, line: usize) -> Result<(String, bool), Stopped> {
    let reply = parsed(text, path, line)?;
    if reply.response.is_none() && reply.error.is_none() {
        let found = "neither `response` nor `error`; is it a file of requests?".to_owned();
        return Err(Stopped::Line { path: path.to_owned(), line, found });
    }
    let id = reply.custom_id.clone();
    Ok((id, matches!(said(reply), Said::Body(_))))
}

fn said(line: ReplyLine<'_>) -> Said {
    let ReplyLine { response, error, .. } = line;
    let Some(Response { status_code, body }) = response else {
        return Said::Failed(error.unwrap_or_default().to_string());
    };
    let body = body.map(RawValue::get).unwrap_or_default().to_owned();
    match status_code {
        None | Some(200) if error.is_none() && !body.is_empty() => Said::Body(body),
        Some(400 | 413 | 422) => Said::Refused(words(&body)),
        Some(status) => Said::Failed(format!("status {status}: {}", words(&body))),
        None => Said::Failed(error.unwrap_or_default().to_string()),
    }
}

fn words(body: &str) -> String {
    let told: Option<Value> = serde_json::from_str(body).ok();
    let message = told.as_ref().and_then(|told| {
        told.pointer("/error/message").or_else(|| told.get("message")).and_then(Value::as_str)
    });
    message.unwrap_or(body).chars().take(300).collect()
}
