//! Memory: what drawing and training take is told before they begin, and what cannot fit does not begin.

use crate::local;

#[test]
fn a_training_that_cannot_fit_is_refused_before_anything_is_made() {
    let lab = local::lab();
    let plan = lab.mrx(&["plan", "small"]).success();
    let plan = plan.prints("Training here takes about").prints("optimizer");
    plan.prints("Drawing here takes about").prints("--cache-memory");
    lab.write("mrx.toml", "memory = \"64 KiB\"\n");
    lab.mrx(&["plan", "small"]).success().prints("where 64.0 KiB may be used");
    lab.mrx(&["run", "small"])
        .fails_with(1)
        .says("drawing needs about")
        .says("keys and values of one text")
        .says("and 64.0 KiB may be used")
        .says("GGUF");
    lab.mrx(&["run", "small", "train.m1"])
        .fails_with(1)
        .says("training needs about")
        .says("and 64.0 KiB may be used")
        .says("gradient_checkpointing = true")
        .says("[adapter]")
        .says("`memory` in mrx.toml");
    // What neither draws nor trains is made.
    lab.mrx(&["run", "small", "prompts.m0"]).success();
    lab.write("mrx.toml", "memory = \"lots\"\n");
    lab.mrx(&["plan", "small"]).fails_with(1).says("expected a size of memory, as `12 GiB`");
    lab.write("mrx.toml", "memory = \"8 GiB\"\n");
    lab.mrx(&["run", "small", "train.m1"]).success();
    // What is made already needs no memory.
    lab.write("mrx.toml", "memory = \"64 KiB\"\n");
    lab.mrx(&["run", "small", "train.m1"]).success();
}
