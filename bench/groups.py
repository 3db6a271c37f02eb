"""The groups of rows. Each is a function of the run that generates jobs, pairs of the names of a job's rows and a
function that measures and returns them. Each job is run before the next one is generated."""
import glob
import os
import subprocess
import time
from functools import partial

import phases
import sizes
from measure import BIN, CORES, ROOT, SCALE, fma, in_processes, name_of, ours, program, read, row, triad
from ngram import ngram
from sizes import SIZES

THREADS = sorted({1, CORES})
KINDS = ["lstm", "gru", "rnn"]


def peak(run):
    for bound, unit in [(fma, "GFLOP/s"), (triad, "GB/s")]:
        for threads in THREADS:
            at = bound(threads)
            one = {"fma": "peak.fma_one_thread", "triad": "peak.triad"}[at[0]]
            name = one if threads == 1 else f"peak.{at[0]}_{threads}_threads"
            yield [name], lambda: [row(name, unit, max(run.probe.look([at])[at] for _ in range(run.count)))]


def against_torch(run, name, unit, mine, asked, seconds, threads, figure, **more):
    """A row beside PyTorch with its better number of threads. `figure` converts seconds to the unit."""
    torch = run.rivals.torch()
    if torch is None:
        return run.compare(name, unit, mine, **more)
    count = torch.best_threads(asked, threads)
    return run.compare(name, unit, mine, torch.label(count), lambda: figure(torch.ask(asked, seconds, count)),
                       rival_threads=count, **more)


def timed(run, name, unit, program_name, benchmark, asked, seconds, threads, **more):
    """A row of the time of a call, ours and PyTorch's."""
    seconds, scale = run.seconds(seconds), SCALE[unit]
    return against_torch(run, name, unit, lambda: scale * ours(program_name, benchmark, seconds, threads), asked,
                         seconds, threads or 1, lambda s: scale * s, **more)


# -- The tape -------------------------------------------------------------------------------------------------

def beside_libtorch(run, benchmark, unit):
    rival, seconds, scale = run.rivals.libtorch(), run.seconds(0.3), SCALE[unit]
    theirs = rival and (lambda: scale * rival.ask(benchmark, seconds))
    return [run.compare("tape." + benchmark, unit, lambda: scale * ours("tape", benchmark, seconds),
                        rival and f"{rival.name} {rival.version}", theirs, bound=fma(1))]


def allocations(run):
    """The heap allocations of a training step, counted once."""
    name, rival = "tiny_net_allocations", run.rivals.libtorch()
    mine, theirs = ours("tape", name, 0.1), rival.ask(name, 0) if rival else None
    ratio = theirs / mine if theirs is not None and mine else None
    return [row("tape." + name, "a step", mine, rival and f"{rival.name} {rival.version}", theirs, ratio)]


def compile_seconds(source, flags):
    """The seconds that compiling a file at -O2 takes, without a compiler cache."""
    start = time.monotonic()
    subprocess.run(["g++", "-std=c++20", "-O2", *flags, "-c", os.path.join(ROOT, "bench", source), "-o", "/dev/null"],
                   check=True)
    return time.monotonic() - start


def compile_user_program(run):
    """The time of compiling a user's small training program."""
    torch = next(iter(glob.glob("/usr/include/torch/csrc/api/include")), None)
    theirs = torch and (lambda: compile_seconds("rivals/libtorch_train_small.cpp", ["-w", "-I" + torch]))
    ours = ["-I" + ROOT, "-I" + os.path.join(os.path.dirname(BIN), "include")]
    return [run.compare("tape.compile_user_program", "s", lambda: compile_seconds("user/train_small.cpp", ours),
                        torch and "libtorch", theirs, bound=fma(1))]


def tape(run):
    yield ["tape.scalar_op"], partial(beside_libtorch, run, "scalar_op", "ns")
    yield ["tape.tiny_net_step"], partial(beside_libtorch, run, "tiny_net_step", "us")
    yield ["tape.tiny_net_allocations"], partial(allocations, run)
    yield ["tape.compile_user_program"], partial(compile_user_program, run)
    yield ["tape.size_user_program"], lambda: [
        row("tape.size_user_program", "MB", os.path.getsize(os.path.join(BIN, "bench_user_program")) / 1e6)]


# -- Elementwise functions, reductions, softmax ---------------------------------------------------------------

def traced(run, benchmark):
    """A function given to `elementwise`, beside the same function op by op."""
    seconds = run.seconds(0.2)
    return [run.compare("elementwise." + benchmark, "ns", lambda: 1e9 * ours("elementwise", benchmark, seconds),
                        "op by op", lambda: 1e9 * ours("elementwise", benchmark + "_by_ops", seconds))]


def traced_bandwidth(run):
    seconds = run.seconds(0.5)
    return [run.compare("elementwise.multiply_add_bandwidth", "GB/s",
                        lambda: ours("elementwise", "multiply_add_bandwidth", seconds), "triad, 1 thread",
                        lambda: ours("peak", "triad/1", seconds), bound=triad(1), speed=lambda gbs: gbs)]


CACHED, UNCACHED = 16_384, 8192 * 4096  # elements, as in bench/tensor_ops.cpp


def function(run, benchmark, elements):
    """Nanoseconds per element on one core. Beyond the cache, 8 bytes must move per element."""
    seconds = run.seconds(0.2)
    bound = {"bound": fma(1)}
    if elements == UNCACHED:
        bound = {"bound": triad(1), "speed": lambda ns: 8 / ns}
    return [against_torch(run, "elementwise." + benchmark, "ns",
                          lambda: 1e9 / elements * ours("tensor_ops", benchmark, seconds, 1),
                          "tensor_ops." + benchmark, seconds, 1, lambda s: 1e9 / elements * s, **bound)]


def bandwidth(run, group, benchmark, arrays):
    """GB/s on one core beyond the cache; the bytes that must move are `arrays` arrays of 128 MiB."""
    seconds, gigabytes = run.seconds(0.2), 4e-9 * UNCACHED * arrays
    return [against_torch(run, f"{group}.{benchmark}", "GB/s",
                          lambda: gigabytes / ours("tensor_ops", benchmark, seconds, 1), "tensor_ops." + benchmark,
                          seconds, 1, lambda s: gigabytes / s, bound=triad(1), speed=lambda gbs: gbs)]


def elementwise(run):
    for name in ["tanh", "sigmoid", "exp"]:
        yield [f"elementwise.{name}"], partial(function, run, name, CACHED)
        yield [f"elementwise.{name}_past_cache"], partial(function, run, name + "_past_cache", UNCACHED)
    for name, arrays in [("add_past_cache", 3), ("copy_past_cache", 2)]:
        yield [f"elementwise.{name}"], partial(bandwidth, run, "elementwise", name, arrays)
    for name in ["gelu_tanh", "multiply_add", "tanh_sigmoid"]:
        for size in [1_000, 1_000_000, 50_000_000]:
            yield [f"elementwise.{name}_{size}"], partial(traced, run, f"{name}_{size}")
    yield ["elementwise.multiply_add_bandwidth"], partial(traced_bandwidth, run)


FUNCTIONS = """neg abs sign square cube sqrt rsqrt reciprocal exp exp2 expm1 log log1p log2 log10 sin cos tan asin acos
atan sinh cosh tanh asinh acosh atanh erf erfc erfinv normal_cdf lgamma sigmoid relu floor ceil round trunc
add sub mul div maximum minimum pow atan2 fmod hypot logaddexp xlogy digamma sinc
log_sigmoid logit softplus leaky_relu elu selu gelu gelu_tanh silu mish hardtanh clamp where masked_fill""".split()
INPUTS = ["normal", "subnormal", "infinite", "nan", "underflow"]
WITH_GRADIENT = """tanh sigmoid sin log_sigmoid logit softplus leaky_relu elu selu gelu gelu_tanh silu mish hardtanh clamp
lgamma erfinv digamma sinc""".split()
MASKED = ["unmasked", "masked_inf", "masked_1e9", "masked_100"]


def function_over(run, benchmark):
    """Nanoseconds per element on one core, in the cache."""
    seconds, name = run.seconds(0.05), "functions." + benchmark
    return [against_torch(run, name, "ns", lambda: 1e9 / CACHED * ours("functions", benchmark, seconds, 1), name,
                          seconds, 1, lambda s: 1e9 / CACHED * s)]


def functions(run):
    for name in FUNCTIONS:
        for kind in INPUTS + ["gradient"] * (name in WITH_GRADIENT):
            yield [f"functions.{name}_{kind}"], partial(function_over, run, f"{name}_{kind}")
    for name in ["softmax", "log_softmax", "cross_entropy"]:
        for kind in MASKED:
            yield [f"functions.{name}_{kind}"], partial(function_over, run, f"{name}_{kind}")


def reduction(run):
    for name in ["sum", "max", "sum_rows", "sum_columns"]:
        yield ["reduction." + name], partial(bandwidth, run, "reduction", name, 1)


def softmax_row(run):
    """The time of log_softmax of 700 rows of 10,000 in units of the time of a copy of them, on one core."""
    torch, seconds = run.rivals.torch(), run.seconds(0.2)
    name = "log_softmax_10000"

    def measure():
        copy = ours("tensor_ops", "copy_700x10000", seconds, 1)
        return (ours("tensor_ops", name, seconds, 1) / copy,
                torch.ask("tensor_ops." + name, seconds, 1) / copy if torch else None)

    rounds = run.rounds([triad(1), fma(1)], measure)
    mine = rounds.median(lambda a, _: a)
    more = {"threads": 1, "dropped": rounds.dropped, "disturbed": rounds.disturbed}
    if torch is None:
        return [row("softmax." + name, "copies", mine, **more)]
    return [row("softmax." + name, "copies", mine, torch.label(1), rounds.median(lambda _, b: b),
                rounds.median(lambda a, b: b / a), **more)]


def softmax(run):
    yield ["softmax.log_softmax_10000"], partial(softmax_row, run)


# -- Products of matrices -------------------------------------------------------------------------------------

TRANSPOSES = ["nn.", "nt.", "tn.", "tt."]
GEMM_SHAPES = ([f"{n}x{n}x{n}" for n in [16, 64, 256, 512, 1024, 2048]] +
               [transpose + "700x650x10000" for transpose in TRANSPOSES] + ["nn.10000x650x700"] +
               ["packed." + shape for shape in ["20x200x800", "20x800x200", "32x256x1024", "32x1024x256",
                                                "20x650x2600", "20x2600x650"]] +
               ["f64." + shape for shape in ["64x64x64", "256x256x256", "512x512x512", "1024x1024x1024",
                                             "nn.700x650x10000", "nt.700x650x10000", "tn.700x650x10000",
                                             "nn.10000x88x3", "nn.3x88x10000"]])


def gemm_rows(run, shape, threads, name):
    mine, libraries, seconds = run.rivals.our_gemm(threads), run.rivals.blas(threads), run.seconds(0.1)
    bound = fma(threads)
    rounds = run.rounds([bound], lambda: [one.ask(shape, seconds) for one in [mine, *libraries]])
    speed, best = rounds.median(lambda *all: all[0]), run.probe.best[bound]
    m, n, k = map(int, shape.rsplit(".", 1)[-1].split("x"))
    wide = shape.startswith("f64.")
    if wide:
        best /= 2  # half as many numbers in a register
    more = {"threads": threads, "dropped": rounds.dropped, "disturbed": rounds.disturbed, "speed": speed,
            "speed_unit": "GFLOP/s", "bound": name_of(bound) + (", f64" if wide else ""), "peak": best,
            "share": speed / best, "flops": 2 * m * n * k, "bytes": (8 if wide else 4) * (m * k + k * n + m * n)}
    rows = [row(name, "GFLOP/s", speed, library.name, rounds.median(lambda *all: all[i]),
                rounds.median(lambda *all: all[0] / all[i]), **more)
            for i, library in enumerate(libraries, 1) if rounds.median(lambda *all: all[i]) > 0]
    return rows or [row(name, "GFLOP/s", speed, **more)]


def gemm(run):
    """Matrix products (m, k) by (k, n), with one thread and with all; a row for each rival.

    In rows named packed our right side was packed before, as a recurrent layer does once per sequence. The rivals have
    no such call and pack it each time.
    """
    for threads in THREADS:
        for shape in GEMM_SHAPES:
            name = f"gemm.{shape}" + (f".{threads}threads" if threads > 1 else "")
            yield [name], partial(gemm_rows, run, shape, threads, name)


# -- Language models ------------------------------------------------------------------------------------------

def train_row(run, benchmark, threads, name):
    size, kind = SIZES[benchmark.split("-")[0]], benchmark.split("-")[1]
    flops, seconds = sizes.train_flops(size, kind), run.seconds(1.0)
    return [against_torch(run, name, "tokens/s", lambda: ours("train", benchmark, seconds, threads),
                          "train." + benchmark, seconds, threads, lambda s: size.tokens / s, bound=fma(threads),
                          speed=lambda rate: rate * flops / size.tokens / 1e9, flops=flops,
                          bytes=sizes.train_bytes(size, kind))]


TRAINED = [f"{size}-{kind}" for size in ["char", "small", "medium"] for kind in KINDS] + ["large-lstm"]


def train(run):
    for benchmark in TRAINED:
        name = "train." + benchmark
        yield [name], partial(train_row, run, benchmark, CORES, name)
        if benchmark in ("char-lstm", "small-lstm", "medium-lstm") and CORES > 1:
            yield [name + ".1thread"], partial(train_row, run, benchmark, 1, name + ".1thread")


def gpt_row(run, benchmark, threads, name):
    """A training step of a transformer."""
    size, kind = sizes.TRANSFORMERS[benchmark.split("-")[0]], benchmark.split("-")[1]
    flops, seconds = sizes.transformer_flops(size, kind), run.seconds(1.0)
    return [against_torch(run, name, "tokens/s", lambda: ours("gpt", benchmark, seconds, threads), "gpt." + benchmark,
                          seconds, threads, lambda s: size.tokens / s, bound=fma(threads),
                          speed=lambda rate: rate * flops / size.tokens / 1e9, flops=flops)]


def gpt(run):
    for kind in ["gpt", "llama"]:
        for size in sizes.TRANSFORMERS:
            for threads in THREADS:
                name = f"gpt.{size}-{kind}" + ("" if threads == CORES else f".{threads}thread")
                yield [name], partial(gpt_row, run, f"{size}-{kind}", threads, name)


IN_BF16 = ["char-lstm", "small-lstm", "medium-lstm", "medium-gru", "medium-rnn", "large-lstm"]


def precision(run):
    """Training steps with products of bfloat16, beside PyTorch's under autocast."""
    for benchmark in IN_BF16:
        name = "precision." + benchmark
        yield [name], partial(train_row, run, benchmark + "-bf16", CORES, name)
    for size in sizes.TRANSFORMERS:
        name = f"precision.{size}-gpt"
        yield [name], partial(gpt_row, run, f"{size}-gpt-bf16", CORES, name)


def scaling_row(run, hidden, benchmark):
    """All threads beside one."""
    size, seconds = SIZES[benchmark.split("-")[0]], run.seconds(0.3 if hidden < 650 else 1.0)
    flops = sizes.train_flops(size, "lstm")
    return [run.compare(f"scaling.{hidden}", "tokens/s", lambda: ours("train", benchmark, seconds, CORES), "1 thread",
                        lambda: ours("train", benchmark, seconds, 1), bound=fma(CORES), rival_threads=1,
                        speed=lambda rate: rate * flops / size.tokens / 1e9)]


def scaling(run):
    """LSTMs of these widths over 1000 words, and train.medium-lstm."""
    for hidden in [16, 32, 64, 128, 256]:
        yield [f"scaling.{hidden}"], partial(scaling_row, run, hidden, f"h{hidden}-lstm")
    yield ["scaling.650"], partial(scaling_row, run, 650, "medium-lstm")


def ranks_row(run, name, benchmark, way):
    """Two processes of one thread each beside one process of two threads, which compute the same batch."""
    def rate(way, processes, threads):
        found = in_processes(processes, "step", benchmark, str(run.seconds(0.5)), threads=threads)
        return found["tokens"] / found[way]
    return [run.compare(name, "tokens/s", lambda: rate(way, 2, 1), "1 process, 2 threads",
                        lambda: rate("overlapped", 1, 2), bound=fma(2), rival_threads=2)]


def ranks(run):
    if not os.path.exists(program("ranks")):
        return  # built without MPI
    for benchmark in ["medium-lstm", "small-gpt"]:
        for name, way in [("", "overlapped"), ("-sharded", "sharded")]:
            yield [f"ranks.{benchmark}{name}"], partial(ranks_row, run, f"ranks.{benchmark}{name}", benchmark, way)


def cost_row(run, name, benchmark):
    """Microseconds per token of training."""
    size, seconds = SIZES[benchmark.split("-")[0]], run.seconds(0.3)
    flops = sizes.train_flops(size, "lstm") / size.tokens
    return [against_torch(run, name, "us", lambda: 1e6 / ours("train", benchmark, seconds, CORES),
                          "train." + benchmark, seconds, CORES, lambda s: 1e6 * s / size.tokens, bound=fma(CORES),
                          speed=lambda us: flops / us / 1e3, flops=flops)]


def cost(run):
    for hidden in sizes.HIDDEN[2:]:
        yield [f"cost.hidden-{hidden}"], partial(cost_row, run, f"cost.hidden-{hidden}", f"h{hidden}-lstm")
    for steps in sizes.STEPS:
        yield [f"cost.steps-{steps}"], partial(cost_row, run, f"cost.steps-{steps}", f"t{steps}-lstm")


def memory_row(run, benchmark):
    """The peak memory of a training run in a process of its own, measured once."""
    mine = float(subprocess.run([program("train"), "--memory", benchmark], stdout=subprocess.PIPE, check=True).stdout)
    torch, name = run.rivals.torch(), "memory." + benchmark
    if torch is None:
        return [row(name, "MB", mine)]
    theirs = torch.memory(benchmark, CORES)
    return [row(name, "MB", mine, torch.label(CORES), theirs, theirs / mine)]


def checkpointed_row(run, size):
    """The peak memory of training a transformer whose layers are computed again in backward."""
    def measured(option):
        return float(subprocess.run([program("gpt"), option, size], stdout=subprocess.PIPE, check=True).stdout)
    mine, kept = measured("--checkpointed-memory"), measured("--memory")
    return [row(f"memory.{size}-gpt-checkpointed", "MB", mine, "all kept", kept, kept / mine)]


def memory(run):
    for benchmark in TRAINED:
        yield ["memory." + benchmark], partial(memory_row, run, benchmark)
    for size in sizes.TRANSFORMERS:
        yield [f"memory.{size}-gpt-checkpointed"], partial(checkpointed_row, run, size)


def generate_rows(run, benchmark):
    """Generating token by token, and the bandwidth of memory that this uses."""
    seconds = run.seconds(0.5)
    megabytes = ours("generate", benchmark + "-bytes") / 1e6
    name = "generate." + benchmark
    tokens = against_torch(run, name, "tokens/s", lambda: ours("generate", benchmark, seconds), name, seconds, CORES,
                           lambda s: 1 / s, bound=read(CORES), speed=lambda rate: rate * megabytes / 1e3)
    # A second row for the speed at which the weights are read.
    more = {key: tokens[key] for key in ["threads", "dropped", "disturbed", "bound", "share", "speed", "speed_unit"]}
    return [tokens, row(name + "-bandwidth", "GB/s", tokens["speed"], tokens["bound"], tokens["peak"],
                        tokens["share"], **more)]


def quantized_row(run, benchmark, dtype):
    """The same with quantized weights, beside exact ones."""
    seconds, quantized = run.seconds(0.5), f"{benchmark}-{dtype}"
    megabytes = ours("generate", quantized + "-bytes") / 1e6
    return [run.compare("generate." + quantized, "tokens/s", lambda: ours("generate", quantized, seconds), "f32",
                        lambda: ours("generate", benchmark, seconds), bound=read(CORES),
                        speed=lambda rate: rate * megabytes / 1e3)]


def together_row(run, benchmark, texts):
    """So many texts that are written at once, beside one."""
    seconds, together = run.seconds(0.5), f"{benchmark}-x{texts}"
    return [run.compare("generate." + together, "tokens/s", lambda: ours("generate", together, seconds), "1 text",
                        lambda: ours("generate", benchmark + "-x1", seconds))]


def generate(run):
    for benchmark in ["medium-lstm", *(size + "-gpt" for size in sizes.TRANSFORMERS)]:
        name = "generate." + benchmark
        yield [name, name + "-bandwidth"], partial(generate_rows, run, benchmark)
        for dtype in ["i8", "bf16"]:
            yield [f"{name}-{dtype}"], partial(quantized_row, run, benchmark, dtype)
    for texts in [4, 16, 64]:
        yield [f"generate.small-gpt-x{texts}"], partial(together_row, run, "small-gpt", texts)


# -- Derivatives, layers, optimizers --------------------------------------------------------------------------

def transform_row(run, benchmark, unit):
    return timed(run, "transforms." + benchmark, unit, "transforms", benchmark, "transforms." + benchmark, 0.3, None,
                 bound=fma(1))


def hessian_products(run, model):
    """A gradient, a Hessian-vector product, and the ratio of their times."""
    gradient, product = transform_row(run, f"gradient_{model}", "us"), transform_row(run, f"hvp_{model}", "us")
    mine, theirs = (product[side] / gradient[side] if product[side] else None for side in ["ours", "theirs"])
    return [gradient, product, row(f"transforms.hvp_{model}_cost", "gradients", mine, product["rival"], theirs,
                                   theirs and theirs / mine)]


def transforms(run):
    for model in ["mlp", "lstm"]:
        names = [f"transforms.{row}" for row in [f"gradient_{model}", f"hvp_{model}", f"hvp_{model}_cost"]]
        yield names, partial(hessian_products, run, model)
    for benchmark in ["hessian", "jacobian", "descent", "nested"]:
        yield ["transforms." + benchmark], lambda: [transform_row(run, benchmark, "ms")]


SHAPES = """gather gather_gradient gather_rows_of_3 roll roll_short slices_gradient laplacian_gradient narrow_tt narrow_nn
products_of_32 products_of_4 products_of_4_gradient einsum_scores einsum_bilinear_gradient max_gradient
max_columns_gradient sum_of_products_gradient sum_of_squares_gradient
mean_of_squares_gradient sum_of_3 sum_to_3 sum_middle var_of_rows cumprod_columns
cumprod_columns_gradient softmax_gradient softmax_gradient_flushed elementwise_full elementwise_row
elementwise_column jvps_of_product mixture_jacobian grad_of_scalar jvp_of_scalar nested_jvp_of_scalar runge_kutta_gradient""".split()


def first_gradient(run):
    """The first gradient of a process, of a scalar."""
    def measured():
        return 1e6 * float(subprocess.run([program("shapes"), "--first"], stdout=subprocess.PIPE, check=True).stdout)
    return [run.compare("shapes.first_gradient", "us", measured, bound=fma(1))]


def shapes(run):
    """Small and odd shapes, f64, on one thread; bench/shapes.cpp says which."""
    yield ["shapes.first_gradient"], partial(first_gradient, run)
    for kind in SHAPES:
        yield ["shapes." + kind], lambda: [timed(run, "shapes." + kind, "us", "shapes", kind, "shapes." + kind, 0.2, 1,
                                                 bound=fma(1))]


LAYERS = """linear embedding dropout layer_norm rms_norm group_norm batch_norm conv1d conv2d conv_transpose2d max_pool2d
avg_pool2d adaptive_max_pool2d adaptive_avg_pool2d global_avg_pool2d lstm_projected lstm_bidirectional
min_gru min_gru_long""".split()
LOSSES = """cross_entropy cross_entropy_smoothed cross_entropy_soft nll kl_div adaptive_softmax mse l1 huber bce_with_logits
gaussian_nll cosine triplet margin ctc""".split()


def gradient_row(run, group, kind, **more):
    """Forward and backward."""
    return [timed(run, f"{group}.{kind}", "ms", group, kind, f"{group}.{kind}", 0.3, CORES, bound=fma(CORES), **more)]


def layers(run):
    """Single layers of width 650, batch 20, 35 steps; linear maps 650 to 10,000; those of images have 32 of 64 channels,
    28 by 28, or sequences as long."""
    for kind in KINDS + LAYERS:
        more = {}
        flops = {"linear": 6 * 700 * 650 * 10_000, "min_gru": 12 * 700 * 650 * 650, "min_gru_long": 12 * 1000 * 650 * 650,
                 "conv1d": 6 * 32 * 784 * 3 * 64 * 64,
                 "conv2d": 6 * 32 * 784 * 9 * 64 * 64, "conv_transpose2d": 6 * 32 * 196 * 16 * 64 * 64}.get(kind)
        flops = sizes.layer_flops(kind, 650, 650, 700) if kind in KINDS else flops
        if flops:
            more.update(flops=flops, speed=partial(lambda flops, ms: flops / ms / 1e6, flops))
        yield ["layers." + kind], partial(gradient_row, run, "layers", kind, **more)


# (batch, heads, time, width), as in bench/attention.cpp.
ATTENTION = {"64x32": (12, 4, 64, 32), "256x64": (16, 6, 256, 64), "1024x64": (4, 12, 1024, 64)}


def attention_row(run, benchmark, threads, name):
    """Attention, forward alone or with its gradients. Of the scores of a causal one half are counted; a gradient has
    five products, and two of the forward pass before."""
    batch, heads, time_, width = ATTENTION[benchmark.split("_")[0]]
    products = 2 if benchmark.endswith("forward") else 7
    flops = products * 2 * batch * heads * time_ * time_ * width / (2 if "causal" in benchmark else 1)
    return [timed(run, name, "ms", "attention", benchmark, "attention." + benchmark, 0.3, threads,
                  bound=fma(threads), flops=flops, speed=lambda ms: flops / ms / 1e6)]


def attention(run):
    for benchmark in [size + kind + part for size in ATTENTION for kind in ["", "_causal"]
                      for part in ["_forward", "_gradient"]]:
        for threads in THREADS:
            name = f"attention.{benchmark}" + ("" if threads == CORES else f".{threads}thread")
            yield [name], partial(attention_row, run, benchmark, threads, name)


def losses(run):
    """Losses, whose sizes bench/losses.cpp has."""
    for kind in LOSSES:
        yield ["losses." + kind], partial(gradient_row, run, "losses", kind)


# How many numbers of each parameter the rule keeps, as in bench/optimizer.cpp: they and the parameter are read and
# written, and the gradient is read twice.
OPTIMIZERS = {"sgd": 0, "sgd_momentum": 1, "asgd": 1, "adagrad": 1, "adadelta": 2, "rmsprop": 1, "adam": 2, "amsgrad": 3,
              "adamw": 2, "nadam": 2, "radam": 2, "adamax": 2, "adafactor": 0}


def optimizer_row(run, benchmark, threads, name):
    """Clipping and an optimizer's step over ten million parameters."""
    seconds, parameters = run.seconds(0.3), 1e7
    argument = f"{benchmark}/{1 if threads == 1 else 0}"
    return [against_torch(run, name, "ns", lambda: 1e9 * ours("optimizer", argument, seconds, None,
                                                              "seconds/parameter"),
                          "optimizer." + benchmark, seconds, threads, lambda s: 1e9 / parameters * s,
                          bound=triad(threads), speed=lambda ns: (16 + 8 * OPTIMIZERS[benchmark]) / ns)]


def lbfgs_row(run, threads, name):
    """A step of L-BFGS, of at most twenty iterations."""
    seconds, argument = run.seconds(0.3), f"lbfgs/{1 if threads == 1 else 0}"
    return [against_torch(run, name, "ms", lambda: 1e3 * ours("optimizer", argument, seconds), "optimizer.lbfgs",
                          seconds, threads, lambda s: 1e3 * s, bound=fma(threads))]


def optimizer(run):
    if not os.path.exists(program("optimizer")):
        return
    for benchmark in [*OPTIMIZERS, "lbfgs"]:
        row_of = lbfgs_row if benchmark == "lbfgs" else partial(optimizer_row, benchmark=benchmark)
        for threads in THREADS:
            name = f"optimizer.{benchmark}" + ("" if threads == CORES else f".{threads}thread")
            yield [name], partial(row_of, run, threads=threads, name=name)


def profile_rows(run, group, benchmark):
    """The shares of a training step's time, from samples of the stack of the thread that trains."""
    seconds, known = run.seconds(2.0), phases.symbols(program(group))

    def measure():
        done = subprocess.run([program(group), "--profile", benchmark, str(seconds)], stdout=subprocess.PIPE,
                              text=True, check=True)
        return tuple(phases.shares(done.stdout, *known).values())

    rounds = run.rounds([fma(CORES)], measure)
    more = {"threads": CORES, "dropped": rounds.dropped, "disturbed": rounds.disturbed}
    return [row(f"profile.{benchmark}.{phase}", "%", 100 * rounds.median(lambda *all: all[i]), **more)
            for i, phase in enumerate(phases.MEANING)]


def profile(run):
    for group, kind, models in [("train", "lstm", ["char", "small", "medium"]), ("gpt", "gpt", sizes.TRANSFORMERS)]:
        for size in models:
            names = [f"profile.{size}-{kind}.{phase}" for phase in phases.MEANING]
            yield names, partial(profile_rows, run, group, f"{size}-{kind}")


GROUPS = {"peak": peak, "tape": tape, "elementwise": elementwise, "functions": functions,
          "reduction": reduction, "softmax": softmax,
          "gemm": gemm, "layers": layers, "losses": losses, "attention": attention, "transforms": transforms,
          "shapes": shapes, "optimizer": optimizer, "train": train, "gpt": gpt, "precision": precision,
          "scaling": scaling, "ranks": ranks, "memory": memory, "generate": generate, "cost": cost, "profile": profile,
          "ngram": ngram}
