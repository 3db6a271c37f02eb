"""Where a training step spends its time, from the samples that `bench_train --profile` and
`bench_gpt --profile` print.

A sample is the stack of the thread that trains. The innermost function whose name matches a phase decides. So the gates'
arithmetic counts as that although a matrix product calls it, and a loop over memory counts for the op that called it.
"""
import bisect
import re
import subprocess
from collections import Counter

# Patterns for a function's name without its arguments. The first one that matches counts.
PHASES = {
    "gemm": r"gemm|pack|::tile<|::multiply|short_dots|transpose_square|matmul",
    "gates": r"(lstm|gru|rnn)_|gradus::nn::(?!Embedding|Linear|Recurrent|Lstm|Gru|Rnn)",
    "softmax": r"softmax|cross_entrop|log_sum_exp",
    "embedding": r"gather|scatter|Embedding",
    "optimizer": r"gradus::optim::",
    "attention": r"attention",
    "norms": r"layer_norm|rms_norm|norm_gradients|gradients_of_rows",
    "activations": r"gelu|silu|elementwise|detail::Program|run_block",
}
MEANING = {
    "gemm": "matrix products and the packing of their sides, those of attention too",
    "gates": "the recurrent layers' arithmetic between the products",
    "softmax": "the softmax and the loss, their gradients, and adding the bias before them",
    "embedding": "gathering the embeddings and scattering their gradients",
    "optimizer": "clipping and the optimizer's step",
    "attention": "the softmax of attention, and laying out its heads",
    "norms": "layer and RMS normalisation",
    "activations": "the activations between a transformer's products",
    "other": "the tape, memory, other sums",
    "waiting": "the part of all phases in which the thread waits for the others",
}


def symbols(program):
    """The addresses of a program's functions in ascending order, and their names."""
    listed = subprocess.run(["nm", "-C", "-n", "--defined-only", program], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    pairs = [line.split(" ", 2) for line in listed.splitlines()]
    pairs = [(int(address, 16), name) for address, kind, name in pairs if kind in "tTwWiu"]
    return [address for address, _ in pairs], [name for _, name in pairs]


def without_arguments(name):
    """A function's name without its arguments, which may name types of another phase."""
    name = name.replace("(anonymous namespace)", "anonymous")
    depth = 0
    for i, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:i]
    return name


def phase_of(names):
    """The phase of a stack, which begins with the innermost function."""
    for name in names:
        # The outermost functions name the network that is trained.
        if re.search("RecurrentNetwork|gradus::models::", name):
            break
        for phase, pattern in PHASES.items():
            if re.search(pattern, name):
                return phase
    return "other"


def is_waiting(frames):
    """True when the innermost frames are in the thread pool's library, or in the system called from there."""
    for frame in frames:
        if not frame.startswith("="):
            return False
        if frame.startswith("=libtbb"):
            return True
    return False


def shares(stacks, addresses, names):
    """The share of each phase, and of waiting, in samples of which there is one per line."""
    counts, total = Counter(), 0
    for line in stacks.splitlines():
        frames = line.split()
        inside = [names[bisect.bisect(addresses, int(frame)) - 1] for frame in frames if not frame.startswith("=")]
        counts[phase_of(without_arguments(name) for name in inside)] += 1
        counts["waiting"] += is_waiting(frames)
        total += 1
    return {phase: counts[phase] / max(1, total) for phase in MEANING}
