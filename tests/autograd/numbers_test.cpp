#include <functional>
#include <string>
#include <vector>

#include "autograd/elementwise.hpp"
#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/cumulative.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/indexing.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape.hpp"
#include "autograd/transforms.hpp"
#include "nn/dropout.hpp"
#include "nn/norm.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"

using namespace gradus;

namespace {

using Function = std::function<Variable(const Variable&)>;

/// An op with numbers among its operands, and the same with tensors of their values and x's dtype.
struct Mixed {
  std::string name;
  Function with_numbers, with_tensors;
};

/// A number that f32 does not have.
constexpr double number = 0.1;

Variable like(const Variable& x, double value) {
  return Variable(Tensor::scalar(value, x.dtype()));
}

std::vector<Mixed> functions_of_operands() {
  std::vector<Mixed> out;
  for (std::size_t i = 0; i < kernels::binary_count; ++i) {
    const auto op = static_cast<kernels::Binary>(i);
    const std::string name = kernels::name_of(op);
    const bool orders =
        op == kernels::Binary::polygamma || op == kernels::Binary::sinc;  // a counts derivatives
    if (!orders)
      out.push_back({name + "(x, number)", [op](const Variable& x) { return apply(op, x, number); },
                     [op](const Variable& x) { return apply(op, x, like(x, number)); }});
    const double a = orders ? 1 : number;
    out.push_back({name + "(number, x)", [op, a](const Variable& x) { return apply(op, a, x); },
                   [op, a](const Variable& x) { return apply(op, like(x, a), x); }});
  }
  for (std::size_t i = 0; i < kernels::ternary_count; ++i) {
    const auto op = static_cast<kernels::Ternary>(i);
    for (unsigned variables = 1; variables < 7; ++variables) {
      const auto with = [op, variables](const Variable& x, const auto& value) {
        // Each operand is a Variable or a number by itself, so that all of both kinds are called.
        const auto operand = [&](unsigned k, double v, const auto& use) {
          return (variables >> k & 1U) != 0 ? use(VariableOperand(x)) : value(v, use);
        };
        return operand(0, 1, [&](const auto& a) {
          return operand(1, number, [&](const auto& b) {
            return operand(2, 3 * number, [&](const auto& c) { return apply(op, a, b, c); });
          });
        });
      };
      out.push_back({std::string(kernels::name_of(op)) + " of Variables " + std::to_string(variables),
                     [with](const Variable& x) {
                       return with(x, [](double v, const auto& use) { return use(VariableOperand(v)); });
                     },
                     [with](const Variable& x) {
                       return with(x, [&](double v, const auto& use) {
                         const Variable tensor = like(x, v);
                         return use(VariableOperand(tensor));
                       });
                     }});
    }
  }
  return out;
}

std::vector<Mixed> operators_and_ops() {
  const auto x_plus = [](const Variable& x, const Variable& n) { return x + n; };
  std::vector<Mixed> out{
      {"x + n", [](const Variable& x) { return x + number; },
       [=](const Variable& x) { return x_plus(x, like(x, number)); }},
      {"n - x", [](const Variable& x) { return number - x; },
       [](const Variable& x) { return like(x, number) - x; }},
      {"x * n", [](const Variable& x) { return x * number; },
       [](const Variable& x) { return x * like(x, number); }},
      {"n / x", [](const Variable& x) { return number / x; },
       [](const Variable& x) { return like(x, number) / x; }},
      {"x < n", [](const Variable& x) { return x < number; },
       [](const Variable& x) { return x < like(x, number); }},
      {"where(true, x, 0)", [](const Variable& x) { return where(true, x, 0); },
       [](const Variable& x) { return where(like(x, 1), x, like(x, 0)); }},
      {"where(false, 0, x)", [](const Variable& x) { return where(false, 0, x); },
       [](const Variable& x) { return where(like(x, 0), like(x, 0), x); }},
      {"elementwise",
       [](const Variable& x) {
         return elementwise([](auto v, auto a, auto b) { return a * sin(v) + b; }, x, number, 3 * number);
       },
       [](const Variable& x) {
         return elementwise([](auto v, auto a, auto b) { return a * sin(v) + b; }, x, like(x, number),
                            like(x, 3 * number));
       }},
      {"masked_fill", [](const Variable& x) { return masked_fill(x, greater(x.value(), 0.5), number); },
       [](const Variable& x) { return where(Variable(greater(x.value(), 0.5)), like(x, number), x); }},
      {"shift", [](const Variable& x) { return shift(x, 0, number); },
       [](const Variable& x) {
         return concat({reshape(like(x, number), {1}), slice(x, 0, 0, 2)}, 0);
       }},
      {"pad",
       [](const Variable& x) {
         return pad(x, {{1, 0}}, {.value = number});
       },
       [](const Variable& x) {
         return concat({reshape(like(x, number), {1}), x}, 0);
       }},
      {"leaky_relu", [](const Variable& x) { return leaky_relu(-x, number); },
       [](const Variable& x) { return -x * like(x, number); }},
      {"elu", [](const Variable& x) { return elu(-x, number); },
       [](const Variable& x) { return like(x, number) * expm1(-x); }},
      {"softplus", [](const Variable& x) { return softplus(x, {.beta = number}); },
       [](const Variable& x) { return log1p_exp(x * like(x, number)) / like(x, number); }},
      {"hardtanh", [](const Variable& x) { return hardtanh(x, number, 0.6); },
       [](const Variable& x) { return clamp(x, like(x, number), like(x, 0.6)); }},
      {"dropout",
       [](const Variable& x) {
         Rng rng(1);
         return nn::dropout(x, number, &rng);
       },
       [](const Variable& x) {
         Rng rng(1);
         return x * Variable(rng.bernoulli(x.shape(), 1 - number, 1, x.dtype())) * like(x, 1 / (1 - number));
       }},
      {"norm", [](const Variable& x) { return norm(x, {}, {.p = 3 + number}); },
       [](const Variable& x) { return pow(sum(pow(x, like(x, 3 + number))), like(x, 1 / (3 + number))); }},
      {"cross_entropy",
       [](const Variable& x) { return cross_entropy(x, Indices({1}, {}), {.label_smoothing = number}); },
       [](const Variable& x) {
         const Variable logs = x - logsumexp(x, -1, true);
         return -(like(x, 1 - number) * sum(slice(logs, 0, 1, 2)) + like(x, number / 3) * sum(logs));
       }},
  };
  return out;
}

}  // namespace

TEST_CASE("numbers take the dtype of the Variables beside them, in derivatives too", "[tape]") {
  std::vector<Mixed> all = functions_of_operands();
  for (Mixed& mixed : operators_and_ops()) all.push_back(std::move(mixed));
  const Tensor wide = Tensor::of({0.3, 0.55, 0.85}, Dtype::f64);
  for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
    const double tolerance = dtype == Dtype::f64 ? 1e-13 : 1e-4;
    for (const Mixed& mixed : all) {
      INFO(mixed.name << " in " << name_of(dtype));
      std::vector<std::vector<Tensor>> results;
      for (const Function* f : {&mixed.with_numbers, &mixed.with_tensors}) {
        const Variable x(wide.to(dtype));
        // f, its slope, and the slope of the slope's weighted sum.
        const auto slope = [f](const Variable& at) {
          Tape tape;
          const Variable v = tape.watch(at.value());
          const Variable y = (*f)(v);
          return y.is_constant() ? zeros_like(at.value()) : tape.backward(sum(y))[v];
        };
        const Function recorded = [f](const Variable& at) {
          return grad([f](const Variable& v) { return sum((*f)(v)); }, at);
        };
        Tensor second = zeros_like(x.value());
        {
          Tape tape;
          const Variable v = tape.watch(x.value());
          const Variable y = recorded(v);
          if (!y.is_constant()) second = tape.backward(sum(y))[v];
        }
        results.push_back({(*f)(x).value(), slope(x), recorded(x).value(), second});
      }
      for (std::size_t i = 0; i < results[0].size(); ++i) {
        INFO(i << ": " << results[0][i].text() << " and with tensors " << results[1][i].text());
        REQUIRE(results[0][i].dtype() == dtype);
        REQUIRE(results[0][i].size() == results[1][i].size());
        for (std::int64_t k = 0; k < results[0][i].size(); ++k)
          CHECK(results[0][i].at(k) == Approx(results[1][i].at(k)).epsilon(tolerance).margin(tolerance));
      }
    }
  }
}
