//! The fine-tuning step of the quickstart: how long it takes, and what the model can do after it. No
//! Python is needed; `experiments/quickstart/` is the data.
//!
//! `cargo bench --bench learn`. `MRX_BENCH_SCALE` shrinks the number of steps.

#![expect(unsafe_code, reason = "what is settled for the process wants it to be alone")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

#[path = "support/compare.rs"]
mod compare;
#[path = "../src/settle.rs"]
mod settle;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use compare::{Outcome, asked, median, print, rounds, scaled, verdict};
use duckdb::Connection;
use mrx::model::{
    Ask, Chat, Config, Decoding, Device, Local, Message, Network, Prompt, Tokenised, Tokenizer,
    draw_all, weights,
};
use mrx::train::adamw::AdamW;
use mrx::train::{Example, Schedule, Settings, Sft, Trainer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: usize = 1500;

/// Answers to each held-out prompt.
const SAMPLES: usize = 5;

/// What a prototype in PyTorch reached with the same steps on two cores: exact answers, judge's score
/// equal to the oracle's, and seconds.
const PROTOTYPE: (f64, f64, f64) = (0.515, 0.535, 165.0);

fn main() -> Outcome {
    if !asked() {
        return Ok(());
    }
    // As `mrx` does.
    // SAFETY: there is no other thread yet.
    unsafe { settle::settle() };
    std::env::set_current_dir(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart"),
    )?;
    let connection = Connection::open_in_memory()?;
    let examples = texts(&connection, &std::fs::read_to_string("examples.sql")?)?;
    let eval = texts(&connection, &std::fs::read_to_string("eval.sql")?)?;
    let mut table =
        vec![row!["seed", "seconds", "loss", "exact", "careful", "judge = oracle", "correlation"]];
    let (mut exact, mut agree, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..rounds() as u64 {
        let began = Instant::now();
        let (model, loss) = learn(&examples, seed)?;
        seconds.push(began.elapsed().as_secs_f64());
        let figures = measure(&model, &connection, &eval)?;
        exact.push(figures[0]);
        agree.push(figures[2]);
        let spent = seconds.last().copied().unwrap_or_default();
        let mut line = row![seed, format!("{spent:.0}"), format!("{loss:.3}")];
        line.extend(figures.map(|figure| format!("{figure:.3}")));
        table.push(line);
    }
    let steps = scaled(STEPS);
    print(&format!("{} examples, {steps} steps of 64", examples.len()), &table)?;
    let (least_exact, least_agree, most) = PROTOTYPE;
    let [exact, agree, seconds] = [exact, agree, seconds].map(median);
    print(
        "median beside a PyTorch prototype",
        &[
            row!["", "mrx", "prototype", ""],
            row!["exact", format!("{exact:.3}"), least_exact, verdict(least_exact, exact)],
            row!["judge = oracle", format!("{agree:.3}"), least_agree, verdict(least_agree, agree)],
            row!["seconds", format!("{seconds:.0}"), most, verdict(seconds, most)],
        ],
    )
}

/// The first two columns of a query, prompt and what goes with it.
fn texts(connection: &Connection, sql: &str) -> Outcome<Vec<(String, String)>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn files() -> Outcome<std::collections::BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir("model")?.collect::<Result<Vec<_>, _>>()?;
    let named = |e: std::fs::DirEntry| (e.file_name().to_string_lossy().into_owned(), e.path());
    Ok(entries.into_iter().map(named).collect())
}

fn local(config: &Arc<Config>, weights: &weights::Weights) -> Outcome<Local> {
    let network = Network::new(Arc::clone(config), weights)?;
    let tokenizer = Tokenizer::open(Path::new("model/tokenizer.json"), config.vocab_size)?;
    Ok(Local::new(network, tokenizer, Chat::open(&files()?)?, config.eos_token_ids.clone()))
}

/// Fine-tunes from random weights; returns the mean loss of the last hundred steps, too.
fn learn(texts: &[(String, String)], seed: u64) -> Outcome<(Local, f64)> {
    let config = Arc::new(Config::read(Path::new("model/config.json"))?);
    let weights = weights::initialise(&config, seed, &Device::Cpu)?;
    let start = local(&config, &weights)?;
    let mut examples = Vec::new();
    for (prompt, target) in texts {
        let Tokenised { prompt, target, .. } = start.tokenised(&[Message::user(prompt)], target)?;
        examples.push(Example { prompt, target });
    }
    let settings = Settings {
        learning_rate: 3e-3,
        schedule: Schedule::Cosine,
        warmup_steps: 100,
        adamw: AdamW { beta2: 0.95, weight_decay: 0.01, ..AdamW::default() },
        batch: 64,
        epochs: 100,
        max_steps: Some(scaled(STEPS)),
        seed,
        ..Settings::default()
    };
    let mut trainer = Trainer::new(Arc::clone(&config), &weights, Sft, &examples, settings)?;
    let mut losses = Vec::new();
    while let Some(step) = trainer.step()? {
        losses
            .extend(step.values.iter().filter(|(name, _)| *name == "loss").map(|(_, loss)| *loss));
    }
    let last = &losses[losses.len().saturating_sub(100)..];
    let loss = last.iter().sum::<f64>() / last.len() as f64;
    Ok((local(&config, &trainer.weights())?, loss))
}

fn draw(model: &Local, prompts: &[String]) -> Outcome<Vec<String>> {
    let decoding =
        Decoding { temperature: 0.8, top_p: 0.95, max_tokens: 40, ..Decoding::default() };
    let ask = |(seed, prompt): (u64, &String)| Ask {
        prompt: Prompt::Messages(vec![Message::user(prompt)]),
        decoding,
        stop: Vec::new(),
        seeds: vec![seed],
        names: Vec::new(),
    };
    let asks: Vec<Ask> = (0..).zip(prompts).map(ask).collect();
    let replies = draw_all(model, &asks)?.into_iter().flatten();
    Ok(replies.map(|reply| reply.text).collect())
}

/// Exact answers, careful judgements, judge's score equal to the oracle's, their correlation.
fn measure(model: &Local, connection: &Connection, eval: &[(String, String)]) -> Outcome<[f64; 4]> {
    let eval: Vec<&(String, String)> = eval.iter().flat_map(|row| [row; SAMPLES]).collect();
    let prompts: Vec<String> = eval.iter().map(|(prompt, _)| prompt.clone()).collect();
    let answers = draw(model, &prompts)?;
    let template = std::fs::read_to_string("judge.jinja")?;
    let ask = |(prompt, answer): (&String, &String)| {
        let asked = template.trim_end().replace("{{ prompt }}", prompt);
        asked.replace("{{ response }}", answer)
    };
    let judged: Vec<String> = prompts.iter().zip(&answers).map(ask).collect();
    let judgements = draw(model, &judged)?;
    connection.execute_batch(
        "CREATE OR REPLACE TABLE drawn (prompt VARCHAR, reference VARCHAR, response VARCHAR, \
         judgement VARCHAR)",
    )?;
    let mut rows = connection.appender("drawn")?;
    for (((prompt, reference), answer), judgement) in eval.iter().zip(&answers).zip(&judgements) {
        rows.append_row([prompt, reference, answer, judgement])?;
    }
    rows.flush()?;
    let oracle = std::fs::read_to_string("oracle.sql")?;
    let sql = format!(
        "WITH answers AS (FROM drawn), scored AS ({oracle}), read AS (SELECT *, \
         try_cast(regexp_extract(judgement, 'Score: ([0-5])', 1) AS INTEGER) AS said FROM scored) \
         SELECT avg((score = 5)::INT), avg(starts_with(judgement, 'expect')::INT), \
         avg(coalesce(said = score, false)::INT), corr(said, score) FROM read"
    );
    let figures = connection.query_row(&sql, [], |row| {
        Ok([row.get::<_, f64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    })?;
    Ok(figures)
}
