"""The same work as model.rs on the same weights and ids, in transformers and TRL; prints seconds as
JSON.

Usage: model.py FOLDER WORK. The folder holds a model and work.json. Training steps are timed without
the start of the trainer, generation without the loading of the model.
"""

import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")

import json
import tempfile
from pathlib import Path
from time import perf_counter

import torch
import transformers
import trl
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
    get_constant_schedule_with_warmup,
)
from transformers.trainer_callback import PrinterCallback
from trl import DPOConfig, DPOTrainer

folder, workload = Path(sys.argv[1]), sys.argv[2]
work = json.loads((folder / "work.json").read_text())
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def pad(rows, value, left=False):
    width = max(map(len, rows))
    filled = [[value] * (width - len(row)) for row in rows]
    return torch.tensor([f + row if left else row + f for f, row in zip(filled, rows)])


def sft():
    """A plain loop, which is faster than a trainer: padded batches, loss on the targets only."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = get_constant_schedule_with_warmup(optimizer, 0)
    seconds = []
    for batch in work["sft"]:
        start = perf_counter()
        ids = pad([prompt + target for prompt, target in batch], 0)
        mask = pad([[1] * (len(prompt) + len(target)) for prompt, target in batch], 0)
        labels = pad([[-100] * len(prompt) + target for prompt, target in batch], -100)
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    return seconds


class Clock(TrainerCallback):
    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.start = perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(perf_counter() - self.start)


class OfIds(DPOTrainer):
    """Over a dataset that already holds the ids."""

    def _prepare_dataset(self, dataset, *_):
        return dataset


def dpo():
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    pairs = [dict(zip(names, pair)) for batch in work["dpo"] for pair in batch]
    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>")),
        pad_token="<pad>",
        eos_token="<unk>",
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
            per_device_train_batch_size=len(work["dpo"][0]),
            max_steps=len(work["dpo"]),
            train_sampling_strategy="sequential",
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            logging_steps=1000,
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
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.seconds


@torch.inference_mode()
def generate(prompts, samples, tokens):
    model.eval()
    ids = pad(prompts, 0, left=True)
    mask = pad([[1] * len(prompt) for prompt in prompts], 0, left=True)
    start = perf_counter()
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        do_sample=True,
        temperature=0.8,
        top_p=0.95,
        top_k=0,
        num_return_sequences=samples,
        max_new_tokens=tokens,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert out.shape == (len(prompts) * samples, ids.shape[1] + tokens)
    return [perf_counter() - start]


run = {
    "sft": sft,
    "dpo": dpo,
    "respond": lambda: generate(**work["respond"]),
    "judge": lambda: generate(**work["judge"]),
}
seconds = run[workload]()
version = f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}"
print(json.dumps({"seconds": seconds, "version": version}))
