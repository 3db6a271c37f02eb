"""The PyTorch counterparts of bench/shapes.cpp: functions that return the function to time. Where PyTorch has several
ways, the fastest is taken."""
import torch

from torch_ops import fastest


def normal(*shape, mean=0, deviation=1):
    return mean + deviation * torch.randn(*shape, dtype=torch.float64)


def with_gradient(f, *xs):
    """A call of f, which has one element or is multiplied by a fixed tensor and summed, and the gradients."""
    xs = [x.requires_grad_() for x in xs]
    direction = torch.randn_like(f(*xs))

    def call():
        y = f(*xs)
        return torch.autograd.grad((y * direction).sum() if y.dim() else y, xs)

    return call


# -- Moving numbers about -------------------------------------------------------------------------------------

def gather():
    x, ids = normal(10_000), torch.randint(10_000, (1_000_000,))
    short = ids.int()
    return fastest([lambda: x[ids], lambda: x[short], lambda: x.index_select(0, ids), lambda: x.index_select(0, short),
                    lambda: x.take(ids)])


def gather_gradient():
    ids = torch.randint(10_000, (1_000_000,))
    return fastest([with_gradient(lambda x: x[ids], normal(10_000)),
                    with_gradient(lambda x: x.index_select(0, ids), normal(10_000)),
                    with_gradient(lambda x: x.index_select(0, ids.int()), normal(10_000)),
                    with_gradient(lambda x: x.take(ids), normal(10_000))])


def gather_rows_of_3():
    x, ids = normal(10_000, 3), torch.randint(10_000, (300_000,))
    short = ids.int()
    return fastest([lambda: x[ids], lambda: x.index_select(0, ids), lambda: x.index_select(0, short)])


def rolled(*shape):
    x = normal(*shape)
    return fastest([lambda: x.roll(1, 1), lambda: torch.cat([x[:, -1:], x[:, :-1]], 1)])


def slices_gradient():
    return fastest([with_gradient(lambda x: (x[1:] - x[:-1]).square().sum(), normal(1_000_000)),
                    with_gradient(lambda x: x.diff().square().sum(), normal(1_000_000))])


def laplacian_gradient():
    return with_gradient(lambda x: (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1])
                         .square().sum(), normal(1000, 1000))


# -- Products -------------------------------------------------------------------------------------------------

def product(a, b):
    return lambda: a @ b


def einsum_scores():
    q, k = normal(16, 64, 8, 32), normal(16, 64, 8, 32)
    return lambda: torch.einsum("bqhd,bkhd->bhqk", q, k)


def einsum_bilinear_gradient():
    xs = normal(256, 32), normal(16, 32, 32), normal(256, 32)
    return fastest([with_gradient(lambda x, w, y: torch.einsum("bi,oij,bj->bo", x, w, y), *xs),
                    with_gradient(lambda x, w, y: torch.nn.functional.bilinear(x, y, w), *xs)])


# -- Reductions -----------------------------------------------------------------------------------------------

def maximum(axis, *shape):
    return fastest([with_gradient(lambda x: x.amax(axis), normal(*shape)),
                    with_gradient(lambda x: x.max(axis).values, normal(*shape))])


def sum_of_products_gradient():
    xs = normal(100_000, 10), normal(100_000, 10)
    return fastest([with_gradient(lambda x, y: (x * y).sum(-1), *xs), with_gradient(torch.linalg.vecdot, *xs)])


def cumprod_gradient():
    return with_gradient(lambda x: x.cumprod(0), normal(1000, 1000, mean=1, deviation=0.01))


def plain(x, f):
    return lambda: f(x)


# -- Functions of elements ------------------------------------------------------------------------------------

def blend(*shape):
    x, y = normal(1000, 1000), normal(*shape)
    return lambda: x * (x + y).sigmoid()


# -- Derivatives ----------------------------------------------------------------------------------------------

def jvps_of_product():
    a, x, tangents = normal(88, 10_000), normal(88), normal(28, 88)
    def f(at):
        return at @ a
    return lambda: torch.func.vmap(lambda t: torch.func.jvp(f, (x,), (t,))[1])(tangents)


def mixture_jacobian():
    x = normal(10_000, 1, deviation=20)
    p = torch.cat([torch.zeros(10), 20 * torch.randn(10), torch.full((10,), 0.8)]).double()

    def f(p):
        weight, mean, scale = p[:10].log_softmax(0), p[10:20], p[20:]
        return torch.logsumexp(weight - scale.log() - 0.5 * ((x - mean) / scale).square(), 1)

    return fastest([lambda: torch.func.jacfwd(f)(p), lambda: torch.autograd.functional.jacobian(
        f, p, vectorize=True, strategy="forward-mode")])


def softmax_gradient():
    return with_gradient(lambda x: x.softmax(-1), normal(1000, 200, deviation=350))


def softmax_gradient_flushed():
    call = softmax_gradient()

    def flushed():
        torch.set_flush_denormal(True)
        call()
        torch.set_flush_denormal(False)

    return flushed


def scalar_function(x):
    return x.sin() * x


def grad_of_scalar():
    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    return fastest([lambda: torch.autograd.grad(scalar_function(x), x), lambda: torch.func.grad(scalar_function)(x)])


def jvp_of_scalar():
    x, one = torch.tensor(0.7, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    return lambda: torch.func.jvp(scalar_function, (x,), (one,))


def nested_jvp_of_scalar():
    x, one = torch.tensor(0.7, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    return lambda: torch.func.jvp(lambda x: torch.func.jvp(scalar_function, (x,), (one,))[1], (x,), (one,))


def runge_kutta_gradient():
    def f(y, rate):
        h = 0.01

        def slope(at):
            return rate * at * (1 - at)

        for _ in range(100):
            k1 = slope(y)
            k2 = slope(y + h / 2 * k1)
            k3 = slope(y + h / 2 * k2)
            k4 = slope(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    return with_gradient(f, normal(1000, mean=0.5, deviation=0.1), normal(1000, mean=1, deviation=0.1))


SHAPES = {
    "gather": gather, "gather_gradient": gather_gradient, "gather_rows_of_3": gather_rows_of_3,
    "roll": lambda: rolled(1000, 1000), "roll_short": lambda: rolled(100_000, 10),
    "slices_gradient": slices_gradient, "laplacian_gradient": laplacian_gradient,
    "narrow_tt": lambda: product(normal(88, 10_000).T, normal(3, 88).T),
    "narrow_nn": lambda: product(normal(3, 88), normal(88, 10_000)),
    "products_of_32": lambda: product(normal(256, 32, 32), normal(256, 32, 32)),
    "products_of_4": lambda: product(normal(10_000, 4, 4), normal(10_000, 4, 4)),
    "products_of_4_gradient": lambda: with_gradient(torch.matmul, normal(10_000, 4, 4), normal(10_000, 4, 4)),
    "einsum_scores": einsum_scores, "einsum_bilinear_gradient": einsum_bilinear_gradient,
    "max_gradient": lambda: maximum(1, 1280, 1000), "max_columns_gradient": lambda: maximum(0, 1000, 1280),
    "sum_of_products_gradient": sum_of_products_gradient,
    "sum_of_squares_gradient": lambda: with_gradient(lambda x: x.square().sum(-1), normal(1000, 1000)),
    "mean_of_squares_gradient": lambda: with_gradient(torch.nn.functional.mse_loss, normal(1000, 1000),
                                                      normal(1000, 1000)),
    "sum_of_3": lambda: plain(normal(300_000, 3), lambda x: x.sum(-1)),
    "sum_to_3": lambda: plain(normal(300_000, 3), lambda x: x.sum(0)),
    "sum_middle": lambda: plain(normal(100, 1000, 10), lambda x: x.sum(1)),
    "var_of_rows": lambda: plain(normal(1000, 1000), lambda x: x.var(1)),
    "cumprod_columns": lambda: plain(normal(1000, 1000, mean=1, deviation=0.01), lambda x: x.cumprod(0)),
    "cumprod_columns_gradient": cumprod_gradient,
    "softmax_gradient": softmax_gradient, "softmax_gradient_flushed": softmax_gradient_flushed,
    "elementwise_full": lambda: blend(1000, 1000), "elementwise_row": lambda: blend(1000),
    "elementwise_column": lambda: blend(1000, 1),
    "jvps_of_product": jvps_of_product, "mixture_jacobian": mixture_jacobian,
    "grad_of_scalar": grad_of_scalar, "jvp_of_scalar": jvp_of_scalar, "nested_jvp_of_scalar": nested_jvp_of_scalar,
    "runge_kutta_gradient": runge_kutta_gradient,
}


def shapes(name):
    return SHAPES[name]()


PREPARE = {"shapes": shapes}
