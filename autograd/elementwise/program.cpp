#include "autograd/elementwise/program.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "tensor/kernels/kernels.hpp"
#include "tensor/kernels/strided.hpp"
#include "tensor/ops/reduction.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::detail {

namespace {

// Elements a block: a few rows of this length stay in the L1 cache beside the inputs' parts.
constexpr std::int64_t block = 1024;
constexpr std::size_t most_arrays = Program::most_arrays;

/// The arrays that a run reads and writes.
template <class T>
struct Arrays {
  std::array<const T*, most_arrays> inputs;
  std::array<bool, most_arrays> single;  // one element that serves for all
  std::array<bool, most_arrays> spread;  // the array has this block alone
  std::array<T*, most_arrays> outputs;
  const T* constants = nullptr;
  T* summed = nullptr;  // where a block of output 0 is written if only its sum is wanted

  T* output(std::size_t i, std::int64_t begin) const {
    return i == 0 && summed != nullptr ? summed : outputs[i] + begin;
  }
};

/// An input that is stretched, which is spread out block by block.
template <class T>
struct Spread {
  std::size_t input;
  const T* from;
  kernels::Strided view;
};

/// What a slot is for the block at `begin`.
template <class T>
struct Operand {
  const T* at;
  bool single;
};

/// Which rows hold one value that serves for all elements, being computed of such values alone; only the
/// first rows are looked at.
using SingleRows = std::array<bool, 64>;

template <class T>
Operand<T> operand(const Arrays<T>& arrays, const T* rows, const SingleRows& single, Slot slot,
                   std::int64_t begin) {
  switch (slot.kind) {
    case Slot::Kind::input:
      if (arrays.single[slot.index]) return {arrays.inputs[slot.index], true};
      return {arrays.inputs[slot.index] + (arrays.spread[slot.index] ? 0 : begin), false};
    case Slot::Kind::output:
      return {arrays.output(slot.index, begin), false};
    case Slot::Kind::constant:
      return {arrays.constants + slot.index, true};
    case Slot::Kind::row:
      break;
  }
  return {rows + slot.index * block, slot.index < single.size() && single[slot.index]};
}

template <class T>
void run_block(std::span<const Instruction> instructions, const Arrays<T>& arrays, T* rows,
               std::int64_t begin, std::int64_t elements) {
  const kernels::Kernels<T>& simd = kernels::selected<T>();
  SingleRows single{};
  for (const Instruction& step : instructions) {
    const bool to_row = step.result.kind == Slot::Kind::row;
    T* const to = to_row ? rows + step.result.index * block : arrays.output(step.result.index, begin);
    const InstructionKind kind = step.kind;
    const Operand<T> a = operand(arrays, static_cast<const T*>(rows), single, step.a, begin);
    Operand<T> b{nullptr, true}, c{nullptr, true};
    if (kind != InstructionKind::unary)
      b = operand(arrays, static_cast<const T*>(rows), single, step.b, begin);
    if (kind == InstructionKind::ternary || kind == InstructionKind::product)
      c = operand(arrays, static_cast<const T*>(rows), single, step.c, begin);
    const bool once = a.single && b.single && c.single;
    const std::int64_t n = once ? 1 : elements;
    switch (kind) {
      case InstructionKind::unary:
        simd.unary(static_cast<kernels::Unary>(step.function), a.at, to, n);
        break;
      case InstructionKind::binary:
        simd.binary(static_cast<kernels::Binary>(step.function), a.at, a.single, b.at, b.single, to, n);
        break;
      case InstructionKind::ternary:
        simd.ternary(static_cast<kernels::Ternary>(step.function), a.at, a.single, b.at, b.single, c.at,
                     c.single, to, n);
        break;
      case InstructionKind::product:
        simd.product(a.at, a.single, b.at, b.single, c.at, c.single, to, n);
        break;
    }
    const bool kept_single = once && to_row && step.result.index < single.size();
    if (to_row && step.result.index < single.size()) single[step.result.index] = kept_single;
    if (once && !kept_single) simd.fill(T{*to}, to, elements);
  }
}

}  // namespace

template <class T>
void Program::run_as(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs,
                     const Shape& shape, double* sums) const {
  const std::int64_t n = shape.size();
  if (n == 0) return;
  Arrays<T> arrays;
  storage::PoolVector<Spread<T>> spread;  // seldom any
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    arrays.spread[i] = false;
    if (inputs[i] == nullptr || !inputs[i]->defined()) continue;  // one that is not read
    arrays.inputs[i] = inputs[i]->data<T>();
    arrays.single[i] = inputs[i]->size() == 1;
    if (arrays.single[i] || inputs[i]->has_shape(shape)) continue;
    spread.push_back({i, arrays.inputs[i], kernels::broadcast_view(inputs[i]->shape(), shape).merged()});
    arrays.spread[i] = true;
  }
  for (std::size_t i = sums == nullptr ? 0 : 1; i < outputs.size(); ++i)
    arrays.outputs[i] = outputs[i]->mutable_data<T>();
  std::array<T, 32> few;
  Tensor many;
  T* constants = few.data();
  if (constants_.size() > few.size()) {
    many = Tensor::uninitialized({static_cast<std::int64_t>(constants_.size())}, dtype_of<T>());
    constants = many.mutable_data<T>();
  }
  std::transform(constants_.begin(), constants_.end(), constants, [](double x) { return static_cast<T>(x); });
  arrays.constants = constants;
  parallel::for_range(
      n, cost_,
      [&](std::int64_t begin, std::int64_t end) {
        Tensor scratch;
        T* rows = nullptr;
        if (rows_ > 0 || sums != nullptr || !spread.empty()) {
          scratch = Tensor::uninitialized({(rows_ + 1 + std::ssize(spread)) * block}, dtype_of<T>());
          rows = scratch.mutable_data<T>();
        }
        Arrays<T> mine = arrays;
        T* next = rows + rows_ * block;
        if (sums != nullptr) mine.summed = std::exchange(next, next + block);
        for (const Spread<T>& one : spread) mine.inputs[one.input] = std::exchange(next, next + block);
        for (std::int64_t at = begin; at < end; at += block) {
          const std::int64_t count = std::min(block, end - at);
          for (const Spread<T>& one : spread)
            kernels::read_part(one.from, one.view, at, count, const_cast<T*>(mine.inputs[one.input]));
          run_block<T>(instructions_, mine, rows, at, count);
          if (sums != nullptr)
            sums[at / block] = kernels::selected<T>().fold(kernels::Fold::sum, mine.summed, count);
        }
      },
      block);
}

double Program::run_summing(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs,
                            const Shape& shape, Dtype dtype) const {
  const std::int64_t n = shape.size();
  storage::PoolVector<double> sums(static_cast<std::size_t>((n + block - 1) / block));
  if (dtype == Dtype::f32) {
    run_as<float>(inputs, outputs, shape, sums.data());
  } else {
    run_as<double>(inputs, outputs, shape, sums.data());
  }
  return n == 0 ? 0 : kernels::selected<double>().fold(kernels::Fold::sum, sums.data(), std::ssize(sums));
}

void Program::run(std::span<const Tensor* const> inputs, std::span<Tensor* const> outputs) const {
  const Shape shape = outputs.front()->shape();
  if (outputs.front()->dtype() == Dtype::f32) {
    run_as<float>(inputs, outputs, shape, nullptr);
  } else {
    run_as<double>(inputs, outputs, shape, nullptr);
  }
}

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
  run_outputs(inputs, shape, dtype, outputs, false);
}

double Evaluation::run_summing(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                               std::span<Tensor> outputs) const {
  if (sources_.front().kind == Source::Kind::computed)
    return run_outputs(inputs, shape, dtype, outputs, true);
  run_outputs(inputs, shape, dtype, outputs, false);
  return sum(std::exchange(outputs[0], Tensor())).item();
}

double Evaluation::run_outputs(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                               std::span<Tensor> outputs, bool summing) const {
  double total = 0;
  if (program_) {
    std::array<const Tensor*, Program::most_arrays> arrays;
    std::array<Tensor*, Program::most_arrays> results;
    for (std::size_t i = 0; i < inputs.size(); ++i) arrays[i] = reads_[i] ? inputs[i] : nullptr;
    for (std::size_t i = sources_.size(); i-- > 0;) {
      if (sources_[i].kind == Source::Kind::computed) results[sources_[i].index] = &outputs[i];
    }
    // What the first output is computed for is the first that is computed.
    for (std::size_t i = summing ? 1 : 0; i < computed_.size(); ++i)
      *results[i] = Tensor::uninitialized(shape, dtype);
    const auto from = std::span(arrays).first(inputs.size());
    const auto to = std::span(results).first(computed_.size());
    if (summing) {
      total = program_->run_summing(from, to, shape, dtype);
    } else {
      program_->run(from, to);
    }
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
  return total;
}

}  // namespace gradus::detail
