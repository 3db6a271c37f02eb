"""PyTorch's side of bench/train.cpp: answers each line `NAME SECONDS` on stdin with tokens a second on stdout.

Needs python3-torch, and libopenblas0-openmp on LD_LIBRARY_PATH: with the pthread OpenBLAS its two pools of
threads fight each other.
"""
import statistics
import sys
import time

import torch

#         vocabulary, width, hidden, layers, batch, steps
SIZES = {
    "char": (96, 128, 256, 1, 32, 64),
    "small": (10_000, 200, 200, 2, 20, 20),
    "medium": (10_000, 650, 650, 2, 20, 35),
}


class Model(torch.nn.Module):
    def __init__(self, vocab, width, hidden, layers, kind):
        super().__init__()
        self.embed = torch.nn.Embedding(vocab, width)
        self.recurrent = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[kind](width, hidden, layers)
        self.head = torch.nn.Linear(hidden, vocab)

    def forward(self, x):
        h, _ = self.recurrent(self.embed(x))
        return self.head(h).flatten(0, 1)


def prepared(name):
    """A function that makes one training step, and the tokens of it."""
    size, kind = name.split("-")
    vocab, width, hidden, layers, batch, steps = SIZES[size]
    torch.manual_seed(1)
    model = Model(vocab, width, hidden, layers, kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randint(vocab, (steps, batch))
    y = torch.randint(vocab, (steps * batch,))

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    return step, batch * steps


def generating(name):
    """A function that reads one token, and 1."""
    size, kind = name.split("-")
    vocab, width, hidden, layers, _, _ = SIZES[size]
    torch.manual_seed(1)
    model = Model(vocab, width, hidden, layers, kind).eval()
    state, token = [None], [0]

    @torch.no_grad()
    def step():
        h, state[0] = model.recurrent(model.embed(torch.tensor([[token[0]]])), state[0])
        token[0] = (token[0] + 1) % vocab
        return torch.log_softmax(model.head(h), -1)

    return step, 1


def status(name):
    """A line of /proc/self/status, in MB."""
    with open("/proc/self/status") as file:
        return next(float(line.split()[1]) / 1e3 for line in file if line.startswith(name + ":"))


def peak_memory(name):
    """The peak of the process's memory over a few steps, less its size before the model is built, in MB."""
    before = status("VmRSS")
    step, _ = prepared(name)
    for _ in range(4):
        step()
    return status("VmHWM") - before


def main():
    torch.set_num_threads(int(sys.argv[1]))
    if sys.argv[2:3] == ["--memory"]:
        print(peak_memory(sys.argv[3]))
        return
    models = {}
    print("ready", torch.__version__, flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        if name not in models:
            models.clear()  # one at a time in memory
            models[name] = generating(name[9:]) if name.startswith("generate.") else prepared(name)
            models[name][0]()
        step, tokens = models[name]
        times = []
        while sum(times) < float(seconds) or len(times) < 3:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(tokens / statistics.median(times), flush=True)


main()
