//! What helps where a node goes wrong while it is made.

use crate::runner::{Fault, NodeName};

/// What to look at, and what may be changed. The node goes on all the same.
pub(super) fn look_at(fault: Fault, node: &NodeName, experiment: &str) -> String {
    const STOP: &str = "Ctrl-C stops here and keeps what was drawn";
    let table = setting(node);
    let rows = |columns: &str, where_: &str| {
        let rows = rows(node);
        format!(
            "mrx sql \"SELECT {columns} FROM {rows} WHERE experiment = '{experiment}' AND node = '{node}' AND {where_} \
             LIMIT 5\""
        )
    };
    match fault {
        Fault::Unreadable => format!(
            "{STOP}; `mrx read EXPERIMENT{} --try TEXT` says how a text is read, `[{table}.verdict]` how else it may \
             be; once it is read: {}",
            whose(node),
            rows("status, text", "status != 'ok'")
        ),
        Fault::Truncated => {
            let cut = if node.stage() == "respond" {
                "finish_reason = 'length'"
            } else {
                "status = 'truncated'"
            };
            format!(
                "{STOP}; more `max_tokens` in `[{table}]` lets them end; once it is made: {}",
                rows("text", cut)
            )
        }
        Fault::Empty => format!(
            "{STOP}; `mrx show --prompt {experiment}/{node}` prints what the model was asked, once it is made"
        ),
        Fault::Rising => format!(
            "Ctrl-C stops here; a smaller `learning_rate` in `[{table}]`, or more `warmup_steps`, may help; once it \
             is made: mrx sql \"SELECT step, value FROM metrics WHERE experiment = '{experiment}' AND node = '{node}' \
             AND metric = 'loss' ORDER BY step\""
        ),
    }
}

/// The table of the experiment that says how a node works.
fn setting(node: &NodeName) -> &str {
    match node.stage() {
        "evaluate" => "evaluate.judge",
        stage => stage,
    }
}

/// The table that its rows are in.
fn rows(node: &NodeName) -> &str {
    match node.stage() {
        "judge" => "judgements",
        "meta_judge" => "meta_judgements",
        "evaluate" => "verdicts",
        _ => "responses",
    }
}

/// Whose verdicts it draws, as `mrx read` is told.
fn whose(node: &NodeName) -> &'static str {
    match node.stage() {
        "meta_judge" => " --of meta_judge",
        "evaluate" => " --of evaluate",
        _ => "",
    }
}
