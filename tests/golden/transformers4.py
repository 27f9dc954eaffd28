"""For make_model_goldens.py: a BERT of transformers 4, asked and answered by pickles.

    transformers4.py MODEL_DIR DTYPE

A question is (tokenizer's tensors as lists, positions); positions false takes the
distances out of attention. An answer is the model's output. Versions 4 can do relative
positions; 5 ignores them.
"""
import pickle
import sys
from types import SimpleNamespace

import torch
from transformers import BertModel

torch.set_num_threads(1)
model = BertModel.from_pretrained(sys.argv[1], torch_dtype=getattr(torch, sys.argv[2]),
                                  attn_implementation="eager", output_hidden_states=True,
                                  output_attentions=True).eval()
tables = [layer.attention.self.distance_embedding.weight.data for layer in model.encoder.layer]
kept = [table.clone() for table in tables]

while sys.stdin.buffer.peek(1):
    tokens, positions = pickle.load(sys.stdin.buffer)
    for table, values in zip(tables, kept):
        table.copy_(values * positions)
    with torch.inference_mode():
        output = model(**{name: torch.tensor(value) for name, value in tokens.items()})
    pickle.dump(SimpleNamespace(**output), sys.stdout.buffer)
    sys.stdout.buffer.flush()
