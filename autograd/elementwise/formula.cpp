#include "autograd/elementwise/formula.hpp"

#include <array>

namespace gradus::detail {

namespace {

/// What costs more to compute again than to write and to read back from a near cache.
constexpr std::int64_t worth_keeping = 8;
/// Up to here what is kept stays in the cache until backward. Beyond, memory is slower than computing again,
/// and dearer.
constexpr std::int64_t most_elements_kept = std::int64_t{1} << 21;

bool keeps(const Shape& shape) {
  return shape.size() <= most_elements_kept;
}

}  // namespace

Differential::Differential(const Formula& of, std::uint32_t wanted)
    : graph_(of.graph()), output_(of.output()), inputs_(of.inputs().begin(), of.inputs().end()) {
  const ExprId y = of.output();
  const ExprId g = graph_.input(static_cast<int>(inputs_.size()));
  g_ = g;
  std::vector<ExprId> xs;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if ((wanted >> i & 1u) != 0) xs.push_back(inputs_[i]);
  }
  if (of.slopes().empty()) {
    gradients_ = differentiate(graph_, y, g, xs);
  } else {
    for (std::size_t i = 0; i < of.slopes().size(); ++i)
      if ((wanted >> i & 1u) != 0) gradients_.push_back(of.slopes()[i]);
  }
  formulas_.resize(gradients_.size());

  std::vector<ExprId> given = inputs_;
  given.push_back(g);
  // The result is there anyway, so it is read where computing it again costs more than reading.
  const bool y_is_worth = cost_of(graph_[y]) >= worth_keeping;
  given.push_back(y_is_worth ? y : no_expr);
  backward_ = std::make_unique<Evaluation>(graph_, given, gradients_);
  reads_result_ = backward_->reads(inputs_.size() + 1);
  choose_kept(y, g);

  given.insert(given.end(), kept_.begin(), kept_.end());
  backward_kept_ = std::make_unique<Evaluation>(graph_, given, gradients_);
  std::vector<ExprId> outputs{y};
  forward_ = std::make_unique<Evaluation>(graph_, inputs_, outputs);
  outputs.insert(outputs.end(), kept_.begin(), kept_.end());
  forward_keeping_ = std::make_unique<Evaluation>(graph_, inputs_, outputs);
  // The gradients as formulas of their own, which are recorded, know nothing but the inputs and g.
  std::vector<ExprId> inputs_and_g = inputs_;
  inputs_and_g.push_back(g);
  const std::vector<bool> recorded = needed(graph_, inputs_and_g, gradients_);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    reads_.push_back(recorded[static_cast<std::size_t>(inputs_[i])] || backward_->reads(i) ||
                     backward_kept_->reads(i));
  }
}

/// The costly values of the forward pass that the backward pass uses.
void Differential::choose_kept(ExprId y, ExprId inputs_end) {
  std::vector<ExprId> candidates;
  for (ExprId id = 0; id < inputs_end; ++id) {
    if (id != y && cost_of(graph_[id]) >= worth_keeping) candidates.push_back(id);
  }
  // Used by the backward pass and by the forward pass.
  std::vector<ExprId> given = inputs_;
  given.push_back(inputs_end);
  given.push_back(cost_of(graph_[y]) >= worth_keeping ? y : no_expr);
  const std::size_t first = given.size();
  given.insert(given.end(), candidates.begin(), candidates.end());
  const std::vector<bool> used = needed(graph_, given, gradients_);
  const std::vector<bool> computed = needed(graph_, inputs_, std::array{y});
  for (std::size_t i = 0; i < candidates.size() && kept_.size() < most_kept; ++i) {
    const auto at = static_cast<std::size_t>(candidates[i]);
    if (used[at] && computed[at]) kept_.push_back(given[first + i]);
  }
}

Tensor Differential::forward(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                             std::span<Tensor, most_kept> kept) const {
  std::array<Tensor, 1 + most_kept> out;
  if (keeps(shape)) {
    forward_keeping_->run(inputs, shape, dtype, std::span(out).first(1 + kept_.size()));
  } else {
    forward_->run(inputs, shape, dtype, std::span(out).first(1));
  }
  for (std::size_t i = 0; i < most_kept; ++i) kept[i] = std::move(out[1 + i]);
  return std::move(out[0]);
}

void Differential::backward(const Tensor& g, std::span<const Tensor* const> inputs, const Tensor& result,
                            std::span<const Tensor, most_kept> kept, std::span<Tensor> out) const {
  std::array<const Tensor*, Program::most_arrays> given;
  std::size_t count = 0;
  for (const Tensor* x : inputs) given[count++] = x;
  given[count++] = &g;
  given[count++] = &result;
  const Shape shape = g.shape();
  if (!keeps(shape)) return backward_->run(std::span(given).first(count), shape, g.dtype(), out);
  for (std::size_t i = 0; i < kept_.size(); ++i) given[count++] = &kept[i];
  backward_kept_->run(std::span(given).first(count), shape, g.dtype(), out);
}

const Evaluation& Differential::summing() const {
  const std::lock_guard lock(mutex_);
  if (!summing_) {
    std::vector<ExprId> given = inputs_;
    given.push_back(g_);
    std::vector<ExprId> outputs{output_};
    outputs.insert(outputs.end(), gradients_.begin(), gradients_.end());
    summing_ = std::make_unique<Evaluation>(graph_, given, outputs);
  }
  return *summing_;
}

double Differential::sum(const Tensor& g, std::span<const Tensor* const> inputs, const Shape& shape,
                         std::span<Tensor> out) const {
  std::array<const Tensor*, Program::most_arrays> given;
  std::size_t count = 0;
  for (const Tensor* x : inputs) given[count++] = x;
  given[count++] = &g;
  std::array<Tensor, 1 + Program::most_arrays> outputs;
  const double total = summing().run_summing(std::span(given).first(count), shape, g.dtype(),
                                             std::span(outputs).first(1 + out.size()));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::move(outputs[1 + i]);
  return total;
}

FormulaPtr Differential::gradient(std::size_t i) const {
  const std::lock_guard lock(mutex_);
  if (!formulas_[i]) {
    formulas_[i] = std::make_shared<const Formula>(graph_, inputs_.size() + 1, gradients_[i]);
  }
  return formulas_[i];
}

std::vector<ExprId> Formula::make_inputs(Graph& graph, std::size_t count) {
  std::vector<ExprId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(graph.input(static_cast<int>(i)));
  return out;
}

Formula::Formula(Graph graph, std::size_t inputs, ExprId output)
    : graph_(std::move(graph)),
      inputs_(make_inputs(graph_, inputs)),
      output_(output),
      differentiable_(differentiable_inputs(graph_, output)),
      evaluation_(graph_, inputs_, std::array{output}) {}

Formula::Formula(Graph graph, std::size_t inputs, ExprId output, std::vector<ExprId> slopes)
    : Formula(std::move(graph), inputs, output) {
  slopes_ = std::move(slopes);
  differentiable_ = (1u << slopes_.size()) - 1;
}

Tensor Formula::value(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const {
  std::array<Tensor, 1> out;
  evaluation_.run(inputs, shape, dtype, out);
  return std::move(out[0]);
}

double Formula::sum(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype) const {
  std::array<Tensor, 1> out;
  return evaluation_.run_summing(inputs, shape, dtype, out);
}

std::shared_ptr<const Differential> Formula::differential(std::uint32_t wanted) const {
  const auto find = [&]() -> const Known* {
    const Known* at = known_.load(std::memory_order_acquire);
    while (at != nullptr && at->wanted != wanted) at = at->next.get();
    return at;
  };
  if (const Known* found = find()) return found->differential;
  const std::lock_guard lock(mutex_);
  if (const Known* found = find()) return found->differential;
  auto made = std::make_shared<const Differential>(*this, wanted);
  owned_ = std::make_unique<const Known>(Known{wanted, std::move(made), std::move(owned_)});
  known_.store(owned_.get(), std::memory_order_release);
  return owned_->differential;
}

}  // namespace gradus::detail
