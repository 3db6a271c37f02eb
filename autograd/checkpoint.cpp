#include "autograd/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "autograd/sweep.hpp"

namespace gradus::detail {

namespace {

using Variables = std::vector<Variable>;

/// Several results as one, since a node has one: end to end. One passes as it is.
Variable packed(const Variables& parts, Where where) {
  if (parts.empty()) fail<ArgumentError>("checkpoint at {}: f gave no result", where.text());
  if (parts.size() == 1) return parts.front();
  Variables flat;
  for (const Variable& part : parts) flat.push_back(reshape(part, {part.size()}, where));
  return concat(flat, 0, where);
}
Variables unpacked(const Variable& all, const std::vector<Shape>& shapes, Where where) {
  if (shapes.size() == 1) return {all};
  Variables out;
  std::int64_t at = 0;
  for (const Shape& shape : shapes) {
    out.push_back(reshape(slice(all, 0, at, at + shape.size(), where), shape, where));
    at += shape.size();
  }
  return out;
}

/// What one checkpoint saves.
struct Saved {
  CheckpointFunction f;
  Variables inputs;
  Variables captured;  // parameters and Variables that f uses beside its inputs
  TapeOptions options;
  Where where;

  /// f on other Variables, on a copy, so that its state is that of the first call.
  Variables run(std::span<const Variable> xs) const {
    CheckpointFunction copy = f;
    return copy(xs);
  }
  void check(const Variable& y, const Shape& shape) const {
    if (y.shape() == shape) return;
    fail<ShapeError>(
        "checkpoint at {}: f gave results of {} elements when it was first called, and of {} when it was "
        "computed again; it must give the same for the same inputs",
        where.text(), shape.size(), y.size());
  }
};

[[noreturn]] void fail_other_captured(const Saved& saved, const Shape& shape) {
  fail<TapeError>(
      "checkpoint at {}: when computed again, f used a parameter or Variable of shape {} that it did not use "
      "at "
      "first; it must do the same each time, and capture layers by reference, as a copied parameter is "
      "another "
      "one: checkpoint([&](const Variable& x) {{ return layer(x); }}, x)",
      saved.where.text(), shape);
}

/// A node for each input that has a gradient, and a constant for the others.
Variables entered(TapeStorage& tape, const Saved& saved, std::vector<std::uint32_t>& nodes) {
  Variables out;
  for (const Variable& x : saved.inputs) {
    out.push_back(x.is_constant() ? x : push_node(tape, {"checkpoint", saved.where}, x.value(), nullptr, 0));
    nodes.push_back(x.is_constant() ? no_node : out.back().place().index());
  }
  return out;
}

/// The gradients of inputs and captured, by a tape that ends with the call.
void differentiate_again(const Saved& saved, const Tensor& g, std::span<Tensor> out) {
  const Tape again(saved.options);
  TapeStorage& tape = *active_tape();
  tape.others = Others::captured;
  std::vector<std::uint32_t> nodes;
  const Variables inputs = entered(tape, saved, nodes);
  for (const Variable& x : saved.captured) nodes.push_back(tape.other_node(x, {"checkpoint", saved.where}));
  const Variable y = packed(saved.run(inputs), saved.where);
  saved.check(y, g.shape());
  if (tape.captured.size() > saved.captured.size())
    fail_other_captured(saved, tape.captured.back().x.shape());
  const std::uint32_t last = resolve(tape, y, {"checkpoint", saved.where});
  if (last == no_node) return;
  const PathStart start{last, Variable(g)};
  Variables found = sweep_paths(tape, {&start, 1}, nodes, {.record = false, .consume = true});
  for (std::size_t i = 0; i < found.size(); ++i) out[i] = std::move(found[i]).take();
}

/// The same in ops recorded on the active tape.
Variables differentiate_recorded(const Saved& saved, const Variable& g) {
  TapeStorage& tape = *active_tape();
  const Op op("checkpoint", saved.where);
  const auto begin = static_cast<std::uint32_t>(tape.nodes.size());
  Variables inputs;
  std::vector<std::uint32_t> nodes;
  for (const Variable& x : saved.inputs) {
    inputs.push_back(identity(x, saved.where));
    nodes.push_back(resolve(tape, inputs.back(), op));
  }
  for (const Variable& x : saved.captured) nodes.push_back(resolve(tape, x, op));
  const std::size_t leaves = tape.leaves.size();
  const Variable y = packed(saved.run(inputs), saved.where);
  saved.check(y, g.shape());
  if (tape.leaves.size() > leaves) fail_other_captured(saved, tape.nodes[tape.leaves.back().node].shape);
  const std::uint32_t last = resolve(tape, y, op);
  if (last == no_node) return Variables(nodes.size());
  const PathStart start{last, g};
  return sweep_paths(tape, {&start, 1}, nodes, {.begin = begin});
}

/// The first call: its results without their tape, and what f captured.
Variables first_run(Saved& saved) {
  const Tape once(saved.options);
  TapeStorage& tape = *active_tape();
  tape.others = Others::captured;
  std::vector<std::uint32_t> nodes;
  const Variables inputs = entered(tape, saved, nodes);
  Variables out;
  for (Variable& y : saved.run(inputs)) {
    resolve(tape, y, {"checkpoint", saved.where});  // a captured Variable may be the result itself
    out.push_back(detach(y));
  }
  for (const Captured& found : tape.captured) saved.captured.push_back(found.x);
  return out;
}

}  // namespace

Variables checkpoint(const CheckpointFunction& f, std::span<const Variable> inputs, Where where) {
  if (active_head == nullptr) {
    CheckpointFunction copy = f;
    return copy(inputs);
  }
  const auto saved =
      std::make_shared<Saved>(Saved{f, {inputs.begin(), inputs.end()}, {}, active_tape()->options, where});
  const Variables results = first_run(*saved);
  std::vector<Shape> shapes;
  for (const Variable& y : results) shapes.push_back(y.shape());
  const Tensor value = packed(results, where).value();

  Variables all = saved->inputs;
  all.insert(all.end(), saved->captured.begin(), saved->captured.end());
  const auto fused = [saved](const Tensor& g, std::span<const bool>, std::span<Tensor> out) {
    differentiate_again(*saved, g, out);
  };
  const auto by_ops = [saved](const Variable& g) { return differentiate_recorded(*saved, g); };
  return unpacked(record({"checkpoint", where}, value, jointly(all, fused, by_ops)), shapes, where);
}

Variables checkpoint_steps(const CheckpointStep& step, Variables state, std::int64_t steps,
                           std::int64_t segment, Where where) {
  if (steps < 0 || segment < 0) {
    fail<ArgumentError>("checkpoint_sequence at {}: {} steps in segments of {}; neither may be negative",
                        where.text(), steps, segment);
  }
  if (segment == 0) segment = std::max<std::int64_t>(1, std::llround(std::sqrt(static_cast<double>(steps))));
  for (std::int64_t begin = 0; begin < steps; begin += segment) {
    const std::int64_t end = std::min(steps, begin + segment);
    state = checkpoint(
        [step, begin, end](std::span<const Variable> from) {
          Variables now(from.begin(), from.end());
          for (std::int64_t t = begin; t < end; ++t) now = step(now, t);
          return now;
        },
        state, where);
  }
  return state;
}

}  // namespace gradus::detail
