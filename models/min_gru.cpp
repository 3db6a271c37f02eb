#include "models/min_gru.hpp"

#include <cmath>

#include "autograd/ops/activations.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/movement.hpp"
#include "models/documents.hpp"
#include "nn/dropout.hpp"
#include "nn/losses.hpp"

namespace gradus::models {

namespace {

const NetworkOptions& checked(const NetworkOptions& o) {
  if (o.vocab < 2)
    fail<ArgumentError>("MinGruNetwork: a vocabulary of {}: at least 2 symbols are needed", o.vocab);
  if (o.width < 1 || o.layers < 1 || o.inner < 0)
    fail<ArgumentError>("MinGruNetwork: width {}, {} layers, inner {}; width and layers must be at least 1",
                        o.width, o.layers, o.inner);
  return o;
}
std::int64_t inner_width(const NetworkOptions& o) {
  return o.inner > 0 ? o.inner : 2 * o.width;
}
/// What is added to the residuals starts smaller, the more there are of it.
nn::Linear last_linear(Rng& rng, std::int64_t in, const NetworkOptions& o) {
  nn::Linear layer(rng, in, o.width);
  layer.weight.mutable_value() = layer.weight.value() * (1 / std::sqrt(2.0 * o.layers));
  return layer;
}

}  // namespace

MinGruBlock::MinGruBlock(Rng& rng, const NetworkOptions& o)
    : norm_1(o.width, {.eps = o.norm_eps}),
      mix(rng, o.width, o.width),
      norm_2(o.width, {.eps = o.norm_eps}),
      up(rng, o.width, inner_width(o)),
      down(last_linear(rng, inner_width(o), o)),
      dropout(o.dropout) {}

std::pair<Variable, Variable> MinGruBlock::operator()(const Variable& x, const Variable& h, Rng* rng,
                                                      const Tensor& begins) const {
  const InModule here(*this);
  const auto [mixed, next] = begins.defined() ? mix.restarted(norm_1(x), begins, {h}) : mix(norm_1(x), {h});
  const Variable y = x + nn::dropout(mixed, dropout, rng);
  return {y + nn::dropout(down(gelu(up(norm_2(y)))), dropout, rng), next.h};
}

MinGruNetwork::MinGruNetwork(Rng& rng, const NetworkOptions& chosen)
    : options(checked(chosen)),
      embed(rng, chosen.vocab, chosen.width, {.deviation = 0.02}),
      norm(chosen.width, {.eps = chosen.norm_eps}),
      head(rng, chosen.width, chosen.vocab) {
  for (int i = 0; i < options.layers; ++i) blocks.emplace_back(rng, options);
  head.bias.mutable_value() = zeros({options.vocab});
  if (options.is_tied(true)) head.weight = Parameter();
}

double MinGruNetwork::fewest_parameters(const NetworkOptions& o) {
  const auto width = static_cast<double>(o.width);
  return width *
         (static_cast<double>(o.vocab) + o.layers * 2.0 * (width + static_cast<double>(inner_width(o))));
}

nn::HiddenState MinGruNetwork::start(std::int64_t batch) const {
  return {Variable(zeros({options.layers, batch, options.width}, embed.weight.dtype()))};
}

std::pair<Variable, nn::HiddenState> MinGruNetwork::features(const Indices& x, const State& state,
                                                             Rng* rng) const {
  const InModule here(*this);
  return run(x, state, rng, {});
}

std::pair<Variable, nn::HiddenState> MinGruNetwork::run(const Indices& x, const State& state, Rng* rng,
                                                        const Tensor& begins) const {
  Variable h = nn::dropout(embed(x), options.dropout, rng);
  std::vector<Variable> last;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    auto [y, next] = blocks[i](h, slice(state.h, 0, at, at + 1), rng, begins);
    h = std::move(y);
    last.push_back(std::move(next));
  }
  return {norm(h), {concat(last, 0)}};
}

Variable MinGruNetwork::logits(const Variable& features, Rng* /*rng*/) const {
  const InModule here(*this);
  return linear(features, output(), head.bias);
}

std::pair<Variable, nn::HiddenState> MinGruNetwork::loss(const Indices& x, const Indices& y,
                                                         const State& state, Rng* rng) const {
  const InModule here(*this);
  const Tensor begins = options.document_end >= 0
                            ? detail::document_begins(x, options.document_end, state.h.dtype())
                            : Tensor();
  auto [h, next] = run(x, state, rng, begins);
  return {nn::linear_cross_entropy(h, output(), head.bias, y), std::move(next)};
}

}  // namespace gradus::models
