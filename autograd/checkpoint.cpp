#include "autograd/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "autograd/tape_storage.hpp"

namespace gradus::detail {

namespace {

/// What one checkpoint saves.
struct Saved {
  CheckpointFunction f;
  Variables inputs;
  Variables captured;  // parameters and Variables that f uses beside its inputs
  TapeOptions options;
  Op op;
  std::vector<Shape> shapes;  // of the results

  /// f on other Variables, on a copy, so that its state is that of the first call.
  Variables run(std::span<const Variable> xs) const {
    CheckpointFunction copy = f;
    return copy(xs);
  }
  /// Computes the results again: where a sweep with their gradients starts.
  template <class G>
  std::vector<SweepStart> starts(TapeStorage& tape, std::span<const Variable> xs,
                                 std::span<const G> gs) const {
    const Variables ys = run(xs);
    if (ys.size() != shapes.size()) {
      fail<ShapeError>(
          "checkpoint: f gave {} results when it was first called, and {} when it was computed again; it "
          "must give the same for the same inputs",
          shapes.size(), ys.size());
    }
    std::vector<SweepStart> out;
    for (std::size_t k = 0; k < ys.size(); ++k) {
      if (ys[k].shape() != shapes[k]) {
        fail<ShapeError>(
            "checkpoint: f gave a result of shape {} when it was first called, and of {} when it was "
            "computed again; it must give the same for the same inputs",
            shapes[k], ys[k].shape());
      }
      const std::uint32_t node = resolve(tape, ys[k], op);
      const Variable g(gs[k]);
      if (node != no_node && g.value().defined()) out.push_back({node, g});
    }
    return out;
  }
};

[[noreturn]] void fail_other_captured(const Shape& shape) {
  fail<TapeError>(
      "checkpoint: when computed again, f used a parameter or Variable of shape {} that it did not use at "
      "first; it must do the same each time, and capture layers by reference, as a copied parameter is "
      "another one: checkpoint([&layer](const Variable& x) {{ return layer(x); }}, x)",
      shape);
}

/// A node for each input that has a gradient, and a constant for the others.
Variables entered(TapeStorage& tape, const Saved& saved, std::vector<std::uint32_t>& nodes) {
  Variables out;
  for (const Variable& x : saved.inputs) {
    out.push_back(x.is_constant() ? x : push_node(tape, saved.op, x.value(), nullptr, 0));
    nodes.push_back(x.is_constant() ? no_node : out.back().place().index());
  }
  return out;
}

/// The gradients of inputs and captured, by a tape that ends with the call.
void differentiate_again(const Saved& saved, std::span<const Tensor> gs, std::span<Tensor> out) {
  const Tape again(saved.options);
  TapeStorage& tape = *active_tape();
  tape.others = Others::captured;
  std::vector<std::uint32_t> nodes;
  const Variables inputs = entered(tape, saved, nodes);
  for (const Variable& x : saved.captured) nodes.push_back(tape.other_node(x, saved.op));
  const std::vector<SweepStart> starts = saved.starts(tape, inputs, gs);
  if (tape.captured.size() > saved.captured.size()) fail_other_captured(tape.captured.back().x.shape());
  Variables found = sweep_paths(tape, starts, nodes, {.record = false, .consume = true});
  for (std::size_t i = 0; i < found.size(); ++i) out[i] = std::move(found[i]).take();
}

/// The same in ops recorded on the active tape.
Variables differentiate_recorded(const Saved& saved, std::span<const Variable> gs) {
  TapeStorage& tape = *active_tape();
  const auto begin = static_cast<std::uint32_t>(tape.nodes.size());
  Variables inputs;
  std::vector<std::uint32_t> nodes;
  for (const Variable& x : saved.inputs) {
    inputs.push_back(identity(x, saved.op.where));
    nodes.push_back(resolve(tape, inputs.back(), saved.op));
  }
  for (const Variable& x : saved.captured) nodes.push_back(resolve(tape, x, saved.op));
  const std::size_t leaves = tape.leaves.size();
  const std::vector<SweepStart> starts = saved.starts(tape, inputs, gs);
  if (tape.leaves.size() > leaves) fail_other_captured(tape.nodes[tape.leaves.back().node].shape);
  return sweep_paths(tape, starts, nodes, {.begin = begin});
}

/// The first call: its results, and what f captured.
std::vector<Tensor> first_run(Saved& saved) {
  const Tape once(saved.options);
  TapeStorage& tape = *active_tape();
  tape.others = Others::captured;
  std::vector<std::uint32_t> nodes;
  const Variables inputs = entered(tape, saved, nodes);
  std::vector<Tensor> out;
  for (const Variable& y : saved.run(inputs)) {
    resolve(tape, y, saved.op);  // a captured Variable may be the result itself
    out.push_back(y.value());
    saved.shapes.push_back(y.shape());
  }
  if (out.empty()) fail<ArgumentError>("checkpoint: f gave no result");
  for (const Captured& found : tape.captured) saved.captured.push_back(found.x);
  return out;
}

}  // namespace

Variables checkpoint(const CheckpointFunction& f, std::span<const Variable> inputs, Where where) {
  const InOp op("checkpoint", where);
  if (active_head == nullptr) {
    CheckpointFunction copy = f;
    return copy(inputs);
  }
  const auto saved = std::make_shared<Saved>(
      Saved{f, {inputs.begin(), inputs.end()}, {}, active_tape()->options, static_cast<const Op&>(op), {}});
  std::vector<Tensor> results = first_run(*saved);
  Variables all = saved->inputs;
  all.insert(all.end(), saved->captured.begin(), saved->captured.end());
  const auto fused = [saved](std::span<const Tensor> gs, std::span<const bool>, std::span<Tensor> out) {
    differentiate_again(*saved, gs, out);
  };
  const auto by_ops = [saved](std::span<const Variable> gs) { return differentiate_recorded(*saved, gs); };
  return record(op, std::move(results), jointly(all, fused, by_ops));
}

Variables checkpoint_steps(const CheckpointStep& step, Variables state, std::span<const Variable> inputs,
                           std::int64_t steps, std::int64_t segment, Where where) {
  const InOp op("checkpoint_sequence", where);
  if (steps < 0 || segment < 0) {
    fail<ArgumentError>("checkpoint_sequence: {} steps in segments of {}; neither may be negative", steps,
                        segment);
  }
  if (segment == 0) segment = std::max<std::int64_t>(1, std::llround(std::sqrt(static_cast<double>(steps))));
  const std::size_t parts = state.size();
  for (std::int64_t begin = 0; begin < steps; begin += segment) {
    const std::int64_t end = std::min(steps, begin + segment);
    state.insert(state.end(), inputs.begin(), inputs.end());
    state = checkpoint(
        [step, begin, end, parts](std::span<const Variable> from) {
          Variables now(from.begin(), from.end());
          for (std::int64_t t = begin; t < end; ++t) {
            now = step(now, t);
            if (t + 1 < end)
              now.insert(now.end(), from.begin() + static_cast<std::ptrdiff_t>(parts), from.end());
          }
          return now;
        },
        state, where);
  }
  return state;
}

}  // namespace gradus::detail
