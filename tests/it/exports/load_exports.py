"""Load every export of mrx with the program that it is for, and print what each finds as one object of JSON.

    python load_exports.py      # in the folder of the exports: preferences.parquet, dataset/, alpaca-eval/,
                                # arena-hard/, mt-bench/, and model/, a small model to train

Needs: datasets, torch, transformers, trl (the preference set, the dataset), alpaca-eval (its annotations),
fschat (MT-Bench's files), pandas. Arena-Hard is no package: its files are read here as its show_result.py reads them.
Nothing is fetched.
"""

import argparse
import contextlib
import glob
import io
import json
import sys

import pandas as pd
import yaml
from datasets import load_dataset

found = {}
talk = io.StringIO()


def preferences():
    """TRL takes the set as it is, and takes steps."""
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    rows = load_dataset("parquet", data_files="preferences.parquet", split="train")
    found["preferences"] = len(rows)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file="model/tokenizer.json", eos_token="</s>", pad_token="?")
    tokenizer.chat_template = open("model/chat_template.jinja").read()
    model = AutoModelForCausalLM.from_pretrained("model")
    settings = DPOConfig(output_dir="trained", max_steps=3, use_cpu=True, bf16=False, report_to="none",
                         save_strategy="no", per_device_train_batch_size=4)
    trainer = DPOTrainer(model=model, args=settings, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    found["steps"] = trainer.state.global_step


def dataset():
    """Every configuration and split that the card names has the rows that it says."""
    card = yaml.safe_load(open("dataset/README.md").read().split("---\n")[1])
    said = {info["config_name"]: {s["name"]: s["num_examples"] for s in info["splits"]} for info in card["dataset_info"]}
    assert set(said) == {config["config_name"] for config in card["configs"]}
    for name, splits in said.items():
        loaded = load_dataset("dataset", name)
        assert {split: len(rows) for split, rows in loaded.items()} == splits, name
    default = load_dataset("dataset", split="train")
    assert default[0]["chosen"][-1]["role"] == "assistant"


def alpaca_eval():
    """Its own metrics of the annotations; answers have the fields that it evaluates."""
    from alpaca_eval.metrics import get_winrate

    for path in glob.glob("alpaca-eval/*/model_outputs.json"):
        assert set(pd.read_json(path).columns) == {"dataset", "instruction", "output", "generator"}, path
    [path] = glob.glob("alpaca-eval/small-m1/*/annotations.json")
    found["alpaca_eval"] = float(get_winrate(pd.read_json(path))["win_rate"]) / 100


def arena_hard():
    """The mean of both games, those that were won by far three times, of questions that have both."""
    scores = {"A>B": [1], "A>>B": [1] * 3, "A=B": [0.5], "B>A": [0], "B>>A": [0] * 3}
    [path] = glob.glob("arena-hard/model_judgment/*/small-m1.jsonl")
    judged = pd.read_json(path, lines=True)
    all_scores = []
    for first, second in judged.games:
        if first and second and first["score"] and second["score"]:
            all_scores += scores[second["score"]] + [1 - score for score in scores[first["score"]]]
    found["arena_hard"] = sum(all_scores) / len(all_scores)
    answers = pd.read_json("arena-hard/model_answer/small-m1.jsonl", lines=True)
    style = answers.set_index("uid")["metadata"].to_dict()
    for uid in judged.uid:
        assert [v if isinstance(v, int) else sum(v.values()) for v in style[uid].values()][0] > 0
    assert all(isinstance(messages[-1]["content"]["answer"], str) for messages in answers.messages)


def fastchat():
    """Its own table of the pairs, and its own reading of questions and answers where it can be imported."""
    from fastchat.llm_judge import show_result

    [path] = glob.glob("mt-bench/model_judgment/*_pair.jsonl")
    table = io.StringIO()
    with contextlib.redirect_stdout(table):
        show_result.display_result_pairwise(argparse.Namespace(
            input_file=path, bench_name="mt_bench", judge_model="", baseline_model="small-m0", model_list=None))
    [line] = [line for line in table.getvalue().splitlines() if line.startswith("small-m1")]
    pairs = pd.read_json(path, lines=True)
    wins = {"model_1": 1.0, "tie": 0.5, "model_2": 0.0}
    assert abs(float(line.split()[-1]) - pairs.g1_winner.map(wins).mean()) < 1e-5, line
    found["fastchat"] = float(pairs.g1_winner.map(wins).mean())
    try:
        from fastchat.llm_judge.common import load_model_answers, load_questions
    except ImportError as error:
        print(f"fastchat.llm_judge.common cannot be imported: {error}", file=sys.stderr)
        return
    questions = load_questions("mt-bench/question.jsonl", None, None)
    answers = load_model_answers("mt-bench/model_answer")
    assert set(answers) == {"small-m0", "small-m1"}
    for question in questions:
        assert len(answers["small-m1"][question["question_id"]]["choices"][0]["turns"]) == len(question["turns"])


with contextlib.redirect_stdout(talk):
    for load in (preferences, dataset, alpaca_eval, arena_hard, fastchat):
        load()
print(json.dumps(found))
