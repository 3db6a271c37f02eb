"""The PyTorch counterparts of bench/generate.cpp: functions of a name such as gpt2-gpt that return a function which generates
one token, batch 1, and gives it back to the next call.

As fast as PyTorch's own parts make it: keys and values are written into buffers of the whole context, queries, keys and
values are one product, attention and norms are its fused ones, and nothing is recorded.
"""
import torch
import torch_train
from sizes import TRANSFORMERS
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """A block of GPT-2 which reads one part of a text after the other."""

    def __init__(self, size):
        super().__init__()
        self.heads, width = size.heads, size.width
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        # (keys and values, batch, heads, context, width of a head)
        self.cache = torch.zeros(2, 1, size.heads, size.context, width // size.heads)

    def forward(self, x, position):
        end = position + x.shape[1]
        parts = self.project(self.first_norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        self.cache[:, :, :, position:end] = parts[1:]
        keys, values = self.cache[:, :, :, :end]
        seen = functional.scaled_dot_product_attention(parts[0], keys, values, is_causal=position == 0)
        x = x + self.join(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.second_norm(x)), approximate="tanh"))


class Reader(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(size.vocab, size.width), nn.Embedding(size.context, size.width)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, ids, position):
        x = self.tokens(ids) + self.positions.weight[position:position + ids.shape[1]]
        for layer in self.layers:
            x = layer(x, position)
        return functional.linear(self.norm(x[:, -1]), self.tokens.weight).argmax(-1, keepdim=True)


def generating(name):
    """Generating a token."""
    if name.endswith("-lstm"):
        return torch_train.generating(name)
    size = TRANSFORMERS[name.removesuffix("-gpt")]
    torch.manual_seed(1)
    model = Reader(size).eval()
    half = size.context // 2
    position, token = size.context, None

    def step():
        nonlocal position, token
        with torch.inference_mode():
            if position == size.context:
                position, token = half, model(torch.ones(1, half, dtype=torch.long), 0)
            token = model(token, position)
            position += 1
            return token.item()

    return step
