//! The nodes of the loop: those that make M0, and those that work with `M_t` and make `M_(t+1)`.

use super::Error;
use super::loop_::{EVAL, Loop, VALIDATION};
use super::named::Files;
use super::{settings, verdicts};
use crate::runner::{Input, Node, NodeName, Source, Stage};
use crate::stages::{Examples, Standard, Train, Verb};

/// The part of a training whose epochs are kept.
pub(super) const ALL_EPOCHS: &str = ".all";

/// Adds the nodes that make M0, where the experiment fine-tunes.
pub(super) fn fine_tuning(all: &Loop<'_>, nodes: &mut Vec<Node>) -> Result<(), Error> {
    let file = all.file();
    let Some(sft) = &file.root.sft else { return Ok(()) };
    let sql = file.sql(&sft.sql)?;
    let files = Source::Files(file.declared(&sft.files)?);
    let examples = all.name(Verb::Examples, 0, "")?;
    nodes.push(Node {
        name: examples.clone(),
        stage: Box::new(Examples { sql }),
        inputs: vec![Input { name: "files", source: files }],
    });
    nodes.push(Node {
        name: all.name(Verb::Sft, 0, "")?,
        stage: Box::new(settings::sft(&all.values, sft)?),
        inputs: vec![Input::table(examples, Verb::Examples.makes()[0]), all.given_model()],
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

    fn name(&self, verb: Verb) -> Result<NodeName, Error> {
        self.all.name(verb, self.t, "")
    }

    /// The table that a stage of this iteration makes.
    fn table(&self, verb: Verb) -> Result<Input, Error> {
        Ok(Input::table(self.name(verb)?, verb.makes()[0]))
    }

    /// Adds what is drawn and scored, and lists its tables.
    fn score(&mut self) -> Result<Vec<Input>, Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let files = Input { name: "files", source: Source::Files(all.prompt_files.clone()) };
        let prompts = self.table(Verb::Prompts)?;
        let responses = self.table(Verb::Respond)?;
        let judgements = self.table(Verb::Judge)?;
        let mut asked = vec![files];
        if let Some(evaluate) = &all.file().root.evaluate {
            asked.push(Input { name: "held_out", ..all.held_out(EVAL)? });
            if evaluate.as_ref().validation.is_some() {
                asked.push(Input { name: "validation", ..all.held_out(VALIDATION)? });
            }
        }
        self.add(self.name(Verb::Prompts)?, all.prompts(t), asked);
        let inputs = vec![prompts.clone(), all.model(t)?];
        self.add(self.name(Verb::Respond)?, with.respond.clone(), inputs);
        let inputs = vec![prompts.clone(), responses.clone(), all.model(t)?];
        self.add(self.name(Verb::Judge)?, with.judge.clone(), inputs);
        self.add(self.name(Verb::Read)?, all.read.clone(), vec![judgements.clone()]);
        Ok(vec![prompts, responses, judgements, self.table(Verb::Read)?])
    }

    /// Adds how judgements are compared, and lists the tables; none where the judge is not trained.
    fn compare(&mut self, scored: &[Input]) -> Result<Vec<Input>, Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let Some(meta_judge) = &with.meta_judge else { return Ok(Vec::new()) };
        let inputs = [scored, &[all.model(t)?]].concat();
        self.add(self.name(Verb::MetaJudge)?, meta_judge.clone(), inputs);
        let compared = self.table(Verb::MetaJudge)?;
        let read = all.name(Verb::Read, t, ".meta")?;
        self.add(read.clone(), all.read_winners.clone(), vec![compared.clone()]);
        let winners = Input::table(read, Verb::Read.makes()[0]);
        self.add(
            self.name(Verb::Rate)?,
            with.rate.clone(),
            vec![compared.clone(), winners.clone()],
        );
        let winners = Input { name: "meta_readings", ..winners };
        Ok(vec![compared, winners, self.table(Verb::Rate)?])
    }

    /// Adds pairs, what is counted about them, and the training on them.
    fn learn(&mut self, mut scored: Vec<Input>, compared: Vec<Input>) -> Result<(), Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let trains_judge = with.meta_judge.is_some();
        let no_files = Input { name: "files", source: Source::Files(Files::new()) };
        let pairs = self.table(Verb::Pair)?;
        let about =
            [&scored[..], &[no_files], &compared[..], std::slice::from_ref(&pairs)].concat();
        scored.extend(compared.into_iter().filter(|input| input.name == "ratings"));
        self.add(self.name(Verb::Pair)?, with.pair.clone(), scored);
        let top_score = verdicts::top_score(&all.rule);
        let stage = Standard::of_judging(trains_judge, top_score, all.values.seed);
        self.add(all.name(Verb::Estimate, t, ".judging")?, stage, about);
        let mut inputs = self.window()?;
        inputs.push(all.start_model(t)?);
        // Where epochs are kept, the model is chosen among them.
        let part = if with.choice.is_some() { ALL_EPOCHS } else { "" };
        self.add(all.name(Verb::Train, t + 1, part)?, with.train.clone(), inputs);
        Ok(())
    }

    /// Lists the pairs that are trained on, and adds what this iteration's reference makes of them, unless
    /// the trainer asks it.
    fn window(&mut self) -> Result<Vec<Input>, Error> {
        let (all, t) = (self.all, self.t);
        let with = &all.iterations[t];
        let asks_itself = with.train.trainer.asks_reference();
        let mut inputs = Vec::new();
        for (back, [pairs, logps]) in Train::WINDOW.into_iter().enumerate() {
            let Some(of) = t.checked_sub(back).filter(|_| back < with.window) else { break };
            let of_pairs = Input::table(all.name(Verb::Pair, of, "")?, Verb::Pair.makes()[0]);
            inputs.push(Input { name: pairs, ..of_pairs.clone() });
            if asks_itself {
                continue;
            }
            let part = if back == 0 { String::new() } else { format!(".back{back}") };
            let name = all.name(Verb::Reference, t, &part)?;
            let asked = vec![of_pairs, all.reference_model(t)?];
            self.add(name.clone(), with.reference.clone(), asked);
            let scored = Input::table(name, Verb::Reference.makes()[0]);
            inputs.push(Input { name: logps, ..scored });
        }
        // The start is at hand where the trainer is; another model is not.
        if asks_itself && !with.train.dpo.reference_is_start {
            inputs.push(Input { name: "reference_model", ..all.reference_model(t)? });
        }
        Ok(inputs)
    }
}
