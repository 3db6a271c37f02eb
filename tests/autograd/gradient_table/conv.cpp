#include "autograd/ops/conv.hpp"

#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

GradientRow row(Conv1dOptions options, std::vector<std::vector<Shape>> shapes) {
  return {"conv1d", [options](Inputs x) { return conv1d(x[0], x[1], x[2], options); }, std::move(shapes)};
}
GradientRow row(ConvTranspose1dOptions options, std::vector<std::vector<Shape>> shapes) {
  return {"conv_transpose1d", [options](Inputs x) { return conv_transpose1d(x[0], x[1], x[2], options); },
          std::move(shapes)};
}
GradientRow row(Conv2dOptions options, std::vector<std::vector<Shape>> shapes) {
  return {"conv2d", [options](Inputs x) { return conv2d(x[0], x[1], x[2], options); }, std::move(shapes)};
}
GradientRow row(ConvTranspose2dOptions options, std::vector<std::vector<Shape>> shapes) {
  return {"conv_transpose2d", [options](Inputs x) { return conv_transpose2d(x[0], x[1], x[2], options); },
          std::move(shapes)};
}

}  // namespace

std::vector<GradientRow> conv_rows() {
  return {
      row(Conv1dOptions{}, {{{2, 2, 5}, {3, 2, 3}, {3}},
                            {{1, 1, 1}, {1, 1, 1}, {1}},
                            {{0, 2, 5}, {3, 2, 3}, {3}},
                            {{2, 0, 3}, {2, 0, 2}, {2}},
                            {{2, 2, 3}, {0, 2, 2}, {0}}}),
      row(Conv1dOptions{.stride = 2, .padding = 1},
          {{{2, 2, 5}, {2, 2, 3}, {2}}, {{1, 1, 6}, {2, 1, 3}, {2}}}),
      row(Conv1dOptions{.padding = 3, .dilation = 2}, {{{1, 2, 4}, {2, 2, 3}, {2}}}),
      row(Conv1dOptions{.groups = 2}, {{{2, 4, 4}, {2, 2, 2}, {2}}}),
      row(Conv1dOptions{.stride = 2, .dilation = 2, .causal = true},
          {{{2, 2, 5}, {2, 2, 3}, {2}}, {{1, 1, 2}, {1, 1, 3}, {1}}, {{1, 1, 0}, {1, 1, 3}, {1}}}),
      {"conv1d", [](Inputs x) { return conv1d(x[0], x[1], {}, {.causal = true}); }, {{{2, 2, 4}, {2, 2, 2}}}},
      {"conv1d_weight",  // the gradient of a weight, as a function
       [](Inputs x) { return conv1d(x[0], conv1d(x[0], x[1]), {}, {.padding = 1}); },
       {{{2, 2, 3}, {2, 2, 2}}}},
      row(ConvTranspose1dOptions{},
          {{{2, 2, 3}, {2, 3, 2}, {3}}, {{1, 1, 1}, {1, 1, 1}, {1}}, {{0, 2, 3}, {2, 3, 2}, {3}}}),
      row(ConvTranspose1dOptions{.stride = 3, .padding = 1, .output_padding = 2},
          {{{2, 2, 3}, {2, 1, 3}, {1}}}),
      row(ConvTranspose1dOptions{.dilation = 2, .groups = 2}, {{{1, 2, 3}, {2, 2, 2}, {4}}}),
      row(Conv2dOptions{}, {{{2, 2, 3, 4}, {2, 2, 2, 3}, {2}},
                            {{1, 1, 1, 1}, {1, 1, 1, 1}, {1}},
                            {{0, 1, 2, 2}, {1, 1, 2, 2}, {1}}}),
      row(Conv2dOptions{.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}},
          {{{1, 2, 4, 3}, {2, 2, 3, 2}, {2}}}),
      row(Conv2dOptions{.groups = 2}, {{{1, 2, 3, 3}, {4, 1, 2, 2}, {4}}}),
      {"conv2d_weight",
       [](Inputs x) { return conv2d(x[0], conv2d(x[0], x[1]), {}, {.padding = 1}); },
       {{{2, 2, 3, 3}, {2, 2, 2, 2}}}},
      row(ConvTranspose2dOptions{}, {{{1, 2, 2, 3}, {2, 2, 2, 2}, {2}}}),
      row(ConvTranspose2dOptions{.stride = {3, 2}, .padding = 1, .output_padding = {2, 0}, .groups = 2},
          {{{1, 2, 2, 2}, {2, 1, 3, 2}, {2}}}),
  };
}

}  // namespace gradus::test
