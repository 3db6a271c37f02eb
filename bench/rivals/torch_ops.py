"""The PyTorch counterparts of bench/tensor_ops.cpp, bench/functions.cpp and bench/attention.cpp: functions of a benchmark's
name that return the function to time. Where PyTorch has several ways, the fastest is taken."""
import time
from functools import partial

import torch


def fastest(ways):
    """The fastest of those of several ways that work."""
    times = []
    for way in ways:
        try:
            way()
        except (RuntimeError, TypeError):  # TypeError: the version does not have an argument
            continue
        start = time.perf_counter()
        way()
        times.append((time.perf_counter() - start, way))
    return min(times, key=lambda pair: pair[0])[1]


def tensor_ops(name):
    """Elementwise functions and copies write to existing memory, since new memory would be cleared in each call."""
    if name in ("log_softmax_10000", "copy_700x10000"):
        x = torch.randn(700, 10_000)
    elif name in ("tanh", "sigmoid", "exp"):
        x = torch.randn(16_384)
    else:
        x = torch.randn(8192, 4096)
    y = torch.empty_like(x)
    if name.startswith("copy"):
        return lambda: y.copy_(x)
    if name == "add_past_cache":
        other = torch.ones_like(x)
        return lambda: torch.add(x, other, out=y)
    if name == "log_softmax_10000":
        # In some versions writing to y makes another copy, and a new result is cleared first.
        return fastest([lambda: torch.log_softmax(x, -1), lambda: torch._log_softmax(x, -1, False, out=y)])
    if name == "max":
        return fastest([x.max, x.amax])
    reductions = {"sum": x.sum, "sum_rows": lambda: x.sum(1), "sum_columns": lambda: x.sum(0)}
    if name in reductions:
        return reductions[name]
    function = getattr(torch, name.replace("_past_cache", ""))
    return lambda: function(x, out=y)


def functions(name):
    """FUNCTION_INPUT, as in bench/functions.cpp; what has another name or form in PyTorch stands in `more`."""
    name, _, kind = name.rpartition("_")
    normal, other = torch.randn(16_384), torch.randn(16_384)
    if kind in ("unmasked", "inf", "1e9", "100"):
        return masked(name.replace("_masked", ""), normal.view(-1, 512), None if kind == "unmasked" else -float(kind))
    x = {"gradient": normal.requires_grad_(), "normal": normal, "subnormal": normal * 1e-40, "infinite": torch.full_like(normal, float("inf")),
         "nan": torch.full_like(normal, float("nan")), "underflow": normal - 1e4}[kind]
    nn, mask = torch.nn.functional, other > 0

    def timed(function):
        if kind != "gradient":
            return lambda: function(x)
        return lambda: torch.autograd.grad(function(x).sum(), x)

    more = {"gelu_tanh": lambda v: nn.gelu(v, approximate="tanh"), "log_sigmoid": nn.logsigmoid,
            "log1p_exp": lambda v: nn.softplus(v), "normal_cdf": torch.special.ndtr, "clamp": lambda v: v.clamp(-1, 1),
            "where": lambda v: torch.where(mask, v, other), "masked_fill": lambda v: v.masked_fill(mask, 0),
            "cube": lambda v: v ** 3, "round": torch.round, "fmod": lambda v: torch.fmod(v, other)}
    if name in more:
        return timed(more[name])
    if name in ("softplus", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hardtanh"):
        return timed(getattr(nn, name))
    function = getattr(torch, {"equal": "eq"}.get(name, name))
    if name in TWO_OPERANDS:
        return lambda: function(x, other)
    return timed(function)


def masked(name, x, number):
    """A softmax of rows, or cross_entropy and its gradient, half of the logits masked with a number."""
    if number is not None:
        x = x.masked_fill(torch.rand_like(x) < 0.5, number)
    if name != "cross_entropy":
        return lambda: getattr(torch, name)(x, -1)
    logits, targets = x.requires_grad_(), torch.zeros(len(x), dtype=torch.long)
    return lambda: torch.autograd.grad(torch.nn.functional.cross_entropy(logits, targets), logits)


TWO_OPERANDS = ("add", "sub", "mul", "div", "maximum", "minimum", "pow", "atan2", "fmod", "hypot", "logaddexp", "xlogy")


ATTENTION = {"64x32": (12, 4, 64, 32), "256x64": (16, 6, 256, 64), "1024x64": (4, 12, 1024, 64)}


def attention(name):
    """SIZE[_causal]_forward or _gradient, as in bench/attention.cpp."""
    size, *causal, part = name.split("_")
    q, k, v = (torch.randn(ATTENTION[size], requires_grad=True) for _ in range(3))
    time_, width = q.shape[2:]
    hidden = torch.full((time_, time_), -float("inf")).triu(1)

    def by_ops():
        scores = q @ k.transpose(-2, -1) / width ** 0.5
        return torch.softmax(scores + hidden if causal else scores, -1) @ v

    ways = [by_ops]
    if hasattr(torch.nn.functional, "scaled_dot_product_attention"):  # from PyTorch 2.0 on
        ways.append(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=bool(causal)))
    if part == "gradient":
        return fastest([partial(lambda way: torch.autograd.grad(way().sum(), (q, k, v)), way) for way in ways])
    return fastest([torch.no_grad()(way) for way in ways])


PREPARE = {"tensor_ops": tensor_ops, "functions": functions, "attention": attention}
