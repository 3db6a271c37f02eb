"""Where a training step spends its time, from the samples that `bench_train --profile` prints.

A sample is the stack of the thread that trains. The innermost function with a word of a phase in its name decides:
so the gates' arithmetic counts as that though a product of matrices calls it, and a loop over memory counts for the
op that called it.
"""
import bisect
import re
import subprocess
from collections import Counter

# In each function's name, without its arguments. The first that fits counts.
PHASES = {
    "gemm": r"gemm|pack|::tile<|::multiply|short_dots|transpose_square|matmul",
    "gates": r"(lstm|gru|rnn)_|gradus::nn::(?!Embedding|Linear|Lstm|Gru|Rnn)",
    "softmax": r"softmax|cross_entrop|log_sum_exp",
    "embedding": r"gather|scatter|Embedding",
    "optimizer": r"gradus::optim::",
}
MEANING = {
    "gemm": "products of matrices, with the packing of their sides",
    "gates": "the recurrent layers' arithmetic between the products",
    "softmax": "the softmax and the loss, and their gradient",
    "embedding": "gathering the embeddings and scattering their gradient",
    "optimizer": "clipping, and the optimizer's step",
    "other": "the head's bias and its gradient, the tape, memory",
    "waiting": "of all of these: waiting for the other threads",
}


def symbols(program):
    """The functions of a program: their addresses in order, and their names."""
    listed = subprocess.run(["nm", "-C", "-n", "--defined-only", program], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    pairs = [line.split(" ", 2) for line in listed.splitlines()]
    pairs = [(int(address, 16), name) for address, kind, name in pairs if kind in "tTwWiu"]
    return [address for address, _ in pairs], [name for _, name in pairs]


def without_arguments(name):
    """A function's name up to its arguments: those may name types of another phase."""
    name = name.replace("(anonymous namespace)", "anonymous")
    depth = 0
    for i, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:i]
    return name


def phase_of(names):
    """The phase of a stack, the innermost function first."""
    for name in names:
        # Which network is trained stands in the outermost ones.
        if "RecurrentNetwork" in name:
            break
        for phase, pattern in PHASES.items():
            if re.search(pattern, name):
                return phase
    return "other"


def is_waiting(frames):
    """True when the pool of threads itself was running, or the system for it."""
    for frame in frames:
        if not frame.startswith("="):
            return False
        if frame.startswith("=libtbb"):
            return True
    return False


def shares(stacks, addresses, names):
    """The share of each phase, and of waiting, in lines of samples."""
    counts, total = Counter(), 0
    for line in stacks.splitlines():
        frames = line.split()
        inside = [names[bisect.bisect(addresses, int(frame)) - 1] for frame in frames if not frame.startswith("=")]
        counts[phase_of(without_arguments(name) for name in inside)] += 1
        counts["waiting"] += is_waiting(frames)
        total += 1
    return {phase: counts[phase] / max(1, total) for phase in MEANING}
