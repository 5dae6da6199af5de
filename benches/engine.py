"""The work of the bench `engine` by others: a server at an address, or transformers in this process.

engine.py WORK.json http://127.0.0.1:8080   asks /v1/completions
engine.py WORK.json FOLDER                  draws with transformers from a model's folder
"""

import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor


def ask(work, where):
    """Every draw is a request of its own: what they share is for the server's prefix cache to find."""
    with urllib.request.urlopen(f"{where}/v1/models") as models:
        model = json.load(models)["data"][0]["id"]

    def one(request):
        prompt, seed = request
        body = {
            "model": model,
            "prompt": prompt,
            "max_tokens": work["tokens"],
            "temperature": 0.8,
            "ignore_eos": True,
            "seed": seed,
            "cache_prompt": True,
        }
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{where}/v1/completions", data, kind)
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)["usage"]["completion_tokens"]

    requests = [(prompt, seed) for prompt in work["prompts"] for seed in range(work["draws"])]
    one(requests[0])
    began = time.perf_counter()
    with ThreadPoolExecutor(min(work["at_a_time"], 256)) as pool:
        tokens = sum(pool.map(one, requests))
    return time.perf_counter() - began, tokens


def generate(work, folder):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.pad_token_id = model.config.eos_token_id
    rows = min(work["at_a_time"], 64)
    prompts = [prompt for prompt in work["prompts"] for _ in range(work["draws"])]
    began, tokens = time.perf_counter(), 0
    for first in range(0, len(prompts), rows):
        batch = prompts[first : first + rows]
        longest = max(map(len, batch))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in batch])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in batch])
        count = work["tokens"]
        drawn = model.generate(
            ids, attention_mask=mask, do_sample=True, temperature=0.8, top_k=0,
            min_new_tokens=count, max_new_tokens=count,
        )  # fmt: skip
        tokens += drawn.shape[0] * (drawn.shape[1] - longest)
    return time.perf_counter() - began, tokens


def main():
    work, where = json.load(open(sys.argv[1])), sys.argv[2]
    seconds, tokens = ask(work, where) if where.startswith("http") else generate(work, where)
    print(json.dumps({"seconds": seconds, "tokens": tokens}))


main()
