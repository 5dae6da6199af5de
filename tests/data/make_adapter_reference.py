"""Makes training/lora_dpo.json and adapter/: ten steps of DPO that TRL and PEFT take of an adapter on models/smollm,
the adapter before them, and logits of the model after them with it merged in.

Usage: python make_adapter_reference.py, with torch, transformers, trl and peft. The files that are checked in were
made with torch 2.15.0, transformers 5.24.0, trl 1.16.0 and peft 0.21.2.
"""

import json
import shutil
import tempfile
from pathlib import Path

import peft
import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import DPOConfig, DPOTrainer

HERE = Path(__file__).parent
BATCH, STEPS, LEARNING_RATE = 4, 10, 1e-3
CONFIG = dict(r=4, lora_alpha=10, lora_dropout=0.0, target_modules=["down_proj", "k_proj", "o_proj", "q_proj", "up_proj"])


class OfIds(DPOTrainer):
    """Over a dataset that already holds the ids and the reference's log-probabilities."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def _precompute_ref_logps(self, dataset, *_):
        return dataset


class Steps(TrainerCallback):
    def __init__(self):
        self.rows = []

    def on_log(self, _arguments, state, _control, logs=None, **__):
        if "loss" in logs:
            kept = ("loss", "grad_norm", "learning_rate")
            row = {name: logs[name] for name in kept}
            row |= {name: value for name, value in logs.items() if name.startswith(("rewards/", "logps/"))}
            self.rows.append(dict(step=state.global_step, **row))


def start():
    """An adapter that already adds something, so that A and B have gradients from the first step on."""
    torch.manual_seed(5)
    base = AutoModelForCausalLM.from_pretrained(HERE / "models/smollm", attn_implementation="eager", dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **CONFIG))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.05 * torch.randn(parameter.shape))
    return model


@torch.no_grad()
def logp(model, prompt, answer):
    logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0]
    logps = logits[len(prompt) - 1 : -1].double().log_softmax(-1)
    return logps.gather(1, torch.tensor(answer)[:, None]).sum().item()


def main():
    torch.set_num_threads(1)
    model = start().eval()
    pairs = json.loads((HERE / "training/dpo.json").read_text())["pairs"][: BATCH * STEPS]
    rows = []
    for pair in pairs:
        prompt, chosen, rejected = (pair[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
        rows.append(
            dict(
                prompt_ids=prompt,
                chosen_ids=chosen,
                rejected_ids=rejected,
                ref_chosen_logps=logp(model, prompt, chosen),
                ref_rejected_logps=logp(model, prompt, rejected),
            )
        )
    folder = HERE / "adapter"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "start")
    words = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>")),
        pad_token="<pad>",
        eos_token="<unk>",
    )
    steps = Steps()
    with tempfile.TemporaryDirectory() as output:
        arguments = DPOConfig(
            output_dir=output, use_cpu=True, bf16=False, gradient_checkpointing=False, beta=0.1, max_length=None,
            precompute_ref_log_probs=True, per_device_train_batch_size=BATCH, max_steps=STEPS,
            train_sampling_strategy="sequential", learning_rate=LEARNING_RATE, lr_scheduler_type="constant",
            max_grad_norm=1.0, logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, seed=0,
        )
        trainer = OfIds(
            model, ref_model=None, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=words,
            callbacks=[steps],
        )
        trainer.train()
    model.eval()
    for part in folder.iterdir():
        (part / "README.md").unlink(missing_ok=True)
        config = json.loads((part / "adapter_config.json").read_text())
        (part / "adapter_config.json").write_text(json.dumps(config | dict(base_model_name_or_path="models/smollm"), indent=1) + "\n")
    with torch.no_grad():
        merged = model.merge_and_unload()
        ids = rows[0]["prompt_ids"] + rows[0]["chosen_ids"]
        logits = merged(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (torch, transformers, trl, peft))
    fields = dict(
        source=f"make_adapter_reference.py, {versions}",
        pairs=[dict(prompt_ids=r["prompt_ids"], chosen_ids=r["chosen_ids"], rejected_ids=r["rejected_ids"],
                    reference_chosen_logps=r["ref_chosen_logps"], reference_rejected_logps=r["ref_rejected_logps"]) for r in rows],
        steps=steps.rows,
        final_logits=[[round(x, 6) for x in row] for row in logits.tolist()],
    )
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    (HERE / "training/lora_dpo.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
