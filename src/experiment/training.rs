//! `[sft]` and `[train]`: where models come from.

use super::Error;
use super::per_iteration::{Count, Decay, Minority, Norm, Positive, Rate, Steps, Switch};
use super::plan::{Loop, declared_files};
use super::toml_file::{self as file, ReferenceModel, StartModel};
use crate::runner::{Input, Node, Source};
use crate::stages::{AdamW, Dpo, DpoLoss, Examples, OnNoPairs, Settings, Sft, Train};

impl Loop<'_> {
    /// Adds the nodes that make M0, where the experiment fine-tunes.
    pub(super) fn fine_tuning(&self, nodes: &mut Vec<Node>) -> Result<(), Error> {
        let Some(sft) = &self.file.root.sft else { return Ok(()) };
        let sql = self.file.text.read(&self.file.find(sft.sql.as_ref()), &sft.sql.span())?;
        let files = Source::Files(declared_files(self.file, &sft.files)?);
        let examples = self.name("examples", 0, "")?;
        nodes.push(Node {
            name: examples.clone(),
            stage: Box::new(Examples { sql }),
            inputs: vec![Input { name: "files", source: files }],
        });
        nodes.push(Node {
            name: self.name("sft", 0, "")?,
            stage: Box::new(self.sft(sft)?),
            inputs: vec![Input::table(examples, "examples"), self.given_model()],
        });
        Ok(())
    }

    fn sft(&self, sft: &file::Sft) -> Result<Sft, Error> {
        let default = Settings::default();
        let epochs = sft.epochs.unwrap_or(Count(1));
        let schedule_epochs = sft.schedule_epochs.as_ref();
        if let Some(named) = schedule_epochs.filter(|named| named.as_ref().0 < epochs.0) {
            return Err(self.too_few_epochs(&named.span(), epochs, *named.as_ref()));
        }
        let model = self.file.root.model.as_ref();
        let init = model.and_then(|model| model.as_ref().init.as_ref());
        Ok(Sft {
            engine: self.engine.clone(),
            settings: Settings {
                learning_rate: sft.learning_rate.map_or(default.learning_rate, |rate| rate.0),
                schedule: sft.schedule.unwrap_or(default.schedule),
                warmup_steps: sft.warmup_steps.map_or(0, Steps::size),
                adamw: AdamW {
                    beta1: sft.adam_beta1.map_or(default.adamw.beta1, |beta| beta.0),
                    beta2: sft.adam_beta2.map_or(default.adamw.beta2, |beta| beta.0),
                    eps: sft.adam_epsilon.map_or(default.adamw.eps, |eps| eps.0),
                    weight_decay: sft.weight_decay.map_or(0.0, |decay| decay.0),
                },
                max_grad_norm: sft.max_grad_norm.map_or(default.max_grad_norm, |norm| norm.0),
                batch: sft.batch.map_or(default.batch, Count::size),
                epochs: epochs.size(),
                schedule_epochs: schedule_epochs.map(|named| named.as_ref().size()),
                max_steps: sft.max_steps.map(Count::size),
                seed: self.seed,
                group_by_length: sft.group_by_length.is_some_and(|on| on.0),
                ..default
            },
            random_weights: init.map(|init| init.seed.map_or(self.seed, |seed| seed.0)),
        })
    }

    /// The model that training in iteration t starts from.
    pub(super) fn start_model(&self, t: usize) -> Result<Input, Error> {
        match self.file.root.train.start {
            StartModel::Previous => self.model(t),
            StartModel::M0 => self.model(0),
        }
    }

    /// The model that training in iteration t is held to.
    pub(super) fn reference_model(&self, t: usize) -> Result<Input, Error> {
        match self.file.root.train.reference {
            ReferenceModel::Start => self.start_model(t),
            ReferenceModel::M0 => self.model(0),
        }
    }

    pub(super) fn train(&self, t: usize) -> Result<Train, Error> {
        let train = &self.file.root.train;
        Ok(Train {
            engine: self.engine.clone(),
            dpo: self.dpo(train, t)?,
            settings: self.settings(train, t)?,
            on_no_pairs: train.on_no_pairs.unwrap_or(OnNoPairs::Stop),
        })
    }

    fn dpo(&self, train: &file::Train, t: usize) -> Result<Dpo, Error> {
        let default = Dpo::default();
        let label_smoothing = self.at(train.label_smoothing.as_ref(), t, Minority(0.0))?.0;
        if let Some(named) = train.label_smoothing.as_ref()
            && label_smoothing > 0.0
            && train.loss == Some(DpoLoss::Ipo)
        {
            let message = "expected no label smoothing with the loss `ipo`".to_owned();
            return Err(self.file.text.error(&named.span(), message));
        }
        Ok(Dpo {
            beta: self.at(train.beta.as_ref(), t, Positive(default.beta))?.0,
            loss: train.loss.unwrap_or(default.loss),
            label_smoothing,
            nll_weight: self.at(train.nll_weight.as_ref(), t, Rate(0.0))?.0,
            length_normalised: self.at(train.length_normalised.as_ref(), t, Switch(false))?.0,
            reference_is_start: t == 0
                || train.reference == ReferenceModel::Start
                || train.start == StartModel::M0,
        })
    }

    fn settings(&self, train: &file::Train, t: usize) -> Result<Settings, Error> {
        let default = Settings::default();
        let epochs = self.at(train.epochs.as_ref(), t, Count(1))?;
        let schedule_epochs = self.at(train.schedule_epochs.as_ref(), t, epochs)?;
        let named = train.schedule_epochs.as_ref();
        if let Some(named) = named
            && schedule_epochs.0 < epochs.0
        {
            return Err(self.too_few_epochs(&named.span(), epochs, schedule_epochs));
        }
        let max_steps = match &train.max_steps {
            Some(_) => Some(self.at(train.max_steps.as_ref(), t, Count(1))?.size()),
            None => None,
        };
        let AdamW { beta1, beta2, eps, .. } = default.adamw;
        Ok(Settings {
            learning_rate: self.at(train.learning_rate.as_ref(), t, Rate(5e-6))?.0,
            schedule: train.schedule.unwrap_or(default.schedule),
            warmup_steps: self.at(train.warmup_steps.as_ref(), t, Steps(0))?.size(),
            adamw: AdamW {
                beta1: self.at(train.adam_beta1.as_ref(), t, Decay(beta1))?.0,
                beta2: self.at(train.adam_beta2.as_ref(), t, Decay(beta2))?.0,
                eps: self.at(train.adam_epsilon.as_ref(), t, Positive(eps))?.0,
                weight_decay: self.at(train.weight_decay.as_ref(), t, Rate(0.0))?.0,
            },
            max_grad_norm: self.at(train.max_grad_norm.as_ref(), t, Norm(default.max_grad_norm))?.0,
            batch: self.at(train.batch.as_ref(), t, Count(32))?.size(),
            epochs: epochs.size(),
            // Fewer steps shorten the schedule, but for one that the experiment spells out.
            schedule_epochs: (named.is_some() || max_steps.is_none())
                .then_some(schedule_epochs.size()),
            max_steps,
            seed: self.seed,
            group_by_length: self.at(train.group_by_length.as_ref(), t, Switch(false))?.0,
            ..default
        })
    }

    fn too_few_epochs(&self, span: &std::ops::Range<usize>, epochs: Count, found: Count) -> Error {
        let message = format!("expected at least the {} epochs, found {}", epochs.0, found.0);
        self.file.text.error(span, message)
    }
}
