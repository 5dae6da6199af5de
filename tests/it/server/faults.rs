//! Faults as they happen to a request: which one is drawn for it, and what it does to the reply.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::time::sleep;

use super::counts::{Counters, UnderWay};
use super::options::{Fault, Faults};
use super::wire::Problem;

/// The fault of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) fault: Fault,
    /// Which of its forms it takes.
    pub(super) roll: usize,
}

impl Faults {
    /// The fault that a request gets, by its place among all; most get none.
    pub(super) fn hit(&self, request: u64) -> Option<Hit> {
        if self.kinds.is_empty() || self.share <= 0.0 {
            return None;
        }
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        dice.set_stream(request);
        let hit = dice.random::<f64>() < self.share;
        let fault = self.kinds[dice.random_range(0..self.kinds.len())];
        hit.then(|| Hit { fault, roll: dice.random_range(0..1 << 16) })
    }
}

impl Hit {
    /// The reply to a request that goes wrong before anybody answers it.
    pub(super) async fn before(self, counters: &Counters) -> Option<Response> {
        let problem = |status, message: &str| {
            Problem::new(status, "InternalServerError", message).into_response()
        };
        let response = match self.fault {
            Fault::TooMany => problem(StatusCode::TOO_MANY_REQUESTS, "too many requests"),
            Fault::TooManyWithRetryAfter(seconds) => {
                let response = problem(StatusCode::TOO_MANY_REQUESTS, "too many requests");
                ([(header::RETRY_AFTER, HeaderValue::from(seconds))], response).into_response()
            }
            Fault::Internal => problem(StatusCode::INTERNAL_SERVER_ERROR, "EngineCore failed"),
            Fault::Unavailable => problem(StatusCode::SERVICE_UNAVAILABLE, "not ready yet"),
            Fault::Garbage => garbage(self.roll),
            Fault::Hang => {
                counters.fault(self.fault);
                return std::future::pending().await;
            }
            _ => return None,
        };
        counters.fault(self.fault);
        Some(response)
    }

    /// The reply that becomes of a right one, where the fault is in how it is sent.
    pub(super) fn sent(self, body: &Bytes, under_way: UnderWay) -> Option<Response> {
        let whole = body.len();
        let soon = Duration::from_millis(5);
        match self.fault {
            Fault::Reset if self.roll.is_multiple_of(2) => {
                Some(streamed(Pieces::new(Vec::new(), soon, true, under_way), None))
            }
            Fault::Reset => {
                let some = vec![body.slice(..whole / 3)];
                Some(streamed(Pieces::new(some, soon, true, under_way), None))
            }
            Fault::HalfABody => {
                let half = vec![body.slice(..whole / 2)];
                Some(streamed(Pieces::new(half, soon, true, under_way), Some(whole)))
            }
            Fault::SlowDrip(over) => {
                let size = whole.div_ceil(10).max(1);
                let pieces = (0..whole).step_by(size);
                let pieces = pieces.map(|from| body.slice(from..whole.min(from + size))).collect();
                Some(streamed(Pieces::new(pieces, over / 10, false, under_way), Some(whole)))
            }
            _ => None,
        }
    }

    /// What is added to the counts of prompt, completion and all.
    pub(super) fn usage(self) -> [usize; 3] {
        let mut off = [0; 3];
        if self.fault == Fault::WrongUsage {
            off[self.roll % 3] = 1;
        }
        off
    }
}

/// 200, but nothing that anybody asked for.
fn garbage(roll: usize) -> Response {
    let (kind, body): (&str, &[u8]) = match roll % 4 {
        0 => ("text/html", b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
        1 => ("application/json", b"\x00\xff\xfe{{{\"choices\""),
        2 => ("application/json", b""),
        _ => (
            "application/json",
            b"{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"choices\":[{\"te",
        ),
    };
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Pieces of a body that are sent one after the other.
struct Pieces {
    left: std::vec::IntoIter<Bytes>,
    pause: Duration,
    /// Whether the connection breaks after the last of them.
    breaks: bool,
    /// Held, so that the request counts as under way until all is sent.
    _under_way: UnderWay,
}

impl Pieces {
    fn new(pieces: Vec<Bytes>, pause: Duration, breaks: bool, under_way: UnderWay) -> Self {
        Self { left: pieces.into_iter(), pause, breaks, _under_way: under_way }
    }

    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let Some(piece) = self.left.next() else {
            if !self.breaks {
                return None;
            }
            // Or what was sent before would never leave this machine.
            sleep(self.pause).await;
            let broken = io::Error::new(io::ErrorKind::ConnectionReset, "broken on purpose");
            return Some((Err(broken), self));
        };
        if !self.breaks {
            sleep(self.pause).await;
        }
        Some((Ok(piece), self))
    }
}

fn streamed(pieces: Pieces, length: Option<usize>) -> Response {
    let mut response = Body::from_stream(unfold(pieces, Pieces::next)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
