//! What a person sees of a run: bars on a terminal, one line per node elsewhere, events as JSON.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ui::{Label, Ui, seconds, thousands};
use crate::runner::{Event, Listener, NodeName};

/// Shows events to a person.
pub(super) struct Display<'a> {
    ui: &'a Ui,
    /// Whether experiments have to be told apart.
    several: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The experiment, until something of it is told.
    experiment: Option<String>,
    nodes: usize,
    done: usize,
    bar: Option<Bar>,
    resumed: u64,
}

/// The bar of the node in hand. The rate is that of this attempt, not of what it found done.
struct Bar {
    bar: ProgressBar,
    since: Instant,
}

impl<'a> Display<'a> {
    pub(super) fn new(ui: &'a Ui, several: bool) -> Self {
        Self { ui, several, state: RefCell::default() }
    }

    fn plan(&self, experiment: &str, nodes: usize) {
        let experiment = self.several.then(|| experiment.to_owned());
        *self.state.borrow_mut() = State { experiment, nodes, ..State::default() };
    }

    /// Says of which experiment the lines are that follow.
    fn head(&self) {
        if let Some(experiment) = self.state.borrow_mut().experiment.take() {
            self.ui.say(&self.ui.paint(Label::Strong, &experiment));
        }
    }

    fn line(&self, node: &NodeName, rest: &str) {
        let mut state = self.state.borrow_mut();
        if let Some(bar) = state.bar.take() {
            bar.bar.finish_and_clear();
        }
        state.done += 1;
        let width = state.nodes.to_string().len();
        let place = format!("{:>width$}/{}", state.done, state.nodes);
        let place = self.ui.paint(Label::Dim, &place);
        self.ui.say(&format!("{place}  {node:<16} {rest}"));
    }

    fn start(&self, node: &NodeName, resumed_rows: u64) {
        self.head();
        let mut state = self.state.borrow_mut();
        state.resumed = resumed_rows;
        if self.ui.talks_to_terminal {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(spinner());
            bar.set_prefix(node.to_string());
            bar.enable_steady_tick(Duration::from_millis(200));
            state.bar = Some(Bar { bar, since: Instant::now() });
        }
    }

    fn progress(&self, [done, total, resumed]: [u64; 3], note: &str) {
        let state = self.state.borrow();
        let Some(Bar { bar, since }) = &state.bar else { return };
        if bar.length() != Some(total) {
            bar.set_style(style());
            bar.set_length(total);
        }
        bar.set_position(done);
        let pace = pace(done - resumed.min(done), total - done.min(total), since.elapsed());
        let parts = [pace.as_str(), note].into_iter().filter(|part| !part.is_empty());
        bar.set_message(parts.collect::<Vec<_>>().join("  "));
    }

    fn made(&self, node: &NodeName, rows: u64, spent: f64) {
        let resumed = std::mem::take(&mut self.state.borrow_mut().resumed);
        let note = match resumed {
            0 => String::new(),
            rows => format!("   resumed after {} rows", thousands(rows)),
        };
        let time = self.ui.paint(Label::Good, &format!("{:>9}", seconds(spent)));
        let note = self.ui.paint(Label::Dim, &note);
        self.line(node, &format!("{:>12} rows {time}{note}", thousands(rows)));
    }

    fn above_bar(&self, say: impl FnOnce()) {
        match &self.state.borrow().bar {
            Some(Bar { bar, .. }) => bar.suspend(say),
            None => say(),
        }
    }
}

fn spinner() -> ProgressStyle {
    let style = ProgressStyle::with_template("       {prefix:<16} {spinner} {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn style() -> ProgressStyle {
    let template = "       {prefix:<16} {bar:28.cyan/dim} {human_pos:>9}/{human_len} {wide_msg}";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━╌")
}

/// Writes `412/s, 3m 05s left`.
#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn pace(done: u64, left: u64, spent: Duration) -> String {
    let rate = done as f64 / spent.as_secs_f64().max(1e-3);
    if done == 0 || rate <= 0.0 {
        return String::new();
    }
    let rate_said = if rate >= 10.0 { format!("{rate:.0}/s") } else { format!("{rate:.2}/s") };
    format!("{rate_said}, {} left", seconds(left as f64 / rate))
}

impl Listener for Display<'_> {
    fn hear(&self, event: &Event) {
        match event {
            Event::Planned { experiment, nodes } => self.plan(experiment, *nodes),
            Event::Replaced { experiment, nodes } => {
                self.ui.warn(&format!(
                    "{nodes} finished nodes of `{experiment}` are not part of this plan; SQL shows \
                     them no more, and gc may delete them in time (`--set name=…` keeps both)"
                ));
            }
            Event::Waiting { node } => {
                let text = format!("       {node:<16} another mrx process is making it; waiting");
                self.ui.say(&self.ui.paint(Label::Dim, &text));
            }
            Event::Started { node, resumed_rows, .. } => self.start(node, *resumed_rows),
            Event::Progress { done, total, resumed, note, .. } => {
                self.progress([*done, *total, *resumed], note);
            }
            Event::Warned { node, text } => {
                self.above_bar(|| self.ui.warn(&format!("{node}: {text}")));
            }
            Event::Finished { node, rows, seconds, .. } => self.made(node, *rows, *seconds),
            Event::Failed { node, .. } => {
                self.line(node, &self.ui.paint(Label::Error, &format!("{:>27}", "failed")));
            }
            // A hundred nodes may be reused or skipped; the summary counts them.
            Event::Reused { .. } | Event::Skipped { .. } => self.state.borrow_mut().done += 1,
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
