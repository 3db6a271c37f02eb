#include "nn/min_rnn.hpp"

#include "autograd/elementwise.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/scan.hpp"
#include "nn/dropout.hpp"

namespace gradus::nn {

namespace {

auto positive(auto v) {
  return where(v >= 0, v + 0.5, sigmoid(v));
}
/// log(sigmoid(x)) - log(sigmoid(y)).
auto log_ratio(auto x, auto y) {
  return log1p_exp(-y) - log1p_exp(-x);
}

/// 1 at the steps of each sequence, 0 past its end: (time, batch, 1). Without lengths it has no value.
Tensor steps_taken(const Indices& lengths, std::int64_t steps, std::int64_t batch, Dtype dtype) {
  if (lengths.size() == 0) return {};
  const detail::SortedLengths checked(lengths, steps, batch);
  Tensor out = Tensor::uninitialized({steps, batch, 1}, dtype);
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* const to = out.mutable_data<T>();
    for (std::int64_t t = 0; t < steps; ++t) {
      for (std::int64_t i = 0; i < batch; ++i) to[t * batch + i] = t < lengths.data()[i] ? T{1} : T{0};
    }
  });
  return out;
}

}  // namespace

ScanTerms MinGruCell::operator()(const Variable& x, MinCandidate candidate, Where at) const {
  const Variable k = linear_z(x, at), v = linear_h(x, at);
  // 1 - sigmoid(k), with all its digits.
  const Variable a = elementwise([](auto gate) { return sigmoid(-gate); }, k);
  if (candidate == MinCandidate::linear)
    return {a, elementwise([](auto gate, auto value) { return sigmoid(gate) * value; }, k, v)};
  return {a, elementwise([](auto gate, auto value) { return sigmoid(gate) * positive(value); }, k, v)};
}

ScanTerms MinLstmCell::operator()(const Variable& x, MinCandidate candidate, Where at) const {
  const Variable f = linear_f(x, at), i = linear_i(x, at), v = linear_h(x, at);
  // f / (f + i) = sigmoid(log f - log i) of the gates' values, which may both vanish.
  const Variable a = elementwise([](auto of_f, auto of_i) { return sigmoid(log_ratio(of_f, of_i)); }, f, i);
  if (candidate == MinCandidate::linear) {
    const auto term = [](auto of_f, auto of_i, auto value) { return sigmoid(log_ratio(of_i, of_f)) * value; };
    return {a, elementwise(term, f, i, v)};
  }
  const auto term = [](auto of_f, auto of_i, auto value) {
    return sigmoid(log_ratio(of_i, of_f)) * positive(value);
  };
  return {a, elementwise(term, f, i, v)};
}

template <class Layer, class Cell>
MinRecurrent<Layer, Cell>::MinRecurrent(Rng& rng, std::int64_t in, std::int64_t width, MinRnnOptions chosen)
    : options(chosen) {
  detail::check_options(gradus::detail::type_name<Layer>(), in, width,
                        {.layers = chosen.layers, .dropout = chosen.dropout}, false);
  for (int i = 0; i < chosen.layers; ++i) layers.emplace_back(rng, i == 0 ? in : width, width, chosen.bias);
}

template <class Layer, class Cell>
HiddenState MinRecurrent<Layer, Cell>::start(std::int64_t batch) const {
  return {Variable(zeros({std::ssize(layers), batch, width()}, layers.front().linear_h.weight.dtype()))};
}

template <class Layer, class Cell>
auto MinRecurrent<Layer, Cell>::operator()(const Variable& x, const State& state, Rng* rng,
                                           const Indices& lengths, Where at) const -> Result {
  return run(x, state, rng, lengths, {}, at);
}

template <class Layer, class Cell>
auto MinRecurrent<Layer, Cell>::restarted(const Variable& x, const Tensor& begins, const State& state,
                                          Rng* rng, Where at) const -> Result {
  return run(x, state, rng, {}, begins, at);
}

template <class Layer, class Cell>
auto MinRecurrent<Layer, Cell>::run(const Variable& x, const State& state, Rng* rng, const Indices& lengths,
                                    const Tensor& begins, Where at) const -> Result {
  const InModule here(static_cast<const Layer&>(*this));
  const InOp call("recurrent", at);
  detail::check_sequence(x, input_width());
  const std::int64_t steps = x.dim(0), batch = x.dim(1);
  detail::check_state(state.h, {std::ssize(layers), batch, width()}, layers.front().linear_h.weight.dtype(),
                      steps);
  if (begins.defined() && begins.shape() != Shape{steps, batch, 1})
    fail<ShapeError>("the steps where a state begins anew, {}; they must be {}", begins.shape(),
                     Shape{steps, batch, 1});
  const Tensor taken = steps_taken(lengths, steps, batch, x.dtype());
  // What stands past an end may be anything.
  Variable h = taken.defined() ? where(taken, x, 0, at) : x;
  std::vector<Variable> last;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (i > 0) h = dropout(h, options.dropout, rng);
    auto [a, b] = layers[i](h, options.candidate, at);
    if (taken.defined()) {
      a = where(taken, a, 1, at);
      b = where(taken, b, 0, at);
    }
    if (begins.defined()) a = where(begins, 0, a, at);
    h = linear_scan(a, b, select(state.h, static_cast<std::int64_t>(i), at), at);
    last.push_back(select(h, steps - 1, at));
  }
  return {taken.defined() ? where(taken, h, 0, at) : h, {stack(last, 0, at)}};
}

template <class Layer, class Cell>
auto MinRecurrent<Layer, Cell>::step(const Variable& x, const State& state, Where at) const -> Result {
  auto [h, next] = (*this)(unsqueeze(x, 0, at), state, nullptr, {}, at);
  return {select(h, 0, at), std::move(next)};
}

template struct MinRecurrent<MinGru, MinGruCell>;
template struct MinRecurrent<MinLstm, MinLstmCell>;

}  // namespace gradus::nn
