#include "nn/transformer.hpp"

#include "tests/autograd/gradient_table/gradient_table.hpp"

namespace gradus::test {

namespace {

/// A module's call as a function of its inputs and, behind them, of all its parameters.
template <class M, class Call>
GradientRow module_row(const char* name, const M& made, const std::vector<Shape>& inputs, const Call& call,
                       double bound = 0.7) {
  std::vector<Shape> shapes = inputs;
  for_each_parameter(made, [&](const std::string&, const Parameter& p) { shapes.push_back(p.shape()); });
  const auto f = [made, call, count = inputs.size()](Inputs in) {
    M module = made;
    std::size_t next = count;
    for_each_parameter(module,
                       [&](const std::string&, Parameter& p) { static_cast<Variable&>(p) = in[next++]; });
    return call(module, in);
  };
  return {name, f, {shapes}, {.low = -bound, .high = bound}};
}

}  // namespace

std::vector<GradientRow> transformer_rows() {
  Rng rng(1);
  std::vector<GradientRow> rows;
  for (const bool first : {false, true}) {
    const nn::TransformerOptions options{
        .inner = 3, .activation = nn::TransformerActivation::gelu, .norm_first = first, .eps = 0.5};
    rows.push_back(module_row("TransformerEncoderLayer", nn::TransformerEncoderLayer(rng, 2, 1, options),
                              {{2, 3, 2}}, [](const auto& f, Inputs x) {
                                return f(x[0], {.lengths = {3, 1}});
                              }));
    rows.push_back(module_row("TransformerDecoderLayer", nn::TransformerDecoderLayer(rng, 2, 2, options),
                              {{1, 2, 2}, {1, 3, 2}}, [](const auto& f, Inputs x) { return f(x[0], x[1]); }));
  }
  const nn::TransformerOptions plain{.inner = 2, .activation = nn::TransformerActivation::gelu, .eps = 2};
  rows.push_back(module_row(
      "Transformer", nn::Transformer(rng, 2, 1, 1, 1, plain), {{1, 3, 2}, {1, 2, 2}},
      [](const auto& f, Inputs x) { return f(x[0], x[1], {.source = {2}}); }, 0.4));
  return rows;
}

}  // namespace gradus::test
