"""Make the reference files beside this script with PyTorch, transformers and TRL.

    python tests/data/make_references.py

It needs no network and no GPU, takes less than a minute, and replaces:

- models/<family>/     tiny random checkpoints (as `save_pretrained` writes them) and
                       references.safetensors: logits, and a greedy continuation
- chat/cases.json      chat/*.jinja (inputs, not made here) rendered by `apply_chat_template`; a case's
                       `variables`, where it has any, are further variables of the template
- training/dpo*.json   runs of TRL's DPOTrainer, starting from models/smollm
- training/sft.json    a run of supervised fine-tuning in plain PyTorch, same start
- scores.json          log-probabilities of continuations

Everything is computed in float32 on one CPU thread with eager attention. What TRL logged is checked
against plain PyTorch with float64 weights (transformers still computes norms and softmax in float32),
and the models are read back and checked.

The files that are checked in were made with torch 2.15.0, transformers 5.23.0, trl 1.16.0,
safetensors 0.8.0, tokenizers 0.23.3, jinja2 3.1.6 on Python 3.11. Of the chat templates, llama3,
qwen2.5 and qwen3 are those in TRL's chat_templates folder; the others were written from the
documented formats.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import json
import random
import shutil
import tempfile
from pathlib import Path

import jinja2
import torch
import torch.nn.functional as F
import transformers
from datasets import Dataset
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, PrinterCallback
from trl import DPOConfig, DPOTrainer

HERE = Path(__file__).resolve().parent
VOCAB, FIRST_ID = 96, 4  # ids below FIRST_ID are special: pad 0, bos 1, eos 2 (and 3 for llama3)


def write_json(path, **fields):
    """Compact JSON: one line per field, and one per item of a field that is a list of objects or lists."""
    lines = []
    for key, value in fields.items():
        if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
            items = ",\n".join("    " + json.dumps(item, ensure_ascii=False) for item in value)
            lines.append(f"  {json.dumps(key)}: [\n{items}\n  ]")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def load(name, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(HERE / "models" / name, dtype=dtype, attn_implementation="eager").eval()


# ---- models -----------------------------------------------------------------------------------

COMMON = dict(
    vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    tie_word_embeddings=False,
)  # fmt: skip
# With hidden 64 a head has 8 frequencies, and these factors keep the first, blend the second and divide the others.
LLAMA3_ROPE = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64,
)  # fmt: skip


def rope(theta):
    return dict(rope_type="default", rope_theta=theta)


FAMILIES = {
    "llama2": ("LlamaConfig", dict(num_key_value_heads=4, rms_norm_eps=1e-5, rope_parameters=rope(10000.0))),
    "llama3": ("LlamaConfig", dict(hidden_size=64, eos_token_id=[2, 3], rms_norm_eps=1e-5, rope_parameters=LLAMA3_ROPE)),
    "mistral": ("MistralConfig", dict(sliding_window=16, rms_norm_eps=1e-5, rope_parameters=rope(10000.0))),
    "qwen2": ("Qwen2Config", dict(rms_norm_eps=1e-6, rope_parameters=rope(1000000.0))),
    "qwen2_tied": ("Qwen2Config", dict(rms_norm_eps=1e-6, rope_parameters=rope(1000000.0), tie_word_embeddings=True)),
    "qwen3": ("Qwen3Config", dict(head_dim=16, rms_norm_eps=1e-6, rope_parameters=rope(1000000.0))),
    "smollm": ("LlamaConfig", dict(rms_norm_eps=1e-5, rope_parameters=rope(100000.0), tie_word_embeddings=True)),
}


def random_model(name, seed):
    """Weights and biases with a deviation of 0.3, weights of norms around 1."""
    config_class, changes = FAMILIES[name]
    config = getattr(transformers, config_class)(**(COMMON | changes))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.2 * noise if "norm" in key else 0.3 * noise)
    return model


@torch.no_grad()
def greedy(model, prompt, steps=64):
    """Greedy ids, chosen by hand so that eos neither stops nor is masked; and the narrowest lead of a chosen id."""
    inputs, cache, ids, gap = prompt[None], None, [], float("inf")
    for _ in range(steps):
        out = model(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache, top = out.past_key_values, out.logits[0, -1].topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        inputs = top.indices[:1][None]
        ids.append(inputs.item())
    return torch.tensor(ids), gap


@torch.no_grad()
def references(model, seed):
    generator = torch.Generator().manual_seed(seed)
    input_ids = torch.randint(FIRST_ID, VOCAB, (2, 48), generator=generator)
    prompt_ids = torch.randint(FIRST_ID, VOCAB, (12,), generator=generator)
    greedy_ids, gap = greedy(model, prompt_ids)
    logits = model(input_ids=input_ids, use_cache=False).logits
    return dict(input_ids=input_ids, logits=logits, prompt_ids=prompt_ids, greedy_ids=greedy_ids), gap


def good(refs, gap):
    """Is the greedy path safe from rounding, and not a short loop?"""
    return gap > 2e-3 and len(set(refs["greedy_ids"].tolist())) >= 16


def make_models():
    shutil.rmtree(HERE / "models", ignore_errors=True)
    for name in FAMILIES:
        for seed in range(1, 1000):
            model = random_model(name, seed)
            refs, gap = references(model, seed)
            # smollm's weights are also saved in bfloat16, and that copy needs a safe path too
            rounded = random_model(name, seed).bfloat16() if name == "smollm" else None
            if good(refs, gap) and (rounded is None or good(*references(rounded.float(), seed))):
                break
        folder = HERE / "models" / name
        model.save_pretrained(folder, max_shard_size="64KB" if name == "qwen2" else "1GB")
        save_file(refs, folder / "references.safetensors")
        print(f"{name}: seed {seed}, narrowest greedy lead {gap:.4f}")
        if name == "smollm":
            folder = HERE / "models" / "smollm_bf16"
            random_model(name, seed).bfloat16().save_pretrained(folder)
            refs, gap = references(load("smollm_bf16"), seed)
            save_file(refs, folder / "references.safetensors")
            print(f"smollm_bf16: narrowest greedy lead {gap:.4f}")

    # The same llama3 configuration as transformers 4 spelled it.
    config = json.loads((HERE / "models/llama3/config.json").read_text())
    scaling = config.pop("rope_parameters")
    config |= dict(rope_theta=scaling.pop("rope_theta"), rope_scaling=scaling, pretraining_tp=1)
    config |= dict(torch_dtype=config.pop("dtype"), transformers_version="4.45.0")
    del config["head_dim"]
    (HERE / "models/llama3/config.v4.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


@torch.no_grad()
def check_models():
    for folder in sorted((HERE / "models").iterdir()):
        model, refs = load(folder.name), load_file(folder / "references.safetensors")
        logits = model(input_ids=refs["input_ids"], use_cache=False).logits
        assert torch.equal(logits, refs["logits"]) and logits.dtype == torch.float32
        exact = load(folder.name, torch.float64)(input_ids=refs["input_ids"], use_cache=False).logits
        noise = (exact - logits).abs().max()
        assert noise < 1e-4
        # without a cache, the greedy continuation is the same
        ids = torch.cat([refs["prompt_ids"], refs["greedy_ids"]])
        assert torch.equal(model(input_ids=ids[None], use_cache=False).logits[0, 11:-1].argmax(-1), refs["greedy_ids"])

        def effect(**changes):
            """How far other settings move the logits: the settings must matter for the references to test them."""
            config = model.config.__class__.from_dict(model.config.to_dict() | changes)
            other = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
            other.load_state_dict(model.state_dict())
            return (other(input_ids=refs["input_ids"], use_cache=False).logits - logits).abs().max().item()

        assert effect() == 0
        if folder.name == "llama3":
            assert effect(rope_parameters=rope(500000.0)) > 0.5
            old = json.loads((folder / "config.v4.json").read_text())
            with tempfile.TemporaryDirectory() as copy:
                shutil.copy(folder / "model.safetensors", copy)
                Path(copy, "config.json").write_text(json.dumps(old))
                same = AutoModelForCausalLM.from_pretrained(copy, attn_implementation="eager", dtype=torch.float32)
                assert torch.equal(same(input_ids=refs["input_ids"], use_cache=False).logits, logits)
        if folder.name == "mistral":
            assert effect(sliding_window=None) > 0.5 and effect(sliding_window=17) > 0.1
        if folder.name == "qwen2":
            assert len(list(folder.glob("model-*-of-00002.safetensors"))) == 2
        print(f"{folder.name}: logits up to {logits.abs().max():.1f}, float32 noise {noise:.1e}")


# ---- chat templates ---------------------------------------------------------------------------

SPECIAL = {  # bos_token, eos_token
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "mistral": ("<s>", "</s>"),
    "qwen2.5": (None, "<|im_end|>"),
    "qwen3": (None, "<|im_end|>"),
    "smollm2": ("<|im_start|>", "<|im_end|>"),
    "zephyr": ("<s>", "</s>"),
}
TRICKY = "  Two leading spaces,\n\ta tab, \"double\" and 'single' quotes, a \\n that is no newline,\n\n{{ braces }} {% if %} {# no comment #} <b>&amp;</b>\nGrüße, 你好, 🦀, \u00a0 \n "
TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Weather at a place, e.g. \"Zürich\" <city>",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
                   "required": ["place"]},
}}]  # fmt: skip


def chat(lines):
    """Messages from lines such as `u:Hello`."""
    roles = dict(s="system", u="user", a="assistant")
    return [dict(role=roles[line[0]], content=line[2:]) for line in lines]


def make_chat():
    ask, answer, again = "u:What is the capital of France?", "a:Paris.", "u:And of Italy?"
    system = "s:You answer in one word."
    common = [
        ([ask], True),
        ([ask], False),
        ([system, ask], True),
        ([ask, answer, again], True),
        ([system, ask, answer, again], True),
        ([ask, answer], False),
        ([system, ask, answer], False),
        (["u:" + TRICKY], True),
        (["s:" + TRICKY, "u:" + TRICKY, "a:" + TRICKY, "u:" + TRICKY], True),
        (["u:" + TRICKY, "a:" + TRICKY], False),
        (["u:", "a:"], False),
    ]
    cases = [(name, chat(lines), prompt, {}) for name in SPECIAL for lines, prompt in common]
    thought = "a:<think>\nFrance, so Paris.\n</think>\n\nParis."
    cases += [
        ("mistral", chat([ask, again]), True, {}),
        ("mistral", chat([answer]), False, {}),
        ("mistral", chat([ask, system]), False, {}),
        ("llama3", chat([ask, again]), True, {}),
        ("qwen3", chat([ask, thought, again]), True, {}),
        ("qwen3", chat([ask, thought]), False, {}),
        ("qwen3", [*chat([ask]), dict(role="assistant", content="Paris.", reasoning_content="\nEasy.\n")], False, {}),
        ("qwen3", chat([ask]), True, dict(enable_thinking=False)),
        ("qwen3", chat([ask]), True, dict(enable_thinking=True)),
    ]
    cases += [(name, chat([system, ask]), True, dict(tools=TOOLS)) for name in ("mistral", "qwen2.5", "qwen3")]

    rendered = []
    for name, messages, prompt, variables in cases:
        bos, eos = SPECIAL[name]
        tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos)
        template = (HERE / f"chat/{name}.jinja").read_text()
        case = dict(template=name, messages=messages, add_generation_prompt=prompt, bos_token=bos, eos_token=eos)
        case |= dict(variables=variables) if variables else {}
        try:
            case["rendered"] = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=prompt, **variables
            )
        except jinja2.TemplateError as error:
            case["error"] = str(error)
        rendered.append(case)
    assert [c["template"] for c in rendered if "error" in c] == ["mistral"] * 3
    lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in rendered)
    (HERE / "chat/cases.json").write_text(f"[\n{lines}\n]\n")
    assert json.loads((HERE / "chat/cases.json").read_text()) == rendered


# ---- log-probabilities ------------------------------------------------------------------------


def answer_logps(model, prompt, answer):
    """Log-probability of every token of the answer, without padding."""
    logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0]
    logps = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return logps.gather(1, torch.tensor(answer)[:, None])[:, 0]


@torch.no_grad()
def score(model, prompt, answer):
    return answer_logps(model, prompt, answer).double().sum().item()


def make_scores():
    rng = random.Random(11)
    items = []
    for name in ("smollm", "qwen3"):
        model = load(name)
        for _ in range(4):
            prompt = random_ids(rng, 1, 12)
            answers = [random_ids(rng, 1, 9) for _ in range(3)]
            scored = [dict(ids=ids, logprob=score(model, prompt, ids)) for ids in answers]
            items.append(dict(model=f"models/{name}", prompt_ids=prompt, continuations=scored))
    note = "logprob: log-probability of the ids after the prompt, a float64 sum of float32 log-softmax values"
    write_json(HERE / "scores.json", note=note, items=items)


# ---- training ---------------------------------------------------------------------------------


def random_ids(rng, shortest, longest):
    return [rng.randrange(FIRST_ID, VOCAB) for _ in range(rng.randint(shortest, longest))]


BETA, SMOOTHING, LEARNING_RATE, BATCH = 0.1, 0.1, 1e-3, 4
TERMS = (
    "d = (log p(chosen) - log p_ref(chosen)) - (log p(rejected) - log p_ref(rejected)), log-probabilities summed over "
    "the answer's tokens; a = the same with each answer's difference divided by its number of tokens; S = "
    "-log sigmoid(beta d); the loss is the mean over the pairs of the batch"
)
VARIANTS = {  # name: (steps, arguments of TRL, formula of the loss of a pair)
    "": (10, dict(loss_type=["sigmoid"]), "S"),
    "_ipo": (5, dict(loss_type=["ipo"]), "(a - 1 / (2 beta))^2"),
    "_label_smoothing": (
        5,
        dict(loss_type=["sigmoid", "robust"], loss_weights=[1.8, -0.8], label_smoothing=SMOOTHING),
        "(1 - e) S - e log sigmoid(-beta d) with e = 0.1. TRL's sigmoid loss takes no label smoothing, so this is "
        "1.8 S - 0.8 robust, robust = ((1 - e) S + e log sigmoid(-beta d)) / (1 - 2 e), which is the same",
    ),
    "_nll": (
        5,
        dict(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 1.0]),
        "S + 1.0 * NLL, NLL the mean of -log p over all chosen answers' tokens of the batch together (not first per pair)",
    ),
    "_length_normalised": (5, dict(loss_type=["sigmoid_norm"]), "-log sigmoid(beta a)"),
}


def pair_losses(variant, chosen, rejected, ref_chosen, ref_rejected, n_chosen, n_rejected):
    """The formulas above in plain PyTorch, to check what TRL computed."""
    d = (chosen - ref_chosen) - (rejected - ref_rejected)
    a = (chosen - ref_chosen) / n_chosen - (rejected - ref_rejected) / n_rejected
    s = -F.logsigmoid(BETA * d)
    return {
        "": s,
        "_ipo": (a - 1 / (2 * BETA)) ** 2,
        "_label_smoothing": (1 - SMOOTHING) * s - SMOOTHING * F.logsigmoid(-BETA * d),
        "_nll": s - chosen.sum() / n_chosen.sum(),
        "_length_normalised": -F.logsigmoid(BETA * a),
    }[variant]


class TokenDPOTrainer(DPOTrainer):
    """DPOTrainer over a dataset that already holds prompt_ids, chosen_ids and rejected_ids."""

    def _prepare_dataset(self, dataset, *args):
        return dataset


def run_trl(pairs, steps, loss):
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>"))
    with tempfile.TemporaryDirectory() as folder:
        args = DPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, beta=BETA, **loss,
            max_length=None, per_device_train_batch_size=BATCH, max_steps=steps, train_sampling_strategy="sequential",
            optim="adamw_torch", learning_rate=LEARNING_RATE, lr_scheduler_type="constant", warmup_steps=0,
            adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8, weight_decay=0.0, max_grad_norm=1.0,
            logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = TokenDPOTrainer(
            load("smollm"), ref_model=load("smollm"), args=args, train_dataset=Dataset.from_list(pairs),
            processing_class=PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<unk>"),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    keys = ("loss", "grad_norm", "learning_rate", "rewards/chosen", "rewards/rejected", "rewards/margins")
    keys += ("rewards/accuracies", "logps/chosen", "logps/rejected")
    logs = [log for log in trainer.state.log_history if "loss" in log]
    return [dict(step=log["step"]) | {key: log[key] for key in keys} for log in logs]


def run_plain(variant, pairs, steps, dtype=torch.float64):
    """The same run without TRL or padding: loss, gradient norm and the logged means of every step."""
    model, reference, rows = load("smollm", dtype).train(), load("smollm", dtype), []
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    for step in range(steps):
        sums = {"n_chosen": [], "n_rejected": [], "chosen": [], "rejected": [], "ref_chosen": [], "ref_rejected": []}
        for pair in pairs[step * BATCH : (step + 1) * BATCH]:
            for side in ("chosen", "rejected"):
                prompt, answer = pair["prompt_ids"], pair[f"{side}_ids"]
                sums[side].append(answer_logps(model, prompt, answer).sum())
                sums[f"ref_{side}"].append(answer_logps(reference, prompt, answer).sum().detach())
                sums[f"n_{side}"].append(torch.tensor(len(answer), dtype=dtype))
        sums = {key: torch.stack(values) for key, values in sums.items()}
        loss = pair_losses(variant, **sums).mean()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        row = {"loss": loss, "grad_norm": norm, "logps/chosen": sums["chosen"].mean()}
        row |= {"logps/rejected": sums["rejected"].mean()}
        row |= {f"rewards/{s}": BETA * (sums[s] - sums[f"ref_{s}"]).mean() for s in ("chosen", "rejected")}
        rows.append({key: value.item() for key, value in row.items()})
    return rows


def farthest(rows, others):
    """The largest difference between two runs, relative to values above 1."""
    return max(abs(r[k] - o[k]) / max(1, abs(o[k])) for r, o in zip(rows, others, strict=True) for k in o)


def make_dpo():
    rng, start = random.Random(7), load("smollm")
    pairs = [
        dict(prompt_ids=random_ids(rng, 5, 12), chosen_ids=random_ids(rng, 3, 15), rejected_ids=random_ids(rng, 3, 15))
        for _ in range(40)
    ]
    assert sum(len(p["chosen_ids"]) != len(p["rejected_ids"]) for p in pairs) > 30
    settings = dict(
        model="models/smollm", reference_model="models/smollm", dtype="float32", beta=BETA, batch_size=BATCH,
        order="sequential", dropout=0, truncation=None, optimizer="AdamW", learning_rate=LEARNING_RATE,
        betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, max_grad_norm=1.0, schedule="constant", warmup_steps=0,
    )  # fmt: skip
    about = (
        "A step's values are those of its batch before the step's update. rewards/chosen = mean of beta (log p(chosen) - "
        "log p_ref(chosen)), of summed log-probabilities whatever the loss; margins = chosen - rejected; accuracies = "
        "share of pairs with reward(chosen) > reward(rejected), strictly; logps/* = mean of the summed log-probabilities; "
        "grad_norm = L2 norm before clipping; learning_rate = the rate this step's update used."
    )
    with torch.no_grad():
        references = [
            {f"reference_{side}_logps": score(start, p["prompt_ids"], p[f"{side}_ids"]) for side in ("chosen", "rejected")}
            for p in pairs
        ]
    for variant, (steps, loss, formula) in VARIANTS.items():
        rows, plain = run_trl(pairs, steps, loss), run_plain(variant, pairs, steps)
        single = farthest(run_plain(variant, pairs, steps, torch.float32), plain)
        print(f"dpo{variant}: TRL is within {farthest(rows, plain):.1e} of float64, plain float32 within {single:.1e}")
        assert len(rows) == steps and farthest(rows, plain) < 1e-3
        arguments = ", ".join(f"{key}={value}" for key, value in loss.items())
        source = f"TRL 1.16.0 DPOTrainer({arguments}, beta={BETA}). Loss of a pair: {formula}. Here {TERMS}."
        used = [pair | refs for pair, refs in zip(pairs, references)]
        data = dict(pairs=used) if variant == "" else dict(pairs_from=f"dpo.json, the first {steps * BATCH}")
        write_json(
            HERE / f"training/dpo{variant}.json", source=source, about=about,
            settings=settings | loss, **data, steps=rows,
        )  # fmt: skip


def run_sft(examples, steps, batch, dtype):
    model = load("smollm", dtype).train()
    decayed = [p for key, p in model.named_parameters() if "norm" not in key and "bias" not in key]
    others = [p for key, p in model.named_parameters() if "norm" in key or "bias" in key]
    groups = [dict(params=decayed, weight_decay=0.01), dict(params=others, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, 1e-3, betas=(0.9, 0.95), eps=1e-8)
    scheduler = transformers.get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=3, num_training_steps=steps)
    rows = []
    for step in range(steps):
        part = examples[step * batch : (step + 1) * batch]
        length = max(len(e["prompt_ids"] + e["target_ids"]) for e in part)
        padded = [e["prompt_ids"] + e["target_ids"] for e in part]
        labels = [[-100] * len(e["prompt_ids"]) + e["target_ids"] for e in part]
        mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids in padded])
        padded = torch.tensor([ids + [0] * (length - len(ids)) for ids in padded])
        labels = torch.tensor([ids + [-100] * (length - len(ids)) for ids in labels])
        logits = model(input_ids=padded, attention_mask=mask, use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rows.append(dict(loss=loss.item(), grad_norm=norm.item(), learning_rate=scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    first = torch.tensor([examples[0]["prompt_ids"] + examples[0]["target_ids"]])
    with torch.no_grad():
        return rows, model(input_ids=first, use_cache=False).logits[0]


def make_sft():
    rng, steps, batch = random.Random(9), 10, 8
    examples = [dict(prompt_ids=random_ids(rng, 5, 12), target_ids=random_ids(rng, 3, 15)) for _ in range(80)]
    rows, logits = run_sft(examples, steps, batch, torch.float32)
    exact_rows, exact_logits = run_sft(examples, steps, batch, torch.float64)
    noise = (logits - exact_logits).abs().max().item()
    print(f"sft: within {farthest(rows, exact_rows):.1e} of float64, final logits within {noise:.1e}")
    assert farthest(rows, exact_rows) < 1e-4 and noise < 1e-3
    settings = dict(
        model="models/smollm", dtype="float32", batch_size=batch, order="sequential", dropout=0, optimizer="AdamW",
        learning_rate=1e-3, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.01, max_grad_norm=1.0, schedule="cosine to 0",
        warmup_steps=3, total_steps=steps,
    )  # fmt: skip
    source = (
        "Plain PyTorch with transformers' model and get_cosine_schedule_with_warmup. Loss: mean of -log p over all target "
        "tokens of the batch together; prompts and padding carry none. Weight decay is decoupled, and spares the weights "
        "of norms and biases as transformers' Trainer does; embeddings (tied to the head, one parameter) are decayed."
    )
    about = (
        "A step's loss and grad_norm (before clipping) are those before its update; learning_rate is the rate the update "
        "used, so that step 1 of the warm-up has 0. final_logits: [tokens, vocabulary] of prompt_ids + target_ids of the "
        "first example after the last step, each number to 9 digits."
    )
    write_json(
        HERE / "training/sft.json", source=source, about=about, settings=settings, examples=examples,
        steps=[dict(step=n) | row for n, row in enumerate(rows, 1)],
        final_logits=[[float(f"{x:.9g}") for x in row] for row in logits.tolist()],
    )  # fmt: skip


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    make_models()
    check_models()
    make_chat()
    make_scores()
    make_dpo()
    make_sft()


if __name__ == "__main__":
    main()
