#include "autograd/anomaly.hpp"

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

}  // namespace

std::string node_text(const TapeStorage& tape, std::uint32_t index) {
  const Node& node = tape.nodes[index];
  if (node.edge_count == 0) {
    return fmt::format("a {} of shape {}, first used at {}", node.name, node.shape, place_text(tape, node));
  }
  return fmt::format("{} of shape {}, recorded at {}", node.name, node.shape, place_text(tape, node));
}

void fail_not_finite(const Op& op, const Tensor& value, std::span<const Variable* const> inputs) {
  std::string text;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]->value().defined()) continue;
    text += fmt::format("\n  input {}: {}", i, value_summary(inputs[i]->value()));
  }
  fail<NumericError>("{}, called at {}, gave a result that is not finite: {}{}", op.name, op.where.text(),
                     value_summary(value), text);
}

void check_result(TapeHead& head, const Op& op, const Tensor& value,
                  std::span<const Variable* const> inputs) {
  auto& tape = static_cast<TapeStorage&>(head);
  if (!all_finite(value)) fail_not_finite(op, value, inputs);
  tape.keep_value(static_cast<std::uint32_t>(tape.nodes.size()), value);
}

void check_gradient_of(const TapeStorage& tape, std::uint32_t index, std::uint32_t input, const Tensor& g,
                       const Tensor* sum) {
  if (sum == nullptr || !sum->defined() || all_finite(*sum)) return;
  const Node& node = tape.nodes[index];
  std::string text;
  for (const Edge& edge : node.edge_list()) {
    if (edge.input == no_node) continue;
    const Tensor* value = value_of(tape, edge.input);
    text += fmt::format("\n  input, {}{}{}", node_text(tape, edge.input), value == nullptr ? "" : ": ",
                        value == nullptr ? "" : value_summary(*value));
  }
  if (const Tensor* value = value_of(tape, index)) text += "\n  its result: " + value_summary(*value);
  fail<NumericError>(
      "backward: the gradient of {}, recorded at {}, with respect to its input, {}, is not finite: {}\n"
      "  the gradient of its result: {}{}",
      node.name, place_text(tape, node), node_text(tape, input), value_summary(*sum), value_summary(g), text);
}

}  // namespace gradus::detail
