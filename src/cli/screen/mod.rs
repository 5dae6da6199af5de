//! The part of the terminal that a run keeps to: finished nodes scroll up above it, and in it stand how far the whole
//! run is, the node in hand, and what there is to watch of that.

mod eta;
mod lines;
mod region;
mod series;
mod view;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use console::Term;

pub(super) use eta::{Eta, Upcoming};
use region::Region;
pub(super) use view::View;

use super::ui::draw;

/// How often it is drawn: often enough to live, seldom enough to be read.
const EVERY: Duration = Duration::from_millis(250);

/// Draws the region again and again, until it is closed or let go of.
pub(super) struct Screen {
    handle: Handle,
    drawing: Option<JoinHandle<()>>,
}

/// A way to speak above the region, from any thread.
#[derive(Clone)]
pub(super) struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    closing: Condvar,
}

struct State {
    view: View,
    region: Region,
    /// Whether there is something to show yet, or still.
    is_open: bool,
    is_closed: bool,
}

impl Screen {
    /// Begins, and draws nothing before [`Handle::show`].
    pub(super) fn new(view: View) -> Self {
        let (region, is_open, is_closed) = (Region::default(), false, false);
        let state = Mutex::new(State { view, region, is_open, is_closed });
        let handle = Handle(Arc::new(Shared { state, closing: Condvar::new() }));
        let drawing = spawn({
            let handle = handle.clone();
            move || handle.keep_drawing()
        });
        Self { handle, drawing: Some(drawing) }
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Takes the region off the terminal, for good.
    pub(super) fn close(&mut self) {
        self.handle.close();
        if let Some(drawing) = self.drawing.take() {
            // A thread that only draws has nothing to tell.
            let _ = drawing.join();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

impl Handle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_drawing(&self) {
        let mut state = self.state();
        while !state.is_closed {
            state.draw("");
            let waited = self.0.closing.wait_timeout(state, EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes what is shown; it is seen when the region is drawn next.
    pub(super) fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.state().view);
    }

    /// Draws from now on.
    pub(super) fn show(&self) {
        self.state().is_open = true;
    }

    /// Says something above the region.
    pub(super) fn say(&self, text: &str) {
        self.state().draw(text);
    }

    /// Takes the region off the terminal. What is said after goes where the region was.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        draw(&state.region.clear());
        self.0.closing.notify_all();
    }
}

impl State {
    /// Draws the region anew below what is said, in one go: nothing is seen half.
    fn draw(&mut self, above: &str) {
        const ROWS: u16 = 24;
        const COLUMNS: u16 = 80;
        let (rows, columns) = Term::stderr().size_checked().unwrap_or((ROWS, COLUMNS));
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let lines = if self.is_open && !self.is_closed {
            // The last column stays free: in it some terminals break the line.
            let mut lines = self.view.lines(columns.saturating_sub(1), Instant::now());
            lines.truncate(rows.saturating_sub(1));
            lines
        } else {
            Vec::new()
        };
        draw(&self.region.frame(above, lines, columns));
    }
}
