"""The PyTorch counterparts of bench/gpt.cpp: functions of a name such as baby-gpt that return the function to time.

As fast as PyTorch's own parts make it: queries, keys and values in one product, its fused attention and norms, AdamW over
all parameters at once.
"""
import os
import sys

import torch
from torch.nn import functional

sys.path.insert(1, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from sizes import TRANSFORMERS  # noqa: E402
from torch_layers import rms_norm  # noqa: E402


class Gpt:
    """The modules of GPT-2."""
    norm, bias = torch.nn.LayerNorm, True

    @staticmethod
    def positions(size):
        return torch.nn.Embedding(size.context, size.width)

    @staticmethod
    def turned(x, angles):
        return x

    class Mlp(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

        def forward(self, x):
            return self.down(functional.gelu(self.up(x), approximate="tanh"))


class Llama:
    """The modules of Llama."""
    norm, bias = staticmethod(rms_norm), False

    @staticmethod
    def positions(size):
        return None

    @staticmethod
    def turned(x, angles):
        """Rotary positions of x, (batch, heads, time, width of a head)."""
        first, second = x.chunk(2, -1)
        cos, sin = angles
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    class Mlp(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            inner = width * 8 // 3
            self.gate, self.up = (torch.nn.Linear(width, inner, bias=False) for _ in range(2))
            self.down = torch.nn.Linear(inner, width, bias=False)

        def forward(self, x):
            return self.down(functional.silu(self.gate(x)) * self.up(x))


class Block(torch.nn.Module):
    def __init__(self, kind, size):
        super().__init__()
        self.kind, self.heads, width = kind, size.heads, size.width
        self.before_attention, self.before_mlp = kind.norm(width), kind.norm(width)
        self.attend = torch.nn.Linear(width, 3 * width, bias=kind.bias)
        self.join = torch.nn.Linear(width, width, bias=kind.bias)
        self.mlp = kind.Mlp(width)

    def forward(self, x, angles):
        packed = self.attend(self.before_attention(x)).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = packed.permute(2, 0, 3, 1, 4)  # (batch, heads, time, width of a head)
        queries, keys = self.kind.turned(queries, angles), self.kind.turned(keys, angles)
        seen = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))


class Model(torch.nn.Module):
    def __init__(self, kind, size):
        super().__init__()
        self.tokens, self.positions = torch.nn.Embedding(size.vocab, size.width), kind.positions(size)
        self.blocks = torch.nn.ModuleList(Block(kind, size) for _ in range(size.layers))
        self.last = kind.norm(size.width)
        for table in filter(None, [self.tokens, self.positions]):
            torch.nn.init.normal_(table.weight, std=0.02)
        half = size.width // size.heads // 2
        angles = torch.outer(torch.arange(size.context), 10_000.0 ** (-torch.arange(half) / half))
        self.angles = angles.cos(), angles.sin()

    def forward(self, x):
        h = self.tokens(x)
        if self.positions is not None:
            h = h + self.positions.weight
        for block in self.blocks:
            h = block(h, self.angles)
        return functional.linear(self.last(h), self.tokens.weight)


def training(name):
    """One training step."""
    config, kind = name.split("-")[:2]
    in_bf16 = name.endswith("-bf16")
    size = TRANSFORMERS[config]
    torch.manual_seed(1)
    model = Model({"gpt": Gpt, "llama": Llama}[kind], size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x = torch.randint(size.vocab, (size.batch, size.context))
    y = torch.randint(size.vocab, (size.tokens,))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            logits = model(x)
        functional.cross_entropy(logits.flatten(0, 1).float(), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step
