//! A server that speaks as vLLM's does, answers from a local model, and goes wrong where it is told to.

mod answers;
mod body;
mod counts;
mod desk;
mod draw;
mod exchange;
mod faults;
mod faulty;
mod options;
pub(crate) mod process;
mod raw;
mod routes;
mod spoken;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

pub(crate) use counts::{Counts, Received};
pub(crate) use options::{Fault, Faults, Options, Quirk};

use counts::Counters;
use desk::Desk;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
    counters: Arc<Counters>,
}

impl Server {
    /// Starts a server; it takes requests from now on.
    pub(crate) fn start(options: Options) -> Self {
        let port = options.port;
        let counters = Arc::new(Counters::default());
        let desk = Arc::new(Desk::new(options, Arc::clone(&counters)));
        // One thread is enough for whoever answers at once, and leaves the others to the client.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).unwrap();
        let address = listener.local_addr().unwrap();
        // A client that is gone by now has no use for it.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        runtime.spawn(async move { axum::serve(listener, routes::routes(desk)).await });
        Self { runtime: Some(runtime), address, counters }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has seen so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counters.so_far()
    }

    /// Requests as they came, where the options say to keep them.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.counters.kept()
    }

    /// The port, to start another one at the same place.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}
