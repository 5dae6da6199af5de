//! The part of the terminal that a run keeps to: finished nodes scroll up above it, and in it stand how far the whole
//! run is, the node in hand, and what there is to watch of that.

mod eta;
mod lines;
mod region;
mod running;
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
    /// Changed by the run, which waits for no terminal.
    view: Mutex<View>,
    /// What is drawn; who holds both took this first.
    drawn: Mutex<Drawn>,
    closing: Condvar,
}

#[derive(Default)]
struct Drawn {
    region: Region,
    /// Whether there is something to show yet, or still.
    is_open: bool,
    is_closed: bool,
}

impl Screen {
    /// Begins, and draws nothing before [`Handle::show`].
    pub(super) fn new(view: View) -> Self {
        let (view, drawn) = (Mutex::new(view), Mutex::default());
        let handle = Handle(Arc::new(Shared { view, drawn, closing: Condvar::new() }));
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
    fn view(&self) -> MutexGuard<'_, View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.0.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_drawing(&self) {
        let mut drawn = self.drawn();
        while !drawn.is_closed {
            self.draw(&mut drawn, "");
            let waited = self.0.closing.wait_timeout(drawn, EVERY);
            drawn = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes what is shown; it is seen when the region is drawn next.
    pub(super) fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view());
    }

    /// Draws from now on.
    pub(super) fn show(&self) {
        self.drawn().is_open = true;
    }

    /// Says something above the region.
    pub(super) fn say(&self, text: &str) {
        self.draw(&mut self.drawn(), text);
    }

    /// Takes the region off the terminal. What is said after goes where the region was.
    pub(super) fn close(&self) {
        let mut drawn = self.drawn();
        drawn.is_closed = true;
        draw(&drawn.region.clear());
        self.0.closing.notify_all();
    }

    /// Draws the region anew below what is said, in one go: nothing is seen half.
    fn draw(&self, drawn: &mut Drawn, above: &str) {
        const ROWS: u16 = 24;
        const COLUMNS: u16 = 80;
        let (rows, columns) = Term::stderr().size_checked().unwrap_or((ROWS, COLUMNS));
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let lines = if drawn.is_open && !drawn.is_closed {
            // The last column stays free: in it some terminals break the line.
            let mut lines = self.view().lines(columns.saturating_sub(1), Instant::now());
            lines.truncate(rows.saturating_sub(1));
            lines
        } else {
            Vec::new()
        };
        draw(&drawn.region.frame(above, lines, columns));
    }
}
