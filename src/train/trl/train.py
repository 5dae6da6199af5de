# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "torch==2.15.0",
#   "transformers==5.24.0",
#   "trl==1.16.0",
#   "accelerate==1.15.0",
#   "peft==0.21.2",
# ]
# ///
"""Trains a model with TRL on a lesson that mrx wrote.

    train.py --versions      what is installed, and whether it is in the range that was tested
    train.py TASK            takes the steps that task.json asks for

The lesson is a Parquet table of token ids: nothing is tokenised here, nothing is cut. In the folder of the task:

    steps.jsonl        one line a step, by TRL's names, written as the step is done
    checkpoint-N/      TRL's own checkpoints; the last whole one is gone on from
    epoch-N/           the model after an epoch, where every epoch's is kept
    model/             the model after the last step, in shards; or PEFT's adapter
    trainer.json       what trains: processes and device; written first

Losses are means over the whole batch, however it is shared out to processes and accumulation steps: TRL gives
the losses of a pair, the optimizer and all that accelerate can do; the order of rows and the weights are ours.
"""

import ctypes
import json
import math
import os
import re
import signal
import sys
from importlib import metadata
from pathlib import Path

# What this file was tried with; other versions are refused before any work.
TESTED = {
    "torch": ">=2.13,<2.16",
    "transformers": ">=5.24,<5.25",
    "trl": ">=1.16,<1.17",
    "accelerate": ">=1.15,<1.16",
    "peft": ">=0.21,<0.22",
}


def versions():
    """What is installed, what of it will not do, and the command that mends it."""
    found, wrong = {}, []
    for name, tested in TESTED.items():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        if not within(found[name], tested):
            wrong.append(f"{name} {found[name]} was not tried; {tested} was")
    header = Path(__file__).read_text().split("# ///")[1]
    pins = " ".join(f"'{pin}'" for pin in re.findall(r'"(\w+==[\w.]+)"', header))
    return {"versions": found, "wrong": wrong, "mend": f"{sys.executable} -m pip install {pins}"}


def within(version, tested):
    from packaging.specifiers import SpecifierSet  # of accelerate's own needs

    return SpecifierSet(tested).contains(version, prereleases=True)


if __name__ == "__main__" and sys.argv[1:] == ["--versions"]:
    print(json.dumps(versions()))
    sys.exit()

import accelerate  # noqa: E402  (imports that take seconds come after --versions)
import torch  # noqa: E402
from datasets import Dataset, concatenate_datasets  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback  # noqa: E402
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer  # noqa: E402

SHARD = "4GB"


def here():
    """This process among those that train: on a CPU, accelerate knows of the others only where it is told."""
    return accelerate.PartialState(cpu=not torch.accelerator.is_available())


class Shares:
    """This process's micro-batches, of the rows that each step takes in the order that mrx gives.

    The last batch of an epoch may not be shared out evenly: what is missing is filled up with a row of nothing,
    which stands last in the lesson. All processes then have as many micro-batches, of the same sizes.
    """

    def __init__(self, order, batch, at_once):
        self.order, self.batch, self.at_once, self.epoch = order, batch, at_once, 0
        self.rank, self.processes = here().process_index, here().num_processes
        self.batch_sampler = self  # where transformers looks for set_epoch

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        rows = self.order[self.epoch]
        for start in range(0, len(rows), self.batch):
            yield from self.mine(rows[start : start + self.batch])

    def mine(self, rows):
        nothing = len(self.order[0])
        each = math.ceil(len(rows) / self.processes)
        micro = math.ceil(each / self.at_once)
        size = math.ceil(each / micro)
        rows = rows[self.rank * each : (self.rank + 1) * each]
        rows = rows + [nothing] * (micro * size - len(rows))
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def __len__(self):
        return sum(1 for _ in self)


class Lesson:
    """What both trainers do alike with a lesson of mrx."""

    task: dict

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset  # token ids already

    def get_train_dataloader(self):
        shares = Shares(self.task["order"], self.task["batch"], self.args.per_device_train_batch_size)
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=shares, collate_fn=self.data_collator, pin_memory=False
        )

    def create_scheduler(self, num_training_steps, optimizer=None):
        # The paper takes an early epoch of a long schedule: it may run over more steps than are taken.
        return super().create_scheduler(self.task["scheduled_steps"], optimizer)


class Examples(Lesson, SFTTrainer):
    """SFTTrainer on a lesson; its loss is a mean over all target tokens of the batch."""


class Preferences(Lesson, DPOTrainer):
    """DPOTrainer on a lesson.

    TRL takes means over a micro-batch and then over micro-batches. Those are means over the batch only where all
    micro-batches are alike and full: losses and metrics are weighted by what each holds.
    """

    def _precompute_ref_logps(self, dataset, *args):
        known = "ref_chosen_logps" in dataset.column_names
        return dataset if known else super()._precompute_ref_logps(dataset, *args)

    def get_batch_samples(self, *args):
        batch, items = super().get_batch_samples(*args)
        held = torch.tensor([sum(counts) for counts in zip(*map(self.held, batch))], device=self.args.device)
        self.totals = self.accelerator.reduce(held, "sum").tolist()
        self.micro = self.accelerator.num_processes * len(batch)
        return batch, items

    @staticmethod
    def held(inputs):
        """Pairs and chosen tokens of a micro-batch; a row of nothing has neither."""
        chosen, _ = inputs["completion_mask"].sum(1).chunk(2)
        return int((chosen > 0).sum()), int(chosen.sum())

    def compute_loss(self, model, inputs, *args, **kwargs):
        pairs, tokens = self.held(inputs)
        rows = len(inputs["input_ids"]) // 2
        share = rows * self.micro / self.totals[0]
        weights = dict(self.task["losses"])
        nll = weights.pop("sft", 0.0)
        losses = {loss: weight * share for loss, weight in weights.items()}
        if nll and tokens:  # a mean over no tokens is none
            losses["sft"] = nll * tokens * self.micro / self.totals[1]
        self.loss_types, self.loss_weights = list(losses), list(losses.values())
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        for name, values in self._metrics["train"].items():
            if name.startswith(("rewards/", "logps/")):
                values[-1] *= share
        # Nothing is neither better nor worse than nothing, which has a loss, too.
        even = 1.0 / (4.0 * self.beta**2) if "ipo" in weights else math.log(2.0)
        return loss - even * sum(weights.values()) * (rows - pairs) / rows * share


class Report(TrainerCallback):
    """Tells mrx of every step, and marks the checkpoints that are whole."""

    def __init__(self, folder, keep_epochs):
        self.folder, self.keep_epochs = folder, keep_epochs
        self.trainer = None

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in logs:
            return
        values = {name: value for name, value in logs.items() if isinstance(value, (int, float)) and name != "epoch"}
        wrong = [name for name, value in values.items() if not math.isfinite(value)]
        if state.is_world_process_zero:
            line = {"step": state.global_step, "epoch": state.epoch} | values
            with open(self.folder / "steps.jsonl", "a") as steps:
                steps.write(json.dumps({name: None if name in wrong else value for name, value in line.items()}) + "\n")
        if wrong:
            raise FloatingPointError(f"step {state.global_step}: {', '.join(wrong)} is not a finite number")

    def on_save(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            with open(self.folder / "steps.jsonl", "a") as steps:
                os.fsync(steps.fileno())
            (self.folder / f"checkpoint-{state.global_step}" / "whole").touch()

    def on_epoch_end(self, args, state, control, **kwargs):
        if self.keep_epochs:
            save(self.trainer, self.folder / f"epoch-{math.ceil(state.epoch - 1e-9)}")


def save(trainer, folder):
    """Writes the model, in one piece or not at all, in the type of numbers that the task asks for."""
    accelerator, dtype = trainer.accelerator, getattr(torch, trainer.task["dtype"])
    weights = accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_world_process_zero():
        weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
        started = folder.with_name(f".{folder.name}")
        accelerator.unwrap_model(trainer.model).save_pretrained(started, state_dict=weights, max_shard_size=SHARD)
        if not folder.exists():
            started.rename(folder)
    accelerator.wait_for_everyone()


def arguments(task, folder):
    """TRL's arguments, but for those of one objective."""
    processes = here().num_processes
    share, left = divmod(task["batch"], processes)
    if left:
        sys.exit(f"error: a batch of {task['batch']} cannot be shared out evenly to {processes} processes")
    at_once = max(size for size in range(1, min(share, task["per_device_batch"]) + 1) if share % size == 0)
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": share // at_once,
        "num_train_epochs": len(task["order"]),
        "max_steps": task["steps"],
        "learning_rate": task["learning_rate"],
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(task["schedule"], task["schedule"]),
        "warmup_steps": task["warmup_steps"],
        "optim": "adamw_torch",
        "adam_beta1": task["adam_beta1"],
        "adam_beta2": task["adam_beta2"],
        "adam_epsilon": task["adam_epsilon"],
        "weight_decay": task["weight_decay"],
        "max_grad_norm": task["max_grad_norm"] or 0.0,
        "seed": task["seed"],
        "bf16": task["dtype"] == "bfloat16",
        "gradient_checkpointing": task["gradient_checkpointing"],
        "model_init_kwargs": {"dtype": "float32"},
        "max_length": None,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": task["save_steps"],
        "save_total_limit": 2,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.accelerator.is_available(),
    }


def losses(task):
    """TRL's losses whose weighted sum is the task's, the weights, and the label smoothing."""
    if task["loss"] == "ipo":
        types, weights, smoothing = ["ipo"], [1.0], 0.0
    elif task["length_normalised"]:
        types, weights, smoothing = ["sigmoid_norm"], [1.0], 0.0
    elif task["label_smoothing"]:
        # −(1−ε)·log σ(x) − ε·log σ(−x) = −log σ(x) + ε·x, and TRL's "robust" with ¼ is −log σ(x) − x/2.
        flipped = task["label_smoothing"]
        types, weights, smoothing = ["sigmoid", "robust"], [1.0 + 2.0 * flipped, -2.0 * flipped], 0.25
    else:
        types, weights, smoothing = ["sigmoid"], [1.0], 0.0
    if task["nll_weight"]:
        types, weights = types + ["sft"], weights + [task["nll_weight"]]
    return types, weights, smoothing


def adapted(task):
    """The start model for a LoRA adapter: a new one on it, or the one that it has."""
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32)
    adapter = task["adapter"]
    if adapter["start"]:
        return PeftModel.from_pretrained(model, adapter["start"], is_trainable=True)
    torch.manual_seed(task["seed"])
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter["rank"],
        lora_alpha=adapter["alpha"],
        lora_dropout=adapter["dropout"],
        target_modules=adapter["target_modules"],
    )
    return get_peft_model(model, config)


def lesson_of(task, folder):
    """The lesson in the columns that the trainer reads, and a row of nothing after it."""
    lesson = Dataset.from_parquet(task["lesson"], cache_dir=str(folder / "cache"))
    if task["kind"] == "sft":

        def columns(row):
            prompt, target = row["prompt_ids"], row["chosen_ids"]
            return {"input_ids": prompt + target, "labels": [-100] * len(prompt) + target}

        lesson = lesson.map(columns, remove_columns=lesson.column_names)
        nothing = {"input_ids": [0, 0], "labels": [-100, -100]}
    else:
        columns = ["prompt_ids", "chosen_ids", "rejected_ids"]
        nothing = {"prompt_ids": [0, 0], "chosen_ids": [], "rejected_ids": []}
        if lesson[0]["ref_chosen_logps"] is not None:
            columns += ["ref_chosen_logps", "ref_rejected_logps"]
            nothing |= {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0}
        lesson = lesson.select_columns(columns)
    return concatenate_datasets([lesson, Dataset.from_list([nothing], features=lesson.features)])


def trainer_of(task, folder):
    given = {
        "model": adapted(task) if task["adapter"] else task["model"],
        "train_dataset": lesson_of(task, folder),
        "processing_class": AutoTokenizer.from_pretrained(task["model"]),
    }
    common = arguments(task, folder)
    if task["adapter"]:
        del common["model_init_kwargs"]
    if task["kind"] == "sft":
        Examples.task = task
        return Examples(args=SFTConfig(**common), **given)
    types, weights, smoothing = losses(task)
    task["losses"] = list(zip(types, weights))
    Preferences.task = task
    config = DPOConfig(
        **common,
        beta=task["beta"],
        loss_type=types,
        label_smoothing=smoothing,
        precompute_ref_log_probs=True,  # or they stand in the lesson
    )
    if task["reference_model"]:
        given["ref_model"] = AutoModelForCausalLM.from_pretrained(task["reference_model"], dtype=torch.float32)
    return Preferences(args=config, **given)


def whole(task, folder):
    """The last checkpoint that is whole, if there is one; forgets what was reported after it."""

    def has_epochs(step):
        done = step // math.ceil(len(task["order"][0]) / task["batch"]) if task["keep_epochs"] else 0
        return all((folder / f"epoch-{epoch}").exists() for epoch in range(1, done + 1))

    marked = [(int(mark.parent.name.split("-")[1]), mark.parent) for mark in folder.glob("checkpoint-*/whole")]
    step, last = max(((step, at) for step, at in marked if has_epochs(step)), default=(0, None))
    if here().is_main_process:
        steps = folder / "steps.jsonl"
        lines = steps.read_text().splitlines(keepends=True) if steps.exists() else []
        kept = "".join(line for line in lines[:step])
        beside = folder / ".steps.jsonl"
        beside.write_text(kept)
        beside.replace(steps)
        trained = {
            "processes": here().num_processes,
            "device": str(here().device),
        }
        (folder / "trainer.json").write_text(json.dumps(trained))
    here().wait_for_everyone()
    return last


def end_with_launcher():
    """A launcher that is killed leaves no worker behind."""
    if sys.platform == "linux":
        die_with_parent = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)


def main(path):
    end_with_launcher()
    folder = Path(path).resolve().parent
    task = json.loads(Path(path).read_text())
    last = whole(task, folder)
    trainer = trainer_of(task, folder)
    # transformers gives the padding token no gradient where it is read, and in chats it often ends turns. What is
    # padding here is masked: it has none to give.
    trainer.model.get_input_embeddings().padding_idx = None
    steps = (folder / "steps.jsonl").read_text().splitlines()
    if steps:
        trainer._total_train_tokens = int(json.loads(steps[-1]).get("num_tokens", 0))
    report = Report(folder, task["keep_epochs"])
    report.trainer = trainer
    trainer.add_callback(report)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    save(trainer, folder / "model")


if __name__ == "__main__":
    main(sys.argv[1])
