"""The PyTorch counterparts of bench/transforms.cpp: functions that return the function to time.

Where PyTorch has several ways (jacobians and hessians by a loop or by vmap), the fastest is taken.
"""
import torch
from torch.autograd import functional
from torch_ops import fastest


def mlp():
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.Tanh(), torch.nn.Linear(128, 128), torch.nn.Tanh(),
                                torch.nn.Linear(128, 10))
    x, y = torch.randn(64, 64), torch.randint(10, (64,))
    return list(model.parameters()), lambda: torch.nn.functional.cross_entropy(model(x), y)


def lstm():
    layer, head = torch.nn.LSTM(32, 64), torch.nn.Linear(64, 10)
    x, y = torch.randn(16, 8, 32), torch.randint(10, (128,))
    parameters = [*layer.parameters(), *head.parameters()]
    return parameters, lambda: torch.nn.functional.cross_entropy(head(layer(x)[0].flatten(0, 1)), y)


def gradient(model):
    parameters, loss = model()
    return lambda: torch.autograd.grad(loss(), parameters)


def hvp(model):
    parameters, loss = model()
    vs = [torch.randn_like(p) for p in parameters]

    def product():
        gradients = torch.autograd.grad(loss(), parameters, create_graph=True)
        return torch.autograd.grad(gradients, parameters, vs)

    return product


def hessian():
    x, y, w = torch.randn(500, 100), torch.randn(500).sign(), torch.randn(100)

    def loss(at):
        return torch.log1p(torch.exp(-(y * (x @ at)))).mean()

    return fastest([lambda: functional.hessian(loss, w), lambda: functional.hessian(loss, w, vectorize=True),
                    lambda: functional.hessian(loss, w, vectorize=True, outer_jacobian_strategy="forward-mode")])


def jacobian():
    a, x = torch.randn(3000, 28), torch.randn(28)

    def f(at):
        return torch.tanh(a @ at)

    return fastest([lambda: functional.jacobian(f, x, vectorize=True),
                    lambda: functional.jacobian(f, x, vectorize=True, strategy="forward-mode")])


def descent():
    a, c, start = torch.tensor([0.5, 1, 2]), torch.tensor([1.0, -1, 3]), torch.tensor([4.0, 4, 4], requires_grad=True)

    def loss(w):
        return (a * (w - c).square()).sum()

    def trained():
        w = start
        for _ in range(1000):
            w = w - 1e-3 * torch.autograd.grad(loss(w), w, create_graph=True)[0]
        return torch.autograd.grad(loss(w), start)

    return trained


def nested():
    def inner(x):
        def f(y):
            return (x.square() * 0.5 + x * y * 1.5 - y.square() * 0.5).sum()

        y = torch.zeros(4, requires_grad=True)
        for _ in range(50):
            y = y + 0.2 * torch.autograd.grad(f(y), y, create_graph=True)[0]
        return f(y)

    def minimum():
        x = torch.tensor([2, -1, 0.5, 3], requires_grad=True)
        for _ in range(20):
            slope = torch.autograd.grad(inner(x), x)[0]
            x = (x - 0.1 * slope).detach().requires_grad_()
        return x

    return minimum


PREPARE = {
    "gradient_mlp": lambda: gradient(mlp), "hvp_mlp": lambda: hvp(mlp),
    "gradient_lstm": lambda: gradient(lstm), "hvp_lstm": lambda: hvp(lstm),
    "hessian": hessian, "jacobian": jacobian, "descent": descent, "nested": nested,
}


def prepare(name):
    return PREPARE[name]()
