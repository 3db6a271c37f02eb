"""The PyTorch counterpart of bench/recipe.cpp: trains a GPT of characters by nanoGPT's recipe for a CPU, and prints the seconds
of training and the loss on the last tenth of the text, cut into contexts.

Usage: torch_recipe.py THREADS TEXT
"""
import math
import sys
import time

import torch
import torch_gpt
import torch_memory
from torch.nn import functional


class Size:
    width, heads, layers, batch, context = 128, 4, 4, 12, 64


UPDATES, WARMUP, LR, LEAST = 2000, 100, 1e-3, 1e-4


def rate(step):
    if step < WARMUP:
        return LR * (step + 1) / WARMUP
    share = (step - WARMUP) / (UPDATES - WARMUP)
    return LEAST + 0.5 * (1 + math.cos(math.pi * share)) * (LR - LEAST)


def drawn(text, size):
    begins = torch.randint(len(text) - size.context, (size.batch,)).tolist()
    return (torch.stack([text[at:at + size.context] for at in begins]),
            torch.stack([text[at + 1:at + 1 + size.context] for at in begins]))


@torch.no_grad()
def loss_of_blocks(model, text, size):
    whole = (len(text) - 1) // size.context * size.context
    x, y = text[:whole].view(-1, size.context), text[1:whole + 1].view(-1, size.context)
    losses = [functional.cross_entropy(model(a).flatten(0, 1), b.flatten(), reduction="sum")
              for a, b in zip(x.split(64), y.split(64))]
    return (sum(losses) / whole).item()


def main():
    torch_memory.keep_memory()
    torch.set_num_threads(int(sys.argv[1]))
    with open(sys.argv[2]) as file:
        text = file.read()
    symbols = {letter: i for i, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([symbols[letter] for letter in text])
    train, valid = ids[:len(ids) * 9 // 10], ids[len(ids) * 9 // 10:]
    Size.vocab = len(symbols)
    torch.manual_seed(1337)
    model = torch_gpt.Model(torch_gpt.Gpt, Size)
    # As nanoGPT's: 0.02, and less for what is added to the residual stream.
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            added = name.endswith(("join.weight", "down.weight"))
            torch.nn.init.normal_(weight, std=0.02 / math.sqrt(2 * Size.layers) if added else 0.02)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(weight)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}],
                                  lr=LR, betas=(0.9, 0.99))
    begin = time.perf_counter()
    for step in range(UPDATES):
        x, y = drawn(train, Size)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - begin
    print(f"| PyTorch {torch.__version__}: gpt (nano) | {seconds:.0f} | {UPDATES} | "
          f"{loss_of_blocks(model, valid, Size):.4f} | |")


main()
