//! A client of a few lines that sees every byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::Server;

/// What came back, as far as it came.
#[derive(Debug)]
pub(super) struct Raw {
    /// 0 where nothing came.
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Whether the connection ended, rather than nothing coming any more.
    pub(super) ended: bool,
}

impl Raw {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header, by its name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether all bytes came that were announced.
    pub(super) fn is_whole(&self) -> bool {
        self.header("content-length").and_then(|n| n.parse().ok()) == Some(self.body.len())
    }
}

/// Posts JSON, with more headers.
pub(super) fn post(server: &Server, path: &str, headers: &[&str], body: &Value) -> Raw {
    post_to(&server.url(), path, headers, body)
}

pub(super) fn post_to(url: &str, path: &str, headers: &[&str], body: &Value) -> Raw {
    let body = body.to_string();
    let length = format!("content-length: {}", body.len());
    let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
    exchange(url, &format!("POST {path}"), &headers, &body).unwrap()
}

pub(super) fn get(server: &Server, path: &str) -> Raw {
    get_from(&server.url(), path).unwrap()
}

/// Fails where nobody listens.
pub(super) fn get_from(url: &str, path: &str) -> io::Result<Raw> {
    exchange(url, &format!("GET {path}"), &[], "")
}

fn exchange(url: &str, line: &str, headers: &[&str], body: &str) -> io::Result<Raw> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let line = format!("{line} HTTP/1.1");
    let first = [line.as_str(), "host: x", "connection: close"];
    let text = [&first, headers, &["", body]].concat().join("\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut came = Vec::new();
    let mut some = [0; 4096];
    let ended = loop {
        match stream.read(&mut some) {
            Ok(0) => break true,
            Ok(count) => came.extend_from_slice(&some[..count]),
            Err(error) => break error.kind() == io::ErrorKind::ConnectionReset,
        }
    };
    let split = came.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(came.len());
    let head = String::from_utf8_lossy(&came[..split]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = came.get(split + 4..).unwrap_or_default().to_vec();
    Ok(Raw { status, head, body, ended })
}
