"""Train as `trl dpo --config dpo.yaml` does, on the CPU and in f32, in the folder of an export.

    python train_with_trl.py     # with trl, datasets, transformers, tokenizers
"""

import json

from datasets import load_dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, ModelConfig, ScriptArguments, TrlParser
from trl.scripts.utils import DatasetMixtureConfig, get_dataset

classes = (ScriptArguments, DPOConfig, ModelConfig, DatasetMixtureConfig)
words = ["--config", "dpo.yaml", "--use_cpu", "true", "--bf16", "false", "--save_strategy", "no"]
script, training, model, mixture = TrlParser(classes).parse_args_and_config(words, fail_with_unknown_args=True)

rows = [json.loads(line) for line in open("pairs.jsonl")]
data = get_dataset(mixture)["train"]
assert data.to_list() == load_dataset("json", data_files="pairs.jsonl", split="train").to_list()
assert [row["prompt"] for row in data] == [row["prompt"] for row in rows]
assert [row["chosen"] for row in data] == [row["chosen"] for row in rows]

# The folder of a test has a tokenizer and no tokenizer_config.json.
tokenizer = PreTrainedTokenizerFast(tokenizer_file="model/tokenizer.json", eos_token="</s>", pad_token="?")
tokenizer.chat_template = open("model/chat_template.jinja").read()
start = AutoModelForCausalLM.from_pretrained(model.model_name_or_path, dtype=model.dtype)
trainer = DPOTrainer(model=start, args=training, train_dataset=data, processing_class=tokenizer)
batch = trainer.data_collator([trainer.train_dataset[0], trainer.train_dataset[1]])
expected = [row["ref_chosen_logps"] for row in rows[:2]]
assert [round(x, 3) for x in batch["ref_chosen_logps"].tolist()] == [round(x, 3) for x in expected]
trainer.train()
trainer.save_model()
trainer.state.save_to_json(f"{training.output_dir}/trainer_state.json")
