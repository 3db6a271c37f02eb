"""Runs the benchmarks beside their rivals; see scripts/bench, which calls this.

Each row is measured in rounds: ours, the rival, ours, the rival, ... and the figures are medians over the
rounds, so that what the machine does meanwhile falls on both. The FMA peak is probed around each round; rounds
in which it fell by more than a tenth were disturbed and are measured again, a few times at most. Products of
matrices and generation go without the probe; memory, allocations and sizes are counts, taken once.
"""
import argparse
import glob
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(ROOT, "build", "release", "bin")
ROUNDS, EXTRA_ROUNDS = 5, 4


def ours(program, benchmark, seconds):
    """The `value` of one benchmark of one of our programs."""
    command = [os.path.join(BIN, "bench_" + program), f"--benchmark_filter=^{benchmark}($|/)",
               "--benchmark_format=json"]
    if seconds:
        command.append(f"--benchmark_min_time={seconds}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    return [run["value"] for run in json.loads(done.stdout)["benchmarks"]]


class Rival:
    """A program that answers `NAME SECONDS` with a figure, kept running between rounds; or why there is none."""

    def __init__(self, name, command, env=None, missing=None):
        self.name, self.missing, self.process = name, missing, None
        self.command, self.env = None if missing else command, env or {}
        if missing:
            return
        # A file, so that its warnings fill no pipe.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env={**os.environ, **(env or {})})
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            self.process, self.missing = None, f"{name} does not start"
            return
        self.name = f"{name} {ready[1]}"

    def ask(self, benchmark, seconds):
        self.process.stdin.write(f"{benchmark} {seconds}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def pytorch(threads, program="torch_train.py"):
    python = "/usr/bin/python3"
    found = subprocess.run([python, "-c", "import torch"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if found.returncode:
        return Rival("PyTorch", None, missing="PyTorch is missing: apt-get install python3-torch libopenblas0-openmp")
    blas = glob.glob("/usr/lib/*/openblas-openmp")
    if not blas:
        return Rival("PyTorch", None, missing="PyTorch is there without an OpenMP BLAS, which would halve its speed: "
                                              "apt-get install libopenblas0-openmp")
    return Rival("PyTorch", [python, os.path.join(ROOT, "bench", "rivals", program), str(threads)],
                 env={"LD_LIBRARY_PATH": blas[0]})


def libtorch():
    program = os.path.join(BIN, "bench_rival_libtorch")
    if not os.path.exists(program):
        return Rival("libtorch", None, missing="libtorch is missing: apt-get install libtorch-dev")
    return Rival("libtorch", [program])


class OurOwn:
    """A rival that is another benchmark of ours: `of` gives its program and name for that of the row."""

    def __init__(self, name, of):
        self.name, self.of, self.process, self.missing = name, of, True, None

    def ask(self, benchmark, seconds):
        return ours(*self.of(benchmark), seconds)[0]


def row(name, unit, value, rival=None, theirs=None, ratio=None):
    """ratio: over 1 when we are ahead."""
    return {"name": name, "unit": unit, "ours": value, "rival": rival, "theirs": theirs, "ratio": ratio}


def compare(group, benchmark, unit, rival, seconds, faster_is_more):
    """One row: ours and the rival's, alternately."""
    pairs, peak, extra = [], 0.0, EXTRA_ROUNDS
    probe = ours("peak", "fma", 0.05)[0]
    while len(pairs) < ROUNDS:
        mine = ours(group, benchmark, seconds)[0]
        theirs = rival.ask(benchmark, seconds) if rival.process else None
        before, probe = probe, ours("peak", "fma", 0.05)[0]
        peak = max(peak, before, probe)
        if min(before, probe) < 0.9 * peak and extra > 0:
            extra -= 1
            continue
        pairs.append((mine, theirs))
    mine = statistics.median(pair[0] for pair in pairs)
    scale = {"ns": 1e9, "us": 1e6, "ms": 1e3}.get(unit, 1)
    if not rival.process:
        return row(f"{group}.{benchmark}", unit, mine * scale)
    theirs = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(a / b if faster_is_more else b / a for a, b in pairs)
    return row(f"{group}.{benchmark}", unit, mine * scale, rival.name, theirs * scale, ratio)


def peak():
    one, all_cores = ours("peak", "fma", None)
    yield row("peak.fma_one_thread", "GFLOP/s", one)
    yield row(f"peak.fma_{os.cpu_count()}_threads", "GFLOP/s", all_cores)
    yield row("peak.triad", "GB/s", ours("peak", "triad", None)[0])


def allocations(rival):
    """What a training step takes from the heap: a count, so once is enough."""
    name = "tiny_net_allocations"
    mine, theirs = ours("tape", name, 0.1)[0], rival.ask(name, 0) if rival.process else None
    ratio = theirs / mine if theirs is not None and mine else None
    return row(f"tape.{name}", "a step", mine, rival.name if rival.process else None, theirs, ratio)


def compile_seconds(source, flags):
    """Seconds of compiling one file at -O2, without a compiler cache."""
    start = time.monotonic()
    subprocess.run(["g++", "-std=c++20", "-O2", *flags, "-c", os.path.join(ROOT, "bench", source), "-o", "/dev/null"],
                   check=True)
    return time.monotonic() - start


def user_program():
    """What a user waits for and gets: compiling a small training program, and the program."""
    torch = next(iter(glob.glob("/usr/include/torch/csrc/api/include")), None)
    pairs = []
    for _ in range(3):
        mine = compile_seconds("user/train_small.cpp", ["-I" + ROOT])
        pairs.append((mine, torch and compile_seconds("rivals/libtorch_train_small.cpp", ["-w", "-I" + torch])))
    mine = statistics.median(pair[0] for pair in pairs)
    if not torch:
        yield row("tape.compile_user_program", "s", mine)
    else:
        theirs = statistics.median(pair[1] for pair in pairs)
        yield row("tape.compile_user_program", "s", mine, "libtorch", theirs,
                  statistics.median(b / a for a, b in pairs))
    yield row("tape.size_user_program", "MB", os.path.getsize(os.path.join(BIN, "bench_user_program")) / 1e6)


def tape():
    rival = libtorch()
    yield rival
    yield compare("tape", "scalar_op", "ns", rival, 0.3, False)
    yield compare("tape", "tiny_net_step", "us", rival, 0.3, False)
    yield allocations(rival)
    rival.close()
    yield from user_program()


def elementwise():
    by_ops = OurOwn("op by op", lambda benchmark: ("elementwise", benchmark + "_by_ops"))
    for function in ["gelu_tanh", "multiply_add", "tanh_sigmoid"]:
        for size in [1_000, 1_000_000, 50_000_000]:
            yield compare("elementwise", f"{function}_{size}", "ns", by_ops, 0.2, False)
    triad = OurOwn("triad", lambda benchmark: ("peak", "triad"))
    yield compare("elementwise", "multiply_add_bandwidth", "GB/s", triad, 0.5, True)


def blas_libraries():
    """Name and path of each library of matrix products that is installed, and what is missing."""
    found, missing = [], []
    for name, pattern, package in [("OpenBLAS", "/usr/lib/*/openblas-*/libopenblas.so.0", "libopenblas0-openmp"),
                                   ("BLIS", "/usr/lib/*/blis-*/libblis.so.4", "libblis4-openmp"),
                                   ("oneDNN", "/usr/lib/*/libdnnl.so.2", "libdnnl2")]:
        paths = sorted(glob.glob(pattern))
        if paths:
            found.append((name, paths[0]))
        else:
            missing.append(f"{name} is missing: apt-get install {package}")
    return found, missing


TRANSPOSES = ["nn.", "nt.", "tn.", "tt."]
GEMM_SHAPES = ([f"{n}x{n}x{n}" for n in [16, 64, 256, 512, 1024, 2048]] +
               [transpose + "700x650x10000" for transpose in TRANSPOSES] + ["nn.10000x650x700"] +
               ["packed." + shape for shape in ["20x200x800", "20x800x200", "32x256x1024", "32x1024x256",
                                                "20x650x2600", "20x2600x650"]])


def gemm():
    """Products of matrices, m by n over k, with one thread and with all; several rivals a row.

    In rows named packed our right side was laid out before, as a recurrent layer does once a sequence; the rivals
    have no such call, and lay it out each time.
    """
    libraries, missing = blas_libraries()
    for text in missing:
        yield Rival("", None, missing=text)
    for threads in sorted({1, os.cpu_count()}):
        env = {f"{library}_NUM_THREADS": str(threads) for library in ["OPENBLAS", "BLIS", "OMP"]}
        asked = [Rival("ours", [os.path.join(BIN, "bench_gemm"), str(threads)])]
        asked += [Rival(name, [os.path.join(BIN, "bench_rival_blas"), path], env=env) for name, path in libraries]
        for one in asked[1:]:
            if one.missing:
                yield one
        present = [i for i, one in enumerate(asked) if one.process]
        libraries = [libraries[i - 1] for i in present if i > 0]
        asked = [asked[i] for i in present]
        for shape in GEMM_SHAPES:
            rounds = [[one.ask(shape, 0.1) for one in asked] for _ in range(ROUNDS)]
            name = f"gemm.{shape}" + (f".{threads}threads" if threads > 1 else "")
            mine = statistics.median(figures[0] for figures in rounds)
            if not libraries:
                yield row(name, "GFLOP/s", mine)
            for i, (library, _) in enumerate(libraries, 1):
                yield row(name, "GFLOP/s", mine, library, statistics.median(figures[i] for figures in rounds),
                          statistics.median(figures[0] / figures[i] for figures in rounds))
        for one in asked:
            one.close()


def train():
    rival = pytorch(os.cpu_count())
    yield rival
    for benchmark in [f"{size}-{kind}" for size in ["char", "small", "medium"] for kind in ["lstm", "gru", "rnn"]]:
        yield compare("train", benchmark, "tokens/s", rival, 1.0, True)
    rival.close()


def memory():
    """The peak of a training's memory, each in a process of its own."""
    rival = pytorch(os.cpu_count())
    yield rival
    rival.close()
    for name in [f"{size}-{kind}" for size in ["char", "small", "medium"] for kind in ["lstm", "gru", "rnn"]]:
        mine = float(subprocess.run([os.path.join(BIN, "bench_train"), "--memory", name], stdout=subprocess.PIPE,
                                    check=True).stdout)
        if not rival.command:
            yield row(f"memory.{name}", "MB", mine)
            continue
        theirs = float(subprocess.run([*rival.command, "--memory", name], stdout=subprocess.PIPE,
                                      env={**os.environ, **rival.env}, check=True).stdout)
        yield row(f"memory.{name}", "MB", mine, rival.name, theirs, theirs / mine)


def generate():
    """One token after another, and which share of the memory's bandwidth that is."""
    rival = pytorch(os.cpu_count())
    yield rival
    name = "medium-lstm"
    pairs = []
    for _ in range(ROUNDS):
        mine, triad = ours("generate", name, 0.5)[0], ours("peak", "triad", 0.2)[0]
        pairs.append((mine, triad, rival.ask("generate." + name, 0.5) if rival.process else None))
    mine = statistics.median(pair[0] for pair in pairs)
    if rival.process:
        yield row(f"generate.{name}", "tokens/s", mine, rival.name, statistics.median(pair[2] for pair in pairs),
                  statistics.median(pair[0] / pair[2] for pair in pairs))
    else:
        yield row(f"generate.{name}", "tokens/s", mine)
    bytes_a_token = ours("generate", name + "-bytes", None)[0]
    yield row(f"generate.{name}-bandwidth", "GB/s", mine * bytes_a_token / 1e9, "triad",
              statistics.median(pair[1] for pair in pairs),
              statistics.median(pair[0] * bytes_a_token / 1e9 / pair[1] for pair in pairs))
    rival.close()


def multiple(name, product, gradient):
    """A product with a hessian as a multiple of a gradient, theirs beside ours."""
    theirs = product["theirs"] / gradient["theirs"] if product["theirs"] else None
    mine = product["ours"] / gradient["ours"]
    return row(f"transforms.{name}", "gradients", mine, product["rival"], theirs, theirs and theirs / mine)


def transforms():
    rival = pytorch(1, "torch_transforms.py")
    yield rival
    for model in ["mlp", "lstm"]:
        gradient = compare("transforms", f"gradient_{model}", "us", rival, 0.3, False)
        product = compare("transforms", f"hvp_{model}", "us", rival, 0.3, False)
        yield gradient
        yield product
        yield multiple(f"hvp_{model}_cost", product, gradient)
    for benchmark in ["hessian", "jacobian", "descent", "nested"]:
        yield compare("transforms", benchmark, "ms", rival, 0.3, False)
    rival.close()


GROUPS = {"peak": peak, "tape": tape, "elementwise": elementwise, "transforms": transforms, "gemm": gemm,
          "train": train, "memory": memory, "generate": generate}


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Gradus beside its rivals.",
                                     epilog="Example: scripts/bench tape train --json figures.json")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}; all of them by default")
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    args = parser.parse_args()
    for group in args.groups:
        if group not in GROUPS:
            parser.error(f"there is no group {group!r}; the groups are {', '.join(GROUPS)}")
    if args.json and not os.path.isdir(os.path.dirname(os.path.abspath(args.json))):
        parser.error(f"{args.json}: make its folder first")

    # The peak is always measured: the other figures are read against it.
    wanted = ["peak"] + [group for group in args.groups or GROUPS if group != "peak"]
    rows = []
    print(f"{cpu_name()}, {os.cpu_count()} cores")
    print(f"{'name':36} {'unit':>9} {'ours':>12} {'rival':>18} {'theirs':>12} {'ratio':>7}")
    for group in wanted:
        for item in GROUPS[group]():
            if isinstance(item, Rival):
                if item.missing:
                    print(f"  {item.missing}")
                continue
            rows.append(item)
            theirs = ["", "", ""]
            if item["theirs"] is not None:
                ratio = "" if item["ratio"] is None else f"{item['ratio']:.2f}"
                theirs = [item["rival"], f"{item['theirs']:.1f}", ratio]
            print(f"{item['name']:36} {item['unit']:>9} {item['ours']:12.1f} {theirs[0]:>18} {theirs[1]:>12} "
                  f"{theirs[2]:>7}", flush=True)
    if args.json:
        part = args.json + ".part"
        with open(part, "w") as file:
            json.dump({"machine": cpu_name(), "cores": os.cpu_count(), "rows": rows}, file, indent=2)
            file.write("\n")
        os.replace(part, args.json)


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
