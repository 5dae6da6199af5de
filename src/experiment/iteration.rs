//! The nodes of the loop: those that make M0, and those that work with `M_t` and make `M_(t+1)`.

use super::Error;
use super::loop_::Loop;
use super::named::Files;
use super::settings;
use crate::runner::{Input, Node, NodeName, Source, Stage};
use crate::stages::{Examples, Read, Standard};

/// Adds the nodes that make M0, where the experiment fine-tunes.
pub(super) fn fine_tuning(all: &Loop<'_>, nodes: &mut Vec<Node>) -> Result<(), Error> {
    let file = all.file();
    let Some(sft) = &file.root.sft else { return Ok(()) };
    let sql = file.sql(&sft.sql)?;
    let files = Source::Files(file.declared(&sft.files)?);
    let examples = all.name("examples", 0, "")?;
    nodes.push(Node {
        name: examples.clone(),
        stage: Box::new(Examples { sql }),
        inputs: vec![Input { name: "files", source: files }],
    });
    nodes.push(Node {
        name: all.name("sft", 0, "")?,
        stage: Box::new(settings::sft(&all.values, sft)?),
        inputs: vec![Input::table(examples, "examples"), all.given_model()],
    });
    Ok(())
}

/// Adds the nodes of iteration t.
pub(super) fn of(all: &Loop<'_>, t: usize, nodes: &mut Vec<Node>) -> Result<(), Error> {
    let mut iteration = Nodes { all, t, nodes };
    let scored = iteration.score()?;
    let compared = iteration.compare(&scored)?;
    iteration.learn(scored, compared)
}

struct Nodes<'l> {
    all: &'l Loop<'l>,
    t: usize,
    nodes: &'l mut Vec<Node>,
}

impl Nodes<'_> {
    fn add(&mut self, name: NodeName, stage: impl Stage + 'static, inputs: Vec<Input>) {
        self.nodes.push(Node { name, stage: Box::new(stage), inputs });
    }

    fn name(&self, stage: &str) -> Result<NodeName, Error> {
        self.all.name(stage, self.t, "")
    }

    /// A table of this iteration.
    fn table(&self, stage: &str, table: &'static str) -> Result<Input, Error> {
        Ok(Input::table(self.name(stage)?, table))
    }

    /// Adds what is drawn and scored, and lists its tables.
    fn score(&mut self) -> Result<Vec<Input>, Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let files = Input { name: "files", source: Source::Files(all.prompt_files.clone()) };
        let prompts = self.table("prompts", "prompts")?;
        let responses = self.table("respond", "responses")?;
        let judgements = self.table("judge", "judgements")?;
        let mut asked = vec![files];
        if all.file().root.evaluate.is_some() {
            asked.push(Input { name: "held_out", ..all.held_out()? });
        }
        self.add(self.name("prompts")?, all.prompts(t), asked);
        let inputs = vec![prompts.clone(), all.model(t)?];
        self.add(self.name("respond")?, with.respond.clone(), inputs);
        let inputs = vec![prompts.clone(), responses.clone(), all.model(t)?];
        self.add(self.name("judge")?, with.judge.clone(), inputs);
        self.add(self.name("read")?, all.read.clone(), vec![judgements.clone()]);
        Ok(vec![prompts, responses, judgements, self.table("read", "readings")?])
    }

    /// Adds how judgements are compared, and lists the tables; none where the judge is not trained.
    fn compare(&mut self, scored: &[Input]) -> Result<Vec<Input>, Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let Some(meta_judge) = &with.meta_judge else { return Ok(Vec::new()) };
        let inputs = [scored, &[all.model(t)?]].concat();
        self.add(self.name("meta_judge")?, meta_judge.clone(), inputs);
        let compared = self.table("meta_judge", "meta_judgements")?;
        let read = all.name("read", t, ".meta")?;
        self.add(read.clone(), Read::winners(), vec![compared.clone()]);
        let winners = Input::table(read, "readings");
        self.add(self.name("rate")?, with.rate.clone(), vec![compared.clone(), winners.clone()]);
        let winners = Input { name: "meta_readings", ..winners };
        Ok(vec![compared, winners, self.table("rate", "ratings")?])
    }

    /// Adds pairs, what is counted about them, and the training on them.
    fn learn(&mut self, mut scored: Vec<Input>, compared: Vec<Input>) -> Result<(), Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let trains_judge = with.meta_judge.is_some();
        let no_files = Input { name: "files", source: Source::Files(Files::new()) };
        let pairs = self.table("pair", "pairs")?;
        let about =
            [&scored[..], &[no_files], &compared[..], std::slice::from_ref(&pairs)].concat();
        scored.extend(compared.into_iter().filter(|input| input.name == "ratings"));
        self.add(self.name("pair")?, with.pair.clone(), scored);
        let top_score = settings::top_score(all.file());
        let stage = Standard::of_judging(trains_judge, top_score, all.values.seed);
        self.add(all.name("estimate", t, ".judging")?, stage, about);
        let inputs = vec![pairs.clone(), all.reference_model(t)?];
        self.add(self.name("reference")?, with.reference.clone(), inputs);
        let inputs = vec![pairs, self.table("reference", "reference_logps")?, all.start_model(t)?];
        self.add(all.name("train", t + 1, "")?, with.train.clone(), inputs);
        Ok(())
    }
}
