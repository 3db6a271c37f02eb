"""The PyTorch counterparts of bench/layers.cpp, bench/losses.cpp and bench/optimizer.cpp: functions of a benchmark's name
that return the function to time. Where PyTorch has several ways, the fastest is taken."""
import math

import torch
from torch import nn

from torch_ops import fastest


def gradient(inputs, f, layer=None):
    """A call of f, times a fixed tensor and summed unless it is a loss, and the gradients of the inputs and of the
    layer's parameters. The gradient of a sum alone would be one number, of which PyTorch makes no tensor. The rows of
    a sparse gradient are merged, as ours are, and as clipping and every rule but SGD merge them."""
    leaves = [*inputs, *(layer.parameters() if layer else [])]
    direction = torch.randn_like(f(*inputs))

    def call():
        for leaf in leaves:
            leaf.grad = None
        y = f(*inputs)
        ((y * direction).sum() if y.dim() else y).backward()
        for leaf in leaves:
            if leaf.grad is not None and leaf.grad.is_sparse:
                leaf.grad.coalesce()

    return call


def normal(*shape):
    return torch.randn(*shape, requires_grad=True)


# -- Layers ---------------------------------------------------------------------------------------------------

def rms_norm(width=650):
    """RMSNorm, which torch.nn has from PyTorch 2.4 on."""
    if hasattr(nn, "RMSNorm"):
        return nn.RMSNorm(width)

    class RmsNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))

        def forward(self, x):
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight

    return RmsNorm()


class MinGru(nn.Module):
    """Feng et al. 2024 with positive candidates: step by step, or as appendix B.2 has it, by sums of logarithms."""

    def __init__(self, parallel):
        super().__init__()
        self.linear_z, self.linear_h, self.parallel = nn.Linear(650, 650), nn.Linear(650, 650), parallel

    def forward(self, x):
        k, v = self.linear_z(x), self.linear_h(x)
        if self.parallel:
            softplus = nn.functional.softplus
            logs = torch.where(v >= 0, (v.relu() + 0.5).log(), -softplus(-v)) - softplus(-k)
            factors = (-softplus(k)).cumsum(0)
            return (factors + (logs - factors).logcumsumexp(0)).exp()
        z, v = torch.sigmoid(k), torch.where(v >= 0, v + 0.5, torch.sigmoid(v))
        a, b = (1 - z).unbind(0), (z * v).unbind(0)
        h, out = torch.zeros_like(b[0]), []
        for factor, term in zip(a, b):
            h = torch.addcmul(term, factor, h)
            out.append(h)
        return torch.stack(out)


VECTORS, IMAGES = (35, 20, 650), (32, 64, 28, 28)
LAYERS = {
    "lstm": (VECTORS, lambda: nn.LSTM(650, 650)),
    "lstm_projected": (VECTORS, lambda: nn.LSTM(650, 650, proj_size=320)),
    "lstm_bidirectional": (VECTORS, lambda: nn.LSTM(650, 325, bidirectional=True)),
    "gru": (VECTORS, lambda: nn.GRU(650, 650)),
    "rnn": (VECTORS, lambda: nn.RNN(650, 650)),
    "linear": (VECTORS, lambda: nn.Linear(650, 10_000)),
    "dropout": (VECTORS, nn.Dropout),
    "layer_norm": (VECTORS, lambda: nn.LayerNorm(650)),
    "rms_norm": (VECTORS, rms_norm),
    "group_norm": (IMAGES, lambda: nn.GroupNorm(8, 64)),
    "batch_norm": (IMAGES, lambda: nn.BatchNorm2d(64)),
    "conv1d": ((32, 64, 784), lambda: nn.Conv1d(64, 64, 3, padding=1)),
    "conv2d": (IMAGES, lambda: nn.Conv2d(64, 64, 3, padding=1)),
    "conv_transpose2d": ((32, 64, 14, 14), lambda: nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1)),
    "max_pool2d": (IMAGES, lambda: nn.MaxPool2d(2)),
    "avg_pool2d": (IMAGES, lambda: nn.AvgPool2d(2)),
    "adaptive_max_pool2d": (IMAGES, lambda: nn.AdaptiveMaxPool2d(7)),
    "adaptive_avg_pool2d": (IMAGES, lambda: nn.AdaptiveAvgPool2d(7)),
    "global_avg_pool2d": (IMAGES, lambda: nn.AdaptiveAvgPool2d(1)),
}


def layers(name):
    if name == "embedding":
        ids = torch.randint(10_000, (35, 20))
        of = [nn.Embedding(10_000, 650, sparse=sparse) for sparse in [False, True]]
        return fastest([gradient([], lambda layer=layer: layer(ids), layer) for layer in of])
    if name.startswith("min_gru"):
        x = normal(*((1000, 1, 650) if name.endswith("long") else VECTORS))
        of = [MinGru(parallel) for parallel in [False, True]]
        return fastest([gradient([x], layer, layer) for layer in of])
    shape, make = LAYERS[name]
    layer = make()
    recurrent = isinstance(layer, nn.RNNBase)
    return gradient([normal(*shape)], (lambda x: layer(x)[0]) if recurrent else layer, layer)


# -- Losses ---------------------------------------------------------------------------------------------------

def of_words(loss, logs=False, soft=False):
    """A loss of 700 rows of logits, or of log-probabilities, of 10,000 words."""
    x, y = torch.randn(700, 10_000), torch.randint(10_000, (700,))
    x = (x.log_softmax(-1) if logs else x).requires_grad_()
    y = torch.randn(700, 10_000).softmax(-1) if soft else y
    return gradient([x], lambda x: loss(x, y))


def of_images(loss):
    y = torch.rand(256, 784)
    return gradient([normal(256, 784)], lambda x: loss(x, y))


def gaussian_nll():
    y, variance = torch.rand(256, 784), (0.5 + 1.5 * torch.rand(256, 784)).requires_grad_()
    return gradient([normal(256, 784), variance], lambda x, v: nn.functional.gaussian_nll_loss(x, y, v))


def labels(count):
    return torch.where(torch.rand(count) < 0.5, -1.0, 1.0)


def of_pairs(loss, *shape):
    label = labels(shape[0])
    return gradient([normal(*shape), normal(*shape)], lambda x, y: loss(x, y, label))


def ctc():
    x = torch.randn(200, 16, 32).log_softmax(-1).requires_grad_()
    y, of_x, of_y = torch.randint(1, 32, (16, 40)), torch.full((16,), 200), torch.full((16,), 40)
    return gradient([x], lambda x: nn.functional.ctc_loss(x, y, of_x, of_y))


def adaptive_softmax():
    """Word r is about as frequent as 1 / r."""
    layer = nn.AdaptiveLogSoftmaxWithLoss(650, 50_000, [2000, 10_000])
    y = torch.exp(torch.rand(700) * math.log(50_000)).long() - 1
    return gradient([normal(700, 650)], lambda x: layer(x, y).loss, layer)


LOSSES = {
    "cross_entropy": lambda: of_words(nn.functional.cross_entropy),
    "cross_entropy_smoothed": lambda: of_words(nn.CrossEntropyLoss(label_smoothing=0.1)),
    "cross_entropy_soft": lambda: of_words(nn.functional.cross_entropy, soft=True),
    "nll": lambda: of_words(nn.functional.nll_loss, logs=True),
    "kl_div": lambda: of_words(nn.KLDivLoss(reduction="batchmean"), logs=True, soft=True),
    "adaptive_softmax": adaptive_softmax,
    "mse": lambda: of_images(nn.functional.mse_loss),
    "l1": lambda: of_images(nn.functional.l1_loss),
    "huber": lambda: of_images(nn.functional.huber_loss),
    "bce_with_logits": lambda: of_images(nn.functional.binary_cross_entropy_with_logits),
    "gaussian_nll": gaussian_nll,
    "cosine": lambda: of_pairs(nn.functional.cosine_embedding_loss, 1024, 256),
    "triplet": lambda: gradient([normal(1024, 256) for _ in range(3)], nn.functional.triplet_margin_loss),
    "margin": lambda: of_pairs(nn.MarginRankingLoss(0.1), 65_536),
    "ctc": ctc,
}


def losses(name):
    return LOSSES[name]()


# -- Optimizers -----------------------------------------------------------------------------------------------

RULES = {"sgd": ("SGD", {"lr": 1e-3}), "sgd_momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}), "asgd": ("ASGD", {}),
         "adagrad": ("Adagrad", {}), "adadelta": ("Adadelta", {}), "rmsprop": ("RMSprop", {}), "adam": ("Adam", {}),
         "amsgrad": ("Adam", {"amsgrad": True}), "adamw": ("AdamW", {}), "nadam": ("NAdam", {}),
         "radam": ("RAdam", {}), "adamax": ("Adamax", {}), "adafactor": ("Adafactor", {})}


def optimizer(name):
    """Clipping and a step over ten matrices of a million parameters."""
    if name == "lbfgs":
        return lbfgs()
    parameters = [normal(1000, 1000) for _ in range(10)]
    for parameter in parameters:
        parameter.grad = torch.randn(1000, 1000)
    rule, options = RULES[name]

    def stepping(**form):
        made = None

        def call():
            nonlocal made
            made = made or getattr(torch.optim, rule)(parameters, **options, **form)
            nn.utils.clip_grad_norm_(parameters, 0.25)
            made.step()

        return call

    return fastest([stepping(foreach=False), stepping(foreach=True), stepping(fused=True)])


def lbfgs():
    """A step from 0, of twenty iterations at most, of a logistic regression whose data are formulas."""
    i = torch.arange(1, 1001, dtype=torch.float64)
    x = torch.sin(i[:, None] * torch.arange(1, 65)).float()
    y, w = (torch.sin(1.7 * i) > 0).float(), torch.zeros(64, requires_grad=True)

    def call():
        with torch.no_grad():
            w.zero_()
        rule = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")

        def closure():
            w.grad = None
            loss = nn.functional.binary_cross_entropy_with_logits(x @ w, y) + 1e-3 * w.square().sum()
            loss.backward()
            return loss

        rule.step(closure)

    return call


PREPARE = {"layers": layers, "losses": losses, "optimizer": optimizer}
