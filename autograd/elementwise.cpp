#include "autograd/elementwise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "autograd/elementwise/formula.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "tensor/ops/reduction.hpp"

namespace gradus::detail {

namespace {

// The operands of a function, and one more for each result with each order of differentiation.
constexpr std::size_t most_operands = 20;

using Pointers = std::array<const Tensor*, most_operands>;
/// Pointers, as a call should copy no Variable: small tensors are worth a few hundred nanoseconds in all.
using Operands = std::span<const Variable* const>;

template <std::size_t n>
std::span<const Tensor* const> values_of(Operands operands, std::array<const Tensor*, n>& values) {
  for (std::size_t i = 0; i < operands.size(); ++i) values[i] = &operands[i]->value();
  return std::span(values).first(operands.size());
}

void check_count(const Op& op, std::size_t count) {
  if (count <= most_operands) return;
  fail<ArgumentError>("{}: its derivative of this order has {} operands, of at most {}", op.name, count,
                      most_operands);
}

const Tensor& tensor_of(const VariableOperand& x) {
  return x.variable.value();
}
const Tensor& tensor_of(const TensorOperand& x) {
  return x.tensor();
}
/// The dtype of the first tensor, which numbers take.
template <class Operand>
Dtype dtype_of_all(std::initializer_list<const Operand*> operands) {
  for (const Operand* x : operands) {
    if (!x->is_number()) return tensor_of(*x).dtype();
  }
  return Dtype::f64;
}

Variable apply(const Op& op, const FormulaPtr& formula, Operands operands);

/// What the gradient of one call needs.
template <std::size_t n>
struct Saved {
  Op op;
  std::shared_ptr<const Differential> differential;
  std::array<Variable, n> operands;
  std::array<Tensor, Differential::most_kept> kept;
  Tensor result;
  std::uint32_t operand_count = 0;

  void backward(const Tensor& g, std::span<Tensor> out) const {
    std::array<const Tensor*, n> values;
    for (std::size_t i = 0; i < operand_count; ++i) values[i] = &operands[i].value();
    const Tensor* const up = &g;
    differential->backward({&up, 1}, g.shape(), std::span(values).first(operand_count), {&result, 1}, kept,
                           out);
  }
  /// The i-th gradient in ops that are recorded.
  Variable gradient(const Variable& g, std::size_t i) const {
    const FormulaPtr formula = differential->gradient(i);
    std::array<const Variable*, n + 1> all;
    for (std::size_t k = 0; k < operand_count; ++k) all[k] = &operands[k];
    all[operand_count] = &g;
    return apply(op, formula, std::span(all).first(operand_count + 1));
  }
};

/// The gradients of all wanted inputs in one pass, and each as an op for derivatives of higher order.
template <std::size_t n>
struct JointGradient {
  Saved<n> saved;
  std::size_t count;

  void operator()(const Tensor& g, std::span<const bool>, std::span<Tensor> out) const {
    saved.backward(g, out);
  }
  std::vector<Variable> operator()(const Variable& g) const {
    std::vector<Variable> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(saved.gradient(g, i));
    return out;
  }
};

/// The gradients of a sum, made with it for an upstream gradient of 1.
struct SumGradient {
  Op op;
  std::shared_ptr<const Differential> differential;
  std::array<Variable, most_given> operands;
  std::size_t operand_count, count;
  double factor;
  std::array<Tensor, most_given> made;

  void operator()(const Tensor& g, std::span<const bool>, std::span<Tensor> out) const {
    const double upstream = g.item();
    for (std::size_t i = 0; i < count; ++i) out[i] = upstream == 1 ? made[i] : made[i] * upstream;
  }
  std::vector<Variable> operator()(const Variable& g) const {
    const Variable scaled = g * factor;
    std::array<const Variable*, most_given + 1> all;
    for (std::size_t k = 0; k < operand_count; ++k) all[k] = &operands[k];
    all[operand_count] = &scaled;
    std::vector<Variable> out;
    for (std::size_t i = 0; i < count; ++i)
      out.push_back(apply(op, differential->gradient(i), std::span(all).first(operand_count + 1)));
    return out;
  }
};

/// The same of a function of several results.
struct SeveralGradient {
  Op op;
  FormulaPtr formula;
  std::uint32_t wanted;
  std::shared_ptr<const Differential> differential;  // of all results
  std::vector<Variable> operands;
  std::array<Tensor, Differential::most_kept> kept;
  std::vector<Tensor> results;

  void operator()(std::span<const Tensor> gs, std::span<const bool>, std::span<Tensor> out) const {
    std::vector<const Tensor*> up, values;
    std::vector<Tensor> used;
    const std::shared_ptr<const Differential> of = of_used(gs, up, used);
    for (const Variable& x : operands) values.push_back(&x.value());
    of->backward(up, up.front()->shape(), values, used,
                 of == differential ? std::span<const Tensor>(kept) : std::span<const Tensor>(), out);
  }
  std::vector<Variable> operator()(std::span<const Variable> gs) const {
    std::vector<const Variable*> all;
    for (const Variable& x : operands) all.push_back(&x);
    std::vector<Tensor> used;
    const std::shared_ptr<const Differential> of = of_used(gs, all, used);
    std::vector<Variable> out;
    for (int i = 0; i < std::popcount(wanted); ++i) {
      const FormulaPtr gradient = of->gradient(static_cast<std::size_t>(i));
      out.push_back(gradient ? apply(op, gradient, all) : Variable());
    }
    return out;
  }

 private:
  /// The derivative of the results that were used: of another the gradient is not 0 but nothing, since 0
  /// times an infinite slope is NaN. Adds their gradients to `up`, and themselves to `used`.
  template <class G>
  std::shared_ptr<const Differential> of_used(std::span<const G> gs, std::vector<const G*>& up,
                                              std::vector<Tensor>& used) const {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < gs.size(); ++k) {
      if (!value_of(gs[k]).defined()) continue;
      bits |= 1u << k;
      up.push_back(&gs[k]);
      used.push_back(results[k]);
    }
    return used.size() == gs.size() ? differential : formula->differential(wanted, bits);
  }
};

template <std::size_t n>
Variable record_wanted(const Op& op, const FormulaPtr& formula, Operands operands, std::uint32_t wanted) {
  Saved<n> saved{.op = op,
                 .differential = formula->differential(wanted),
                 .operands = {},
                 .kept = {},
                 .result = {},
                 .operand_count = static_cast<std::uint32_t>(operands.size())};
  std::array<const Tensor*, n> values;
  const std::span<const Tensor* const> inputs = values_of(operands, values);
  const Common common(op.name, inputs);
  Tensor value;
  saved.differential->forward(inputs, common.shape, common.dtype, {&value, 1}, saved.kept);
  if (saved.differential->reads_result(0)) saved.result = value;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (saved.differential->reads(i)) saved.operands[i] = *operands[i];
  }
  if (std::popcount(wanted) == 1) {
    const Variable& x = *operands[static_cast<std::size_t>(std::countr_zero(wanted))];
    return record(op, std::move(value), wrt(x, batching([saved = std::move(saved)](const Variable& g) {
                                              if (active_head != nullptr) return saved.gradient(g, 0);
                                              std::array<Tensor, 1> out;
                                              saved.backward(g.value(), out);
                                              return Variable(std::move(out[0]));
                                            })));
  }
  std::array<Variable, n> xs;
  std::size_t count = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if ((wanted >> i & 1u) != 0) xs[count++] = *operands[i];
  }
  return record(
      op, std::move(value),
      jointly(std::span<const Variable>(xs).first(count), JointGradient<n>{std::move(saved), count}));
}

/// The operands, as bits, with respect to which a derivative is recorded.
std::uint32_t wanted_of(const Formula& formula, Operands operands) {
  if (active_head == nullptr) return 0;
  std::uint32_t wanted = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (!operands[i]->is_constant()) wanted |= 1u << i;
  }
  return wanted & formula.differentiable();
}

Variable apply(const Op& op, const FormulaPtr& formula, Operands operands) {
  check_count(op, operands.size());
  const std::uint32_t wanted = wanted_of(*formula, operands);
  if (wanted == 0) {
    Pointers values;
    const std::span<const Tensor* const> inputs = values_of(operands, values);
    const Common common(op.name, inputs);
    return Variable(formula->value(inputs, common.shape, common.dtype));
  }
  if (operands.size() == 1) return record_wanted<1>(op, formula, operands, wanted);
  if (operands.size() == 2) return record_wanted<2>(op, formula, operands, wanted);
  if (operands.size() == 3) return record_wanted<3>(op, formula, operands, wanted);
  if (operands.size() <= 8) return record_wanted<8>(op, formula, operands, wanted);
  return record_wanted<most_operands>(op, formula, operands, wanted);
}

}  // namespace

Tracing::Tracing(int inputs) : inputs_(inputs), graph_(std::make_unique<Graph>()) {
  for (int i = 0; i < inputs; ++i) graph_->input(i);
}
Tracing::~Tracing() = default;

Symbol Tracing::input(int position) {
  return {graph_.get(), graph_->input(position), scope_.trace()};
}

FormulaPtr Tracing::finish_all(std::span<const Symbol> results) {
  std::vector<ExprId> outputs;
  for (const Symbol& result : results) outputs.push_back(id_of(result));
  return std::make_shared<const Formula>(std::move(*graph_), static_cast<std::size_t>(inputs_),
                                         std::move(outputs));
}

ExprId Tracing::id_of(const Symbol& x) {
  if (x.graph() != nullptr && x.trace() != scope_.trace()) {
    fail<ArgumentError>(
        "elementwise: the function returns a symbol of another function; do not store or capture symbols");
  }
  return x.graph() == nullptr ? graph_->constant(x.number()) : x.id();
}

FormulaPtr Tracing::finish(const Symbol& result) {
  const ExprId output = id_of(result);
  return std::make_shared<const Formula>(std::move(*graph_), static_cast<std::size_t>(inputs_), output);
}

FormulaPtr Tracing::finish(const Symbol& result, std::span<const Symbol> slopes) {
  const ExprId output = id_of(result);
  std::vector<ExprId> of_operands;
  for (const Symbol& slope : slopes) of_operands.push_back(id_of(slope));
  return std::make_shared<const Formula>(std::move(*graph_), static_cast<std::size_t>(inputs_ - 1), output,
                                         std::move(of_operands));
}

/// The operands as Variables.
class GivenOperands {
 public:
  explicit GivenOperands(std::initializer_list<const VariableOperand*> operands) {
    for (const VariableOperand* x : operands) {
      if (x->is_number()) {
        numbers_.reserve(operands.size());  // they stay where they are
        numbers_.emplace_back(Tensor::scalar(x->number(), dtype_of_all(operands)));
      }
      variables_[count_++] = x->is_number() ? &numbers_.back() : &x->variable;
    }
  }
  Operands all() const { return std::span(variables_).first(count_); }

 private:
  std::vector<Variable, storage::PoolAllocator<Variable>> numbers_;  // seldom any
  std::array<const Variable*, most_given> variables_;
  std::size_t count_ = 0;
};

Variable record_formula(const Op& op, const FormulaPtr& formula,
                        std::initializer_list<const VariableOperand*> operands) {
  const InOp in(op);
  return apply(op, formula, GivenOperands(operands).all());
}

void record_formulas(const Op& op, const FormulaPtr& formula,
                     std::initializer_list<const VariableOperand*> given, std::span<Variable> results) {
  const InOp in(op);
  const GivenOperands variables(given);
  const Operands operands = variables.all();
  Pointers values;
  const std::span<const Tensor* const> inputs = values_of(operands, values);
  const Common common(op.name, inputs);
  const std::uint32_t wanted = wanted_of(*formula, operands);
  std::vector<Tensor> out(results.size());
  if (wanted == 0) {
    formula->values(inputs, common.shape, common.dtype, out);
    for (std::size_t k = 0; k < out.size(); ++k) results[k] = Variable(std::move(out[k]));
    return;
  }
  SeveralGradient gradient{.op = op,
                           .formula = formula,
                           .wanted = wanted,
                           .differential = formula->differential(wanted),
                           .operands = std::vector<Variable>(operands.size()),
                           .kept = {},
                           .results = {}};
  gradient.differential->forward(inputs, common.shape, common.dtype, out, gradient.kept);
  gradient.results = out;
  std::vector<Variable> xs;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (gradient.differential->reads(i)) gradient.operands[i] = *operands[i];
    if ((wanted >> i & 1u) != 0) xs.push_back(*operands[i]);
  }
  std::vector<Variable> recorded = record(op, std::move(out), jointly(xs, std::move(gradient)));
  std::ranges::move(recorded, results.begin());
}

Variable record_sum(const Op& op, const FormulaPtr& formula, double factor,
                    std::initializer_list<const VariableOperand*> given) {
  const InOp in(op);
  const GivenOperands variables(given);
  const Operands operands = variables.all();
  std::array<const Tensor*, most_given> values;
  const std::span<const Tensor* const> inputs = values_of(operands, values);
  const Common common(op.name, inputs);
  const std::uint32_t wanted = wanted_of(*formula, operands);
  if (wanted == 0)
    return Variable(Tensor::scalar(factor * formula->sum(inputs, common.shape, common.dtype), common.dtype));
  SumGradient gradient{.op = op,
                       .differential = formula->differential(wanted),
                       .operands = {},
                       .operand_count = operands.size(),
                       .count = static_cast<std::size_t>(std::popcount(wanted)),
                       .factor = factor,
                       .made = {}};
  const double total =
      factor * gradient.differential->sum(Tensor::scalar(factor, common.dtype), inputs, common.shape,
                                          std::span(gradient.made).first(gradient.count));
  std::array<Variable, most_given> xs;
  std::size_t count = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    gradient.operands[i] = *operands[i];  // all, as they make the shape of the recorded gradients
    if ((wanted >> i & 1u) != 0) xs[count++] = *operands[i];
  }
  return record(op, Tensor::scalar(total, common.dtype),
                jointly(std::span<const Variable>(xs).first(count), std::move(gradient)));
}

void run_formulas(const Op& op, const FormulaPtr& formula,
                  std::initializer_list<const TensorOperand*> operands, std::span<Tensor> results) {
  const InOp in(op);
  const Dtype dtype = dtype_of_all(operands);
  std::array<Tensor, most_given> numbers;
  Pointers values;
  std::size_t count = 0;
  for (const TensorOperand* x : operands) {
    if (x->is_number()) numbers[count] = Tensor::scalar(x->number(), dtype);
    values[count] = x->is_number() ? &numbers[count] : &x->tensor();
    ++count;
  }
  const std::span<const Tensor* const> inputs = std::span(values).first(count);
  const Common common(op.name, inputs);
  formula->values(inputs, common.shape, common.dtype, results);
}

}  // namespace gradus::detail
