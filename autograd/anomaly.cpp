#include "autograd/tape_storage.hpp"
#include "tensor/ops.hpp"
#include "tensor/value_summary.hpp"

namespace gradus::detail {

namespace {

/// The value of a node, kept while a tape checks; null when it is not.
const Tensor* value_of(const TapeStorage& tape, std::uint32_t node) {
  return node < tape.values.size() && tape.values[node].defined() ? &tape.values[node] : nullptr;
}

std::string place_text(const TapeStorage& tape, const Node& node) {
  const std::string path = tape.scopes.path(node.scope);
  return Where{node.file, node.line}.text() + (path.empty() ? "" : " in " + path);
}

/// "tanh of shape (3,), recorded at model.cpp:31 in LstmLm.head", "a parameter of shape ..., first used by
/// ...".
std::string node_text(const TapeStorage& tape, std::uint32_t index) {
  const Node& node = tape.nodes[index];
  if (node.edge_count == 0) {
    return fmt::format("a {} of shape {}, first used at {}", node.name, node.shape, place_text(tape, node));
  }
  return fmt::format("{} of shape {}, recorded at {}", node.name, node.shape, place_text(tape, node));
}

/// " (number 1 of 2)" for an op of several results.
std::string which(std::size_t result, std::size_t results) {
  return results == 1 ? std::string() : fmt::format(" (number {} of {})", result + 1, results);
}

[[noreturn]] void fail_not_finite(const Op& op, std::span<const Tensor> values, std::size_t at,
                                  std::span<const Variable* const> inputs) {
  std::string text;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]->value().defined()) continue;
    text += fmt::format("\n  input {}: {}", i, value_summary(inputs[i]->value()));
  }
  const InOp here(op);
  fail<NumericError>("{}: the result{} is not finite: {}{}", op.name, which(at, values.size()),
                     value_summary(values[at]), text);
}

}  // namespace

void check_results(TapeHead& head, const Op& op, std::span<const Tensor> values,
                   std::span<const Variable* const> inputs) {
  auto& tape = static_cast<TapeStorage&>(head);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!all_finite(values[i])) fail_not_finite(op, values, i, inputs);
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    tape.keep_value(static_cast<std::uint32_t>(tape.nodes.size() + i), values[i]);
}

void check_gradient_of(const TapeStorage& tape, std::uint32_t index, std::uint32_t input,
                       std::span<const Variable> gs, const Tensor& sum) {
  if (!sum.defined() || all_finite(sum)) return;
  const Node& node = tape.nodes[index];
  std::string text;
  for (const Edge& edge : node.edge_list()) {
    if (edge.input == no_node) continue;
    const Tensor* value = value_of(tape, edge.input);
    text += fmt::format("\n  input, {}{}{}", node_text(tape, edge.input), value == nullptr ? "" : ": ",
                        value == nullptr ? "" : value_summary(*value));
  }
  std::string upstream;
  for (std::uint32_t k = 0; k < gs.size(); ++k) {
    upstream += fmt::format("\n  the gradient of its result{}: {}", which(k, gs.size()),
                            value_summary(gs[k].value()));
    if (const Tensor* value = value_of(tape, index + k))
      text += fmt::format("\n  its result{}: {}", which(k, gs.size()), value_summary(*value));
  }
  fail<NumericError>(
      "backward: the gradient of {}, recorded at {}, with respect to its input, {}, is not finite: {}{}{}",
      node.name, place_text(tape, node), node_text(tape, input), value_summary(sum), upstream, text);
}

}  // namespace gradus::detail
