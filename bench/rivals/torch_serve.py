"""The PyTorch counterparts of the benchmarks. Usage: torch_serve.py, then lines `GROUP.NAME SECONDS THREADS` on stdin;
answers each with the seconds of one call on stdout. torch_serve.py --memory THREADS NAME prints the peak memory of a
training run in MB.

Needs python3-torch, and libopenblas0-openmp on LD_LIBRARY_PATH, since with the pthread OpenBLAS the two thread pools
disturb each other.
"""
import statistics
import sys
import time
import warnings

import torch
import torch_generate
import torch_gpt
import torch_layers
import torch_memory
import torch_ops
import torch_shapes
import torch_train
import torch_transforms

warnings.filterwarnings("ignore")
PREPARE = {**torch_ops.PREPARE, **torch_layers.PREPARE, **torch_shapes.PREPARE,
           "train": torch_train.training, "gpt": torch_gpt.training, "generate": torch_generate.generating,
           "transforms": torch_transforms.prepare}


def main():
    if sys.argv[1:2] == ["--memory"]:
        torch.set_num_threads(int(sys.argv[2]))
        print(torch_train.peak_memory(sys.argv[3]))
        return
    torch_memory.keep_memory()
    print("ready", torch.__version__, flush=True)
    prepared = asked = None  # one at a time in memory
    for line in sys.stdin:
        name, seconds, threads = line.split()
        torch.set_num_threads(int(threads))
        if prepared is None or asked[0] != name:
            prepared = None
            group, benchmark = name.split(".", 1)
            prepared = PREPARE[group](benchmark)
        if asked != (name, threads):
            asked = (name, threads)
            prepared()
        times = []
        while sum(times) < float(seconds) or (len(times) < 3 and sum(times) < 2):
            start = time.perf_counter()
            prepared()
            times.append(time.perf_counter() - start)
        print(statistics.median(times), flush=True)


main()
