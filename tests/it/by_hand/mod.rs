//! Training by hand: pairs go out as other programs take them, and what these made comes back.

mod export;
mod import;

use crate::lab::Lab;
use crate::local;

/// The small experiment, whose models are trained by hand.
fn lab() -> Lab {
    let lab = local::lab();
    lab.edit("small/experiment.toml", "[train]", "[train]\ntrainer = \"import\"");
    // More verdicts, so that there are more pairs.
    lab.edit(
        "small/experiment.toml",
        "samples = 3\nmax_tokens = 5",
        "samples = 6\nmax_tokens = 16",
    );
    // transformers asks for it.
    let config = "\"model_type\": \"llama\",\n  \"vocab_size\"";
    lab.edit("small/model/config.json", "\"vocab_size\"", config);
    lab
}

/// The same, stopped where it waits for m1.
fn waiting() -> Lab {
    let lab = lab();
    lab.mrx(&["run", "small"])
        .fails_with(3)
        .says(
            "train.m1: it waits for a checkpoint that is trained elsewhere, and none was imported",
        )
        .says("mrx export pairs EXPERIMENT/MODEL --to trl")
        .says("mrx import checkpoint FOLDER --as EXPERIMENT/NEXT_MODEL");
    lab
}
