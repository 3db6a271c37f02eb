// Small and odd shapes, as users of automatic differentiation write them: f64, one thread, in seconds per
// call. Names that end in _gradient are a value and its gradients. The sizes are those of
// rivals/torch_shapes.py. Usage: bench_shapes [--threads N] [--benchmark_...]; bench_shapes --first prints
// the seconds of the first gradient of a process.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/einsum.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/transforms.hpp"
#include "bench/threads.hpp"
#include "bench/training.hpp"
#include "tensor/flush_subnormals.hpp"
#include "tensor/random.hpp"

using namespace gradus;

namespace {

using Call = std::function<void()>;

Variable normal(Rng& rng, const Shape& shape, double mean = 0, double deviation = 1) {
  return Variable(rng.normal(shape, mean, deviation, Dtype::f64));
}
template <class F>
Call timed(F f) {
  return [f] { benchmark::DoNotOptimize(f()); };
}
/// f(x...), which has one element or is multiplied by a fixed tensor and summed, and the gradients of all x.
template <class F>
Call with_gradient(Rng& rng, const F& f, const Variables& xs) {
  const Variable first = f(std::span<const Variable>(xs));
  const Tensor direction = rng.normal(first.shape(), 0, 1, Dtype::f64);
  return timed([=] {
    return grad(
        [&](std::span<const Variable> fresh) {
          const Variable y = f(fresh);
          return y.rank() == 0 ? y : sum(y * direction);
        },
        xs);
  });
}

// -- Moving numbers about
// -------------------------------------------------------------------------------------

Call gather(Rng& rng) {
  return timed([x = normal(rng, {10'000}), of = bench::random_ids(rng, 10'000, {1'000'000})] {
    return index_select(x, 0, of);
  });
}
Call gather_gradient(Rng& rng) {
  const auto f = [of = bench::random_ids(rng, 10'000, {1'000'000})](auto xs) {
    return index_select(xs[0], 0, of);
  };
  return with_gradient(rng, f, {normal(rng, {10'000})});
}
Call gather_rows_of_3(Rng& rng) {
  return timed([x = normal(rng, {10'000, 3}), of = bench::random_ids(rng, 10'000, {300'000})] {
    return gather_rows(x, of);
  });
}
Call rolled(Rng& rng) {
  return timed([x = normal(rng, {1000, 1000})] { return roll(x, 1, 1); });
}
Call roll_short(Rng& rng) {
  return timed([x = normal(rng, {100'000, 10})] { return roll(x, 1, 1); });
}
/// The energy of a string: neighbours' differences, squared.
Call slices_gradient(Rng& rng) {
  const auto f = [](auto xs) {
    return sum(square(slice(xs[0], 0, 1, 1'000'000) - slice(xs[0], 0, 0, 999'999)));
  };
  return with_gradient(rng, f, {normal(rng, {1'000'000})});
}
/// A five-point Laplacian of the inside of a grid.
Call laplacian_gradient(Rng& rng) {
  const auto f = [](auto xs) {
    const auto at = [&](std::int64_t row, std::int64_t column) {
      return slice(xs[0], {Slice{row, row + 998}, Slice{column, column + 998}});
    };
    return sum(square(at(0, 1) + at(2, 1) + at(1, 0) + at(1, 2) - 4 * at(1, 1)));
  };
  return with_gradient(rng, f, {normal(rng, {1000, 1000})});
}

// -- Products
// -------------------------------------------------------------------------------------------------

Call narrow_tt(Rng& rng) {
  return timed([a = normal(rng, {88, 10'000}), b = normal(rng, {3, 88})] {
    return matmul(a, b, {.transpose_a = true, .transpose_b = true});
  });
}
Call narrow_nn(Rng& rng) {
  return timed([a = normal(rng, {3, 88}), b = normal(rng, {88, 10'000})] { return matmul(a, b); });
}
Call products_of_32(Rng& rng) {
  return timed([a = normal(rng, {256, 32, 32}), b = normal(rng, {256, 32, 32})] { return matmul(a, b); });
}
Call products_of_4(Rng& rng) {
  return timed([a = normal(rng, {10'000, 4, 4}), b = normal(rng, {10'000, 4, 4})] { return matmul(a, b); });
}
Call products_of_4_gradient(Rng& rng) {
  const auto f = [](auto xs) { return matmul(xs[0], xs[1]); };
  return with_gradient(rng, f, {normal(rng, {10'000, 4, 4}), normal(rng, {10'000, 4, 4})});
}
Call einsum_scores(Rng& rng) {
  return timed([q = normal(rng, {16, 64, 8, 32}), k = normal(rng, {16, 64, 8, 32})] {
    return einsum("bqhd,bkhd->bhqk", {q, k});
  });
}
Call einsum_bilinear_gradient(Rng& rng) {
  const auto f = [](auto xs) { return einsum("bi,oij,bj->bo", {xs[0], xs[1], xs[2]}); };
  return with_gradient(rng, f, {normal(rng, {256, 32}), normal(rng, {16, 32, 32}), normal(rng, {256, 32})});
}

// -- Reductions
// -----------------------------------------------------------------------------------------------

Call max_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return max(xs[0], {1}); }, {normal(rng, {1280, 1000})});
}
Call max_columns_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return max(xs[0], {0}); }, {normal(rng, {1000, 1280})});
}
/// The scalar products of rows.
Call sum_of_products_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return sum(xs[0] * xs[1], -1); },
                       {normal(rng, {100'000, 10}), normal(rng, {100'000, 10})});
}
Call sum_of_squares_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return sum(square(xs[0]), -1); }, {normal(rng, {1000, 1000})});
}
Call mean_of_squares_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return mean(square(xs[0] - xs[1])); },
                       {normal(rng, {1000, 1000}), normal(rng, {1000, 1000})});
}
Call sum_of_3(Rng& rng) {
  return timed([x = normal(rng, {300'000, 3})] { return sum(x, -1); });
}
Call sum_to_3(Rng& rng) {
  return timed([x = normal(rng, {300'000, 3})] { return sum(x, 0); });
}
Call sum_middle(Rng& rng) {
  return timed([x = normal(rng, {100, 1000, 10})] { return sum(x, 1); });
}
Call var_of_rows(Rng& rng) {
  return timed([x = normal(rng, {1000, 1000})] { return var(x, 1); });
}
Call cumprod_columns(Rng& rng) {
  return timed([x = normal(rng, {1000, 1000}, 1, 0.01)] { return cumprod(x, 0); });
}
Call cumprod_columns_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return cumprod(xs[0], 0); }, {normal(rng, {1000, 1000}, 1, 0.01)});
}
/// Logits so far apart that most shares are subnormal numbers or 0.
Call softmax_gradient(Rng& rng) {
  return with_gradient(rng, [](auto xs) { return softmax(xs[0], -1); }, {normal(rng, {1000, 200}, 0, 350)});
}

/// The same with subnormal numbers flushed.
Call softmax_gradient_flushed(Rng& rng) {
  return [call = softmax_gradient(rng)] {
    const FlushSubnormals flush;
    return call();
  };
}

// -- Functions of elements
// ------------------------------------------------------------------------------------

constexpr auto blend = [](auto x, auto y) { return x * sigmoid(x + y); };

Call elementwise_full(Rng& rng) {
  return timed(
      [x = normal(rng, {1000, 1000}), y = normal(rng, {1000, 1000})] { return elementwise(blend, x, y); });
}
Call elementwise_row(Rng& rng) {
  return timed([x = normal(rng, {1000, 1000}), y = normal(rng, {1000})] { return elementwise(blend, x, y); });
}
Call elementwise_column(Rng& rng) {
  return timed(
      [x = normal(rng, {1000, 1000}), y = normal(rng, {1000, 1})] { return elementwise(blend, x, y); });
}

// -- Derivatives
// ----------------------------------------------------------------------------------------------

Call jvps_of_product(Rng& rng) {
  return timed([a = normal(rng, {88, 10'000}), x = normal(rng, {88}), tangents = normal(rng, {28, 88})] {
    return jvps([&](const Variable& at) { return matmul(at, a); }, x, tangents);
  });
}
/// The derivatives of 10,000 log-likelihoods by the 30 parameters of a mixture of 10 normal distributions.
Call mixture_jacobian(Rng& rng) {
  const Variable x = normal(rng, {10'000, 1}, 0, 20);
  const auto f = [x](const Variable& p) {
    const Variable weight = log_softmax(slice(p, 0, 0, 10)), mean = slice(p, 0, 10, 20),
                   scale = slice(p, 0, 20, 30);
    return logsumexp(weight - log(scale) - 0.5 * square((x - mean) / scale), 1);
  };
  const Variable p(concat(
      {Variable(zeros({10}, Dtype::f64)), normal(rng, {10}, 0, 20), Variable(full({10}, 0.8, Dtype::f64))},
      0));
  return timed([=] { return jacobian(f, p); });
}
const auto scalar_function = [](const Variable& x) { return sin(x) * x; };
const Variable& scalar() {
  static const Variable x(Tensor::scalar(0.7, Dtype::f64));
  return x;
}
Call grad_of_scalar(Rng&) {
  return timed([] { return grad(scalar_function, scalar()); });
}
Call jvp_of_scalar(Rng&) {
  return timed(
      [one = Variable(Tensor::scalar(1, Dtype::f64))] { return jvp(scalar_function, scalar(), one); });
}
Call nested_jvp_of_scalar(Rng&) {
  return timed([one = Variable(Tensor::scalar(1, Dtype::f64))] {
    const auto slope = [&](const Variable& x) { return jvp(scalar_function, x, one).second; };
    return jvp(slope, scalar(), one);
  });
}
/// 100 steps of the classical Runge-Kutta method for 1,000 logistic equations.
Call runge_kutta_gradient(Rng& rng) {
  const auto f = [](auto xs) {
    const double h = 0.01;
    Variable y = xs[0];
    const auto slope = [&](const Variable& at) { return xs[1] * at * (1 - at); };
    for (int step = 0; step < 100; ++step) {
      const Variable k1 = slope(y), k2 = slope(y + h / 2 * k1), k3 = slope(y + h / 2 * k2),
                     k4 = slope(y + h * k3);
      y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    return y;
  };
  return with_gradient(rng, f, {normal(rng, {1000}, 0.5, 0.1), normal(rng, {1000}, 1, 0.1)});
}

constexpr std::pair<const char*, Call (*)(Rng&)> rows[] = {
    {"gather", gather},
    {"gather_gradient", gather_gradient},
    {"gather_rows_of_3", gather_rows_of_3},
    {"roll", rolled},
    {"roll_short", roll_short},
    {"slices_gradient", slices_gradient},
    {"laplacian_gradient", laplacian_gradient},
    {"narrow_tt", narrow_tt},
    {"narrow_nn", narrow_nn},
    {"products_of_32", products_of_32},
    {"products_of_4", products_of_4},
    {"products_of_4_gradient", products_of_4_gradient},
    {"einsum_scores", einsum_scores},
    {"einsum_bilinear_gradient", einsum_bilinear_gradient},
    {"max_gradient", max_gradient},
    {"max_columns_gradient", max_columns_gradient},
    {"sum_of_products_gradient", sum_of_products_gradient},
    {"sum_of_squares_gradient", sum_of_squares_gradient},
    {"mean_of_squares_gradient", mean_of_squares_gradient},
    {"sum_of_3", sum_of_3},
    {"sum_to_3", sum_to_3},
    {"sum_middle", sum_middle},
    {"var_of_rows", var_of_rows},
    {"cumprod_columns", cumprod_columns},
    {"cumprod_columns_gradient", cumprod_columns_gradient},
    {"softmax_gradient", softmax_gradient},
    {"softmax_gradient_flushed", softmax_gradient_flushed},
    {"elementwise_full", elementwise_full},
    {"elementwise_row", elementwise_row},
    {"elementwise_column", elementwise_column},
    {"jvps_of_product", jvps_of_product},
    {"mixture_jacobian", mixture_jacobian},
    {"grad_of_scalar", grad_of_scalar},
    {"jvp_of_scalar", jvp_of_scalar},
    {"nested_jvp_of_scalar", nested_jvp_of_scalar},
    {"runge_kutta_gradient", runge_kutta_gradient},
};

int first_gradient() {
  const auto start = std::chrono::steady_clock::now();
  benchmark::DoNotOptimize(grad(scalar_function, scalar()));
  std::printf("%g\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--first") return first_gradient();
  bench::take_threads(argc, argv);
  for (const auto& [name, make] : rows) {
    benchmark::RegisterBenchmark(name, [make = make](benchmark::State& state) {
      Rng rng(1);
      const Call call = make(rng);
      call();  // takes the memory that the next calls reuse
      for (auto _ : state) call();
      state.counters["value"] = benchmark::Counter(static_cast<double>(state.iterations()),
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    })->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
