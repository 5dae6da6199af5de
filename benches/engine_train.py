"""The same steps as engine_train.rs on the same weights and ids, in PyTorch, TRL and PEFT; prints JSON: seconds
of each step, the peak of memory in bytes, losses, and versions.

Usage: engine_train.py MODEL WORK.json ROW. Steps are timed without the start of the trainer.
"""

import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")

import json
import resource
import tempfile
from pathlib import Path
from time import perf_counter

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer

folder, row = Path(sys.argv[1]), sys.argv[3]
work = json.loads(Path(sys.argv[2]).read_text())[row]
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def pad(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def sft():
    """A plain loop, which is faster than a trainer: padded batches, loss on the targets only."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=work["learning_rate"], weight_decay=0.0)
    seconds, losses = [], []
    for batch in work["steps"]:
        start = perf_counter()
        ids = pad([prompt + target for prompt, target in batch], 0)
        mask = pad([[1] * (len(prompt) + len(target)) for prompt, target in batch], 0)
        labels = pad([[-100] * len(prompt) + target for prompt, target in batch], -100)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(perf_counter() - start)
    return seconds, losses


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds = []
        self.losses = []

    def on_step_begin(self, *_, **__):
        self.start = perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(perf_counter() - self.start)

    def on_log(self, _arguments, _state, _control, logs=None, **__):
        if "loss" in logs:
            self.losses.append(logs["loss"])


class OfIds(DPOTrainer):
    """Over a dataset that already holds the ids and the reference's log-probabilities."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _precompute_ref_logps(self, dataset, *_):
        return dataset


def dpo():
    names = ("prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps")
    pairs = [dict(zip(names, pair)) for batch in work["steps"] for pair in batch]
    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>")),
        pad_token="<pad>",
        eos_token="<unk>",
    )
    peft_config = None
    if work["lora"]:
        from peft import LoraConfig

        lora = work["lora"]
        peft_config = LoraConfig(
            r=lora["rank"],
            lora_alpha=lora["alpha"],
            lora_dropout=0.0,
            target_modules=lora["target_modules"],
            task_type="CAUSAL_LM",
        )
    clock = Clock()
    with tempfile.TemporaryDirectory() as output:
        arguments = DPOConfig(
            output_dir=output,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            beta=0.1,
            max_length=None,
            precompute_ref_log_probs=True,
            per_device_train_batch_size=len(work["steps"][0]),
            max_steps=len(work["steps"]),
            train_sampling_strategy="sequential",
            learning_rate=work["learning_rate"],
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = OfIds(
            model,
            ref_model=None,
            args=arguments,
            train_dataset=Dataset.from_list(pairs),
            processing_class=words,
            callbacks=[clock],
            peft_config=peft_config,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.seconds, clock.losses


seconds, losses = sft() if work["kind"] == "sft" else dpo()
version = f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}"
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "losses": losses, "peak": peak, "version": version}))
