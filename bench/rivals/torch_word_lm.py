"""The default model of PyTorch's example word_language_model with tied weights, an LSTM of 2 x 200 over the words of
WikiText-2, trained for some updates: the time of recipes/wikitext2-lstm.toml's rival.

Usage: python3 torch_word_lm.py THREADS TRAIN_TEXT UPDATES [keep]      keep: malloc keeps its memory (torch_memory.py)
Prints one line of JSON: tokens a second, and the mean loss. Batches of 20 streams, 35 tokens each, dropout of 0.2, SGD at
20, gradients clipped at 0.25.
"""
import json
import sys
import time

import torch
import torch_memory
from torch import nn


class WordLm(nn.Module):
    def __init__(self, vocab, width=200, layers=2, dropout=0.2):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.embed = nn.Embedding(vocab, width)
        self.lstm = nn.LSTM(width, width, layers, dropout=dropout)
        self.head = nn.Linear(width, vocab)
        self.head.weight = self.embed.weight
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids, state):
        h, state = self.lstm(self.drop(self.embed(ids)), state)
        return self.head(self.drop(h)).flatten(0, 1), state


def words(path):
    ids, out = {}, []
    with open(path, encoding="utf-8") as text:
        for line in text:
            for word in line.split() + ["</s>"]:
                out.append(ids.setdefault(word, len(ids)))
    return torch.tensor(out), len(ids)


def main(threads, path, updates):
    torch.manual_seed(1)
    torch.set_num_threads(threads)
    batch, steps, lr, clip, warmup = 20, 35, 20.0, 0.25, 3
    tokens, vocab = words(path)
    streams = tokens[:len(tokens) // batch * batch].view(batch, -1).t().contiguous()
    model, loss_of = WordLm(vocab), nn.CrossEntropyLoss()
    state = (torch.zeros(2, batch, 200), torch.zeros(2, batch, 200))
    total, start = 0.0, time.perf_counter()
    for i in range(warmup + updates):
        if i == warmup:
            total, start = 0.0, time.perf_counter()
        at = i * steps % (len(streams) - steps - 1)
        model.zero_grad()
        state = tuple(part.detach() for part in state)
        logits, state = model(streams[at:at + steps], state)
        loss = loss_of(logits, streams[at + 1:at + 1 + steps].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(parameter.grad, alpha=-lr)
        total += loss.item()
    seconds = time.perf_counter() - start
    print(json.dumps({"tokens_per_second": updates * batch * steps / seconds, "loss": total / updates,
                      "torch": torch.__version__, "threads": threads}))


if __name__ == "__main__":
    if sys.argv[4:] == ["keep"]:
        torch_memory.keep_memory()
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
