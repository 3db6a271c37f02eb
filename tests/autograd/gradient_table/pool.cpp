#include "autograd/ops/pool.hpp"

#include "autograd/ops/arithmetic.hpp"
#include "autograd/transforms.hpp"
#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

std::vector<GradientRow> pool_rows() {
  const auto largest = [](const char* op, auto f, std::vector<std::vector<Shape>> shapes) {
    return GradientRow{.op = op, .call = f, .shapes = std::move(shapes), .distinct = true};
  };
  const auto images = [](const Variable& x) { return max_pool2d(x, {.kernel = {2, 3}, .stride = 1}); };
  return {
      largest("max_pool1d", [](Inputs x) { return max_pool1d(x[0]); },
              {{{2, 2, 5}}, {{1, 1, 2}}, {{0, 1, 4}}}),
      largest("max_pool1d",
              [](Inputs x) {
                return max_pool1d(x[0],
                                  {.kernel = 3, .stride = 2, .padding = 1, .dilation = 2, .ceil = true});
              },
              {{{1, 2, 8}}}),
      largest("max_pool2d", [images](Inputs x) { return images(x[0]); }, {{{2, 1, 3, 4}}, {{1, 2, 2, 3}}}),
      largest("max_pool2d",
              [](Inputs x) {
                return max_pool2d(x[0], {.kernel = 3, .stride = 2, .padding = {1, 0}});
              },
              {{{1, 2, 4, 5}}}),
      largest("adaptive_max_pool1d", [](Inputs x) { return adaptive_max_pool1d(x[0], 2); }, {{{2, 1, 5}}}),
      largest("adaptive_max_pool2d",
              [](Inputs x) {
                return adaptive_max_pool2d(x[0], {2, 1});
              },
              {{{1, 2, 3, 2}}}),
      // What only stands in the derivatives of others: of a square, so that they depend on its argument.
      largest("max_pool_place",
              [images](Inputs x) {
                const Variable y = images(x[0]);
                return y * y;
              },
              {{{1, 1, 3, 4}}}),
      largest("max_pool_pick",
              [images](Inputs x) {
                const Variable placed = vjp(images, x[0], x[1]).second;
                return placed * placed;
              },
              {{{1, 1, 3, 4}, {1, 1, 2, 2}}}),
      {"avg_pool1d", [](Inputs x) { return avg_pool1d(x[0]); }, {{{2, 2, 5}}, {{1, 1, 2}}, {{0, 1, 4}}}},
      {"avg_pool1d",
       [](Inputs x) { return avg_pool1d(x[0], {.kernel = 3, .stride = 2, .padding = 1, .ceil = true}); },
       {{{1, 2, 6}}}},
      {"avg_pool2d",
       [](Inputs x) {
         return avg_pool2d(x[0],
                           {.kernel = {3, 2}, .stride = {2, 1}, .padding = 1, .count_include_pad = false});
       },
       {{{2, 1, 4, 3}}}},
      {"adaptive_avg_pool1d",
       [](Inputs x) { return adaptive_avg_pool1d(x[0], 3); },
       {{{2, 1, 5}}, {{1, 1, 2}}}},
      {"adaptive_avg_pool2d",
       [](Inputs x) {
         return adaptive_avg_pool2d(x[0], {2, 3});
       },
       {{{1, 2, 3, 4}}}},
      {"avg_pool_spread",
       [](Inputs x) {
         const Variable y = avg_pool2d(x[0], {.kernel = 2, .stride = 1});
         return y * y;
       },
       {{{1, 1, 3, 3}}}},
  };
}

}  // namespace gradus::test
