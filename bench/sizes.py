"""The sizes of the language models that are measured, here and in bench/train.cpp, and what work they are."""
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
    """Of one recurrent layer, forward and backward; see train_flops."""
    return 6 * tokens * GATES[kind] * hidden * (width + hidden)


def train_flops(size, kind):
    """The floating-point operations of a training step, 2 for each multiply-add of its products of matrices.

    A layer of g gates multiplies g * hidden * (input + hidden) weights with each token, the head hidden * vocab.
    Backward has two products as large, for the gradients of the inputs and of the weights: so
        2 * 3 * tokens * (sum over layers of g * hidden * (input + hidden) + hidden * vocab).
    This is the standard work, done token by token. Who does less of it (a table of the projected symbols, for the
    characters; no product with the zeros before the first step) is faster by that, which the figure shows.
    """
    layers = sum(layer_flops(kind, width, size.hidden, size.tokens) for width in size.inputs())
    return layers + 6 * size.tokens * size.hidden * size.vocab


def train_bytes(size, kind):
    """The bytes that a training step must move if the caches keep nothing from one op to the next, in f32.

    Each weight seven times: read forward and backward, its gradient written, read by the clipping and by SGD, the
    weight read and written by SGD. Each activation four times (written and read, it and its gradient): the
    embeddings, the gates, the hidden states, the logits.
    """
    gates = GATES[kind]
    weights = sum(gates * size.hidden * (width + size.hidden) for width in size.inputs()) + size.hidden * size.vocab
    activations = size.width + size.layers * (gates + 1) * size.hidden + size.vocab
    return 4 * (7 * weights + 4 * size.tokens * activations)
