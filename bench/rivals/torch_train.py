"""The PyTorch counterparts of bench/train.cpp and bench/generate.cpp: functions of a name such as medium-lstm that return
the function to time."""
import os
import sys

import torch

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sizes import SIZES  # noqa: E402


class Model(torch.nn.Module):
    def __init__(self, vocab, width, hidden, layers, kind):
        super().__init__()
        self.embed = torch.nn.Embedding(vocab, width)
        self.recurrent = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[kind](width, hidden, layers)
        self.head = torch.nn.Linear(hidden, vocab)

    def forward(self, x):
        h, _ = self.recurrent(self.embed(x))
        return self.head(h).flatten(0, 1)


def model_of(name):
    size, kind = name.split("-")[:2]
    size = SIZES[size]
    torch.manual_seed(1)
    return size, Model(size.vocab, size.width, size.hidden, size.layers, kind)


def training(name):
    """One training step."""
    size, model = model_of(name)
    in_bf16 = name.endswith("-bf16")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(size.vocab, (size.steps, size.batch))
    y = torch.randint(size.vocab, (size.tokens,))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = model(x)
        torch.nn.functional.cross_entropy(logits.float(), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    return step


def generating(name):
    """Reading one token."""
    size, model = model_of(name)
    model.eval()
    state, token = [None], [0]

    @torch.no_grad()
    def step():
        h, state[0] = model.recurrent(model.embed(torch.tensor([[token[0]]])), state[0])
        token[0] = (token[0] + 1) % size.vocab
        return torch.log_softmax(model.head(h), -1)

    return step


def status(name):
    """The value of a line of /proc/self/status, in MB."""
    with open("/proc/self/status") as file:
        return next(float(line.split()[1]) / 1e3 for line in file if line.startswith(name + ":"))


def peak_memory(name):
    """The peak memory of the process during a few steps, minus its memory before the model is built, in MB."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew, without what importing took
    before = status("VmRSS")
    step = training(name)
    for _ in range(4):
        step()
    return status("VmHWM") - before
