//! What a person sees of a run: on a terminal a region that lives, one line per node elsewhere, events as JSON.

use std::cell::RefCell;
use std::time::Instant;

use super::faults::look_at;
use super::screen::{Eta, Handle, Screen, View};
use super::ui::{Label, Ui, seconds, thousands};
use crate::runner::{Event, Listener, NodeName};

/// Shows events to a person.
pub(super) struct Display<'a> {
    ui: &'a Ui,
    /// Whether experiments have to be told apart.
    several: bool,
    screen: Option<Screen>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    experiment: String,
    /// Whether its name is still to be told.
    untold: bool,
    nodes: usize,
    done: usize,
    resumed: u64,
}

impl<'a> Display<'a> {
    /// Shows a run, with a region that lives where it is known what is ahead.
    pub(super) fn new(ui: &'a Ui, several: bool, ahead: Option<Eta>) -> Self {
        let screen = ahead.map(|eta| Screen::new(View::new(ui.paint, eta)));
        Self { ui, several, screen, state: RefCell::default() }
    }

    /// A way to speak above what lives, where something does.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.screen.as_ref().map(|screen| screen.handle().clone())
    }

    /// Ends what lives.
    pub(super) fn close(mut self) {
        if let Some(screen) = &mut self.screen {
            screen.close();
        }
    }

    fn say(&self, text: &str) {
        match &self.screen {
            Some(screen) => screen.handle().say(text),
            None => self.ui.say(text),
        }
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        if let Some(screen) = &self.screen {
            screen.handle().change(change);
        }
    }

    fn plan(&self, experiment: &str, nodes: usize) {
        let (experiment, untold) = (experiment.to_owned(), self.several);
        *self.state.borrow_mut() = State { experiment, untold, nodes, ..State::default() };
        self.change(|view| view.plan(nodes));
    }

    /// Says of which experiment the lines are that follow.
    fn head(&self) {
        if std::mem::take(&mut self.state.borrow_mut().untold) {
            let experiment = self.state.borrow().experiment.clone();
            self.say(&self.ui.paint(Label::Strong, &experiment));
        }
    }

    fn line(&self, node: &NodeName, rest: &str) {
        let place = {
            let mut state = self.state.borrow_mut();
            state.done += 1;
            let width = state.nodes.to_string().len();
            format!("{:>width$}/{}", state.done, state.nodes)
        };
        let place = self.ui.paint(Label::Dim, &place);
        self.say(&format!("{place}  {node:<16} {rest}"));
    }

    fn start(&self, node: &NodeName, resumed_rows: u64) {
        self.head();
        self.state.borrow_mut().resumed = resumed_rows;
        self.change(|view| view.start(node, Instant::now()));
        if let Some(screen) = &self.screen {
            screen.handle().show();
        }
    }

    fn made(&self, node: &NodeName, rows: u64, spent: f64) {
        let resumed = std::mem::take(&mut self.state.borrow_mut().resumed);
        let note = match resumed {
            0 => String::new(),
            rows => format!("   resumed after {} rows", thousands(rows)),
        };
        let time = self.ui.paint(Label::Good, &format!("{:>9}", seconds(spent)));
        let note = self.ui.paint(Label::Dim, &note);
        self.change(|view| view.end(node, Some(spent), Instant::now()));
        self.line(node, &format!("{:>12} rows {time}{note}", thousands(rows)));
    }

    fn warn(&self, event: &Event) {
        let Event::Warned { node, text, fault } = event else { return };
        let mut said = self.ui.warning(&format!("{node}: {text}"));
        if let Some(fault) = fault {
            let hint = look_at(*fault, node, &self.state.borrow().experiment);
            said = format!("{said}\n{}", self.ui.hinted(&hint));
        }
        self.say(&said);
    }
}

impl Listener for Display<'_> {
    fn hear(&self, event: &Event) {
        match event {
            Event::Planned { experiment, nodes } => self.plan(experiment, *nodes),
            Event::Replaced { experiment, nodes } => {
                let text = format!(
                    "{nodes} finished nodes of `{experiment}` are not part of this plan; SQL shows \
                     them no more, and gc may delete them in time (`--set name=…` keeps both)"
                );
                self.say(&self.ui.warning(&text));
            }
            Event::Waiting { node } => {
                let text = format!("       {node:<16} another mrx process is making it; waiting");
                self.say(&self.ui.paint(Label::Dim, &text));
            }
            Event::Started { node, resumed_rows, .. } => self.start(node, *resumed_rows),
            Event::Progress { done, total, resumed, figures, .. } => {
                self.change(|view| {
                    view.progress(Instant::now(), [*done, *total, *resumed], figures);
                });
            }
            Event::Warned { .. } => self.warn(event),
            Event::Finished { node, rows, seconds, .. } => self.made(node, *rows, *seconds),
            Event::Failed { node, .. } => {
                self.change(|view| view.end(node, None, Instant::now()));
                self.line(node, &self.ui.paint(Label::Error, &format!("{:>27}", "failed")));
            }
            // A hundred nodes may be reused or skipped; the summary counts them.
            Event::Reused { node, .. } | Event::Skipped { node, .. } => {
                self.state.borrow_mut().done += 1;
                self.change(|view| view.end(node, None, Instant::now()));
            }
        }
    }
}

/// Writes events as JSON lines.
pub(super) struct JsonEvents<'a>(pub(super) &'a Ui);

impl Listener for JsonEvents<'_> {
    fn hear(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            // A reader that went away must not end the work.
            let _ = self.0.print(&line);
        }
    }
}
