#include "autograd/ops/norm.hpp"

#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {
constexpr double eps = 0.05;
}  // namespace

std::vector<GradientRow> norm_rows() {
  const auto over = [](const Shape& shape) {
    return [shape](Inputs x) { return layer_norm(x[0], shape, x[1], x[2], eps); };
  };
  // Statistics that are not those of x.
  const auto evaluated = [](Inputs x) {
    const Tensor mean = Tensor::of({0.3, -0.2, 0.1}, Dtype::f64).to(x[0].dtype());
    const Tensor variance = Tensor::of({0.5, 2, 1}, Dtype::f64).to(x[0].dtype());
    return batch_norm(x[0], {mean, variance}, x[1], x[2], eps);
  };
  const auto batch = [](Inputs x) { return batch_norm(x[0], x[1], x[2], eps).y; };
  return {
      {"layer_norm", over({4}), {{{2, 3, 4}, {4}, {4}}}},
      {"layer_norm", over({3, 2}), {{{2, 3, 2}, {3, 2}, {3, 2}}}},
      {"layer_norm", [](Inputs x) { return layer_norm(x[0], {3}, {}, {}, eps); }, {{{2, 3}}, {{0, 3}}}},
      {"layer_norm", [](Inputs x) { return layer_norm(x[0], {3}, {}, x[1], eps); }, {{{2, 3}, {3}}}},
      {"rms_norm",
       [](Inputs x) { return rms_norm(x[0], x[1].shape(), x[1], eps); },
       {{{3}, {3}}, {{2, 4}, {4}}, {{2, 3, 2}, {3, 2}}, {{0, 3}, {3}}}},
      {"rms_norm", [](Inputs x) { return rms_norm(x[0], {3}, {}, eps); }, {{{2, 3}}}},
      {"group_norm",
       [](Inputs x) { return group_norm(x[0], 2, x[1], x[2], eps); },
       {{{2, 4}, {4}, {4}}, {{2, 4, 3}, {4}, {4}}, {{1, 2, 2, 3}, {2}, {2}}, {{0, 2, 3}, {2}, {2}}}},
      {"group_norm", [](Inputs x) { return group_norm(x[0], 3, {}, {}, eps); }, {{{2, 3, 4}}}},
      {"batch_norm", batch, {{{4, 3}, {3}, {3}}, {{3, 2, 3}, {2}, {2}}, {{2, 2, 2, 3}, {2}, {2}}}},
      {"batch_norm", [](Inputs x) { return batch_norm(x[0], {}, {}, eps).y; }, {{{3, 2, 2}}}},
      {"batch_norm", evaluated, {{{2, 3}, {3}, {3}}, {{2, 3, 4}, {3}, {3}}, {{0, 3, 4}, {3}, {3}}}},
  };
}

}  // namespace gradus::test
