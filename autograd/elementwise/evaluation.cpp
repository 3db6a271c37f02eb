#include "autograd/elementwise/evaluation.hpp"

#include <algorithm>
#include <array>

#include "tensor/ops/reduction.hpp"

namespace gradus::detail {

std::vector<bool> needed(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs) {
  std::vector<bool> out(static_cast<std::size_t>(graph.size()), false);
  for (const ExprId id : outputs) {
    if (id != no_expr) out[static_cast<std::size_t>(id)] = true;
  }
  std::vector<bool> stop(out.size(), false);
  for (const ExprId id : given) {
    if (id != no_expr) stop[static_cast<std::size_t>(id)] = true;
  }
  for (std::size_t i = out.size(); i-- > 0;) {
    if (!out[i] || stop[i]) continue;
    const Expr& e = graph[static_cast<ExprId>(i)];
    for (const ExprId operand : {e.a, e.b, e.c}) {
      if (operand != no_expr) out[static_cast<std::size_t>(operand)] = true;
    }
  }
  return out;
}

Evaluation::Evaluation(const Graph& graph, std::span<const ExprId> given, std::span<const ExprId> outputs) {
  for (const ExprId output : outputs) sources_.push_back(source(graph, given, output));
  const std::vector<bool> needs = needed(graph, given, outputs);
  for (const ExprId id : given) reads_.push_back(id != no_expr && needs[static_cast<std::size_t>(id)]);
  if (!computed_.empty()) program_.emplace(graph, given, computed_);
}

Evaluation::Source Evaluation::source(const Graph& graph, std::span<const ExprId> given, ExprId output) {
  if (output == no_expr) return {Source::Kind::constant, 0, 0.0};
  if (const auto at = std::find(given.begin(), given.end(), output); at != given.end()) {
    return {Source::Kind::given, static_cast<std::size_t>(at - given.begin()), 0.0};
  }
  if (graph.is_constant(output)) return {Source::Kind::constant, 0, graph[output].number};
  auto at = std::find(computed_.begin(), computed_.end(), output);
  if (at == computed_.end()) at = computed_.insert(at, output);
  return {Source::Kind::computed, static_cast<std::size_t>(at - computed_.begin()), 0.0};
}

void Evaluation::run(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                     std::span<Tensor> outputs) const {
  if (program_) {
    std::array<const Tensor*, Program::most_arrays> arrays;
    std::array<Tensor*, Program::most_arrays> results;
    std::vector<Tensor> broadcast;  // seldom needed
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      arrays[i] = inputs[i];
      if (!reads_[i] || inputs[i]->size() == 1 || inputs[i]->shape() == shape) continue;
      broadcast.reserve(inputs.size());
      arrays[i] = &broadcast.emplace_back(broadcast_to(*inputs[i], shape));
    }
    for (std::size_t i = sources_.size(); i-- > 0;) {
      if (sources_[i].kind == Source::Kind::computed) results[sources_[i].index] = &outputs[i];
    }
    for (std::size_t i = 0; i < computed_.size(); ++i) *results[i] = Tensor::uninitialized(shape, dtype);
    program_->run(std::span(arrays).first(inputs.size()), std::span(results).first(computed_.size()));
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      if (sources_[i].kind != Source::Kind::computed) continue;
      const Tensor& result = *results[sources_[i].index];
      if (&result != &outputs[i]) outputs[i] = result;  // one of several equal outputs
    }
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].kind == Source::Kind::constant) outputs[i] = full(shape, sources_[i].number, dtype);
    if (sources_[i].kind != Source::Kind::given) continue;
    const Tensor& x = *inputs[sources_[i].index];
    outputs[i] = x.shape() == shape ? x : broadcast_to(x, shape);
  }
}

}  // namespace gradus::detail
