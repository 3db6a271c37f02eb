"""The sizes of the language models that are measured, the same as in bench/training.hpp and bench/gpt.cpp, and
the work they take."""
from dataclasses import dataclass

GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Size:
    vocab: int
    width: int  # of the embeddings
    hidden: int
    layers: int
    batch: int
    steps: int

    @property
    def tokens(self):
        return self.batch * self.steps

    def inputs(self):
        """The input widths of the layers."""
        return [self.width] + [self.hidden] * (self.layers - 1)


HIDDEN = [16, 32, 64, 128, 256, 512, 1024, 2048]
STEPS = [10, 30, 100, 300, 1000, 3000, 10_000]
SIZES = {
    "char": Size(96, 128, 256, 1, 32, 64),
    "small": Size(10_000, 200, 200, 2, 20, 20),
    "medium": Size(10_000, 650, 650, 2, 20, 35),
    "large": Size(10_000, 1500, 1500, 2, 20, 35),
    **{f"h{hidden}": Size(1000, hidden, hidden, 1, 20, 35) for hidden in HIDDEN},
    **{f"t{steps}": Size(1000, 64, 64, 1, 1, steps) for steps in STEPS},
}


def layer_flops(kind, width, hidden, tokens):
    """The operations of one recurrent layer, forward and backward; see train_flops."""
    return 6 * tokens * GATES[kind] * hidden * (width + hidden)


def train_flops(size, kind):
    """The floating-point operations of a training step, 2 for each multiply-add of its matrix products.

    For each token, a layer of g gates multiplies by g * hidden * (input + hidden) weights, and the head by hidden *
    vocab. Backward has two products as large, for the gradients of the inputs and of the weights, which makes
        2 * 3 * tokens * (sum over layers of g * hidden * (input + hidden) + hidden * vocab).
    This is the standard work, token by token. Doing less of it (projecting the table of symbols instead of the tokens;
    no product with the zeros before the first step) shows as speed.
    """
    layers = sum(layer_flops(kind, width, size.hidden, size.tokens) for width in size.inputs())
    return layers + 6 * size.tokens * size.hidden * size.vocab


def train_bytes(size, kind):
    """The bytes that a training step in f32 must move if the caches keep nothing from one op to the next.

    Each weight moves seven times: it is read forward and backward, its gradient is written, and read by clipping and by
    SGD, which also reads and writes the weight. Each activation (embeddings, gates, hidden states, logits) moves four
    times: it and its gradient are written and read.
    """
    gates = GATES[kind]
    weights = sum(gates * size.hidden * (width + size.hidden) for width in size.inputs()) + size.hidden * size.vocab
    activations = size.width + size.layers * (gates + 1) * size.hidden + size.vocab
    return 4 * (7 * weights + 4 * size.tokens * activations)


@dataclass(frozen=True)
class Transformer:
    vocab: int
    width: int
    heads: int
    layers: int
    batch: int
    context: int

    @property
    def tokens(self):
        return self.batch * self.context


TRANSFORMERS = {
    "char": Transformer(96, 128, 4, 4, 12, 64),
    "baby": Transformer(96, 384, 6, 6, 8, 256),
    "small": Transformer(10_000, 256, 4, 4, 16, 128),
    "gpt2": Transformer(50_257, 768, 12, 12, 4, 64),
}


def transformer_flops(size, kind):
    """The floating-point operations of a training step, 2 for each multiply-add of its matrix products, and twice as many
    for the two gradients of each: of a token, each weight's (4 width^2 of attention and 8 width^2 of what follows it in each
    layer, and the output's), and the products of attention with the tokens before it, half of the context on average."""
    inner = 2 * 4 * size.width if kind == "gpt" else 3 * (size.width * 8 // 3)
    layer = size.width * (4 * size.width + inner) + 2 * size.width * (size.context / 2)
    return 6 * size.tokens * (size.layers * layer + size.vocab * size.width)
