"""Tells how far a merged model's logits are from those that PEFT computes: BASE ADAPTER MERGED."""

import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


base, adapter, merged = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
ids = torch.randint(0, model.config.vocab_size, (4, 24), generator=torch.Generator().manual_seed(0))
plain = logits(model, ids)
adapted = logits(PeftModel.from_pretrained(model, adapter), ids)
ours = logits(AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32), ids)
print((ours - adapted).abs().max().item(), (plain - adapted).abs().max().item())
