#include "autograd/elementwise/formula.hpp"

#include <algorithm>
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

Differential::Differential(const Formula& of, std::uint32_t wanted, std::uint32_t used)
    : graph_(of.graph()), inputs_(of.inputs().begin(), of.inputs().end()) {
  for (std::size_t k = 0; k < of.outputs().size(); ++k) {
    if ((used >> k & 1u) != 0) outputs_.push_back(of.outputs()[k]);
  }
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    gs_.push_back(graph_.input(static_cast<int>(inputs_.size() + k)));
  std::vector<ExprId> xs;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if ((wanted >> i & 1u) != 0) xs.push_back(inputs_[i]);
  }
  if (of.slopes().empty()) {
    gradients_ = differentiate(graph_, outputs_, gs_, xs);
  } else {
    for (std::size_t i = 0; i < of.slopes().size(); ++i)
      if ((wanted >> i & 1u) != 0) gradients_.push_back(of.slopes()[i]);
  }
  formulas_.resize(gradients_.size());

  std::vector<ExprId> all = given();
  backward_ = std::make_unique<Evaluation>(graph_, all, gradients_);
  for (std::size_t k = 0; k < outputs_.size(); ++k)
    reads_results_.push_back(backward_->reads(inputs_.size() + gs_.size() + k));
  choose_kept();

  all.insert(all.end(), kept_.begin(), kept_.end());
  backward_kept_ = std::make_unique<Evaluation>(graph_, all, gradients_);
  std::vector<ExprId> outputs = outputs_;
  forward_ = std::make_unique<Evaluation>(graph_, inputs_, outputs);
  outputs.insert(outputs.end(), kept_.begin(), kept_.end());
  forward_keeping_ = std::make_unique<Evaluation>(graph_, inputs_, outputs);
  // The gradients as formulas of their own, which are recorded, know nothing but the inputs and gs.
  std::vector<ExprId> inputs_and_gs = inputs_;
  inputs_and_gs.insert(inputs_and_gs.end(), gs_.begin(), gs_.end());
  const std::vector<bool> recorded = needed(graph_, inputs_and_gs, gradients_);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    reads_.push_back(recorded[static_cast<std::size_t>(inputs_[i])] || backward_->reads(i) ||
                     backward_kept_->reads(i));
  }
}

/// What backward is given: the inputs, gs, and the results, which are there anyway, so that they are read
/// where computing them again costs more than reading.
std::vector<ExprId> Differential::given() const {
  std::vector<ExprId> out = inputs_;
  out.insert(out.end(), gs_.begin(), gs_.end());
  for (const ExprId y : outputs_) out.push_back(cost_of(graph_[y]) >= worth_keeping ? y : no_expr);
  return out;
}

/// The costly values of the forward pass that the backward pass uses.
void Differential::choose_kept() {
  std::vector<ExprId> candidates;
  for (ExprId id = 0; id < gs_.front(); ++id) {
    const bool is_output = std::ranges::find(outputs_, id) != outputs_.end();
    if (!is_output && cost_of(graph_[id]) >= worth_keeping) candidates.push_back(id);
  }
  // Used by the backward pass and by the forward pass.
  std::vector<ExprId> all = given();
  all.insert(all.end(), candidates.begin(), candidates.end());
  const std::vector<bool> used = needed(graph_, all, gradients_);
  const std::vector<bool> computed = needed(graph_, inputs_, outputs_);
  for (const ExprId id : candidates) {
    const auto at = static_cast<std::size_t>(id);
    const bool fits = kept_.size() < most_kept && given().size() + kept_.size() < Program::most_arrays;
    if (fits && used[at] && computed[at]) kept_.push_back(id);
  }
}

void Differential::forward(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                           std::span<Tensor> values, std::span<Tensor, most_kept> kept) const {
  if (!keeps(shape)) return forward_->run(inputs, shape, dtype, values);
  std::array<Tensor, Program::most_arrays> out;
  forward_keeping_->run(inputs, shape, dtype, std::span(out).first(values.size() + kept_.size()));
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = std::move(out[k]);
  for (std::size_t i = 0; i < kept_.size(); ++i) kept[i] = std::move(out[values.size() + i]);
}

void Differential::backward(std::span<const Tensor* const> gs, const Shape& shape,
                            std::span<const Tensor* const> inputs, std::span<const Tensor> results,
                            std::span<const Tensor> kept, std::span<Tensor> out) const {
  std::array<const Tensor*, Program::most_arrays> given;
  std::size_t count = 0;
  for (const Tensor* x : inputs) given[count++] = x;
  for (const Tensor* g : gs) given[count++] = g;
  for (const Tensor& result : results) given[count++] = &result;
  const Dtype dtype = gs.front()->dtype();
  if (kept.empty() || !keeps(shape)) return backward_->run(std::span(given).first(count), shape, dtype, out);
  for (std::size_t i = 0; i < kept_.size(); ++i) given[count++] = &kept[i];
  backward_kept_->run(std::span(given).first(count), shape, dtype, out);
}

const Evaluation& Differential::summing() const {
  const std::lock_guard lock(mutex_);
  if (!summing_) {
    std::vector<ExprId> given = inputs_;
    given.push_back(gs_.front());
    std::vector<ExprId> outputs{outputs_.front()};
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
  if (gradients_[i] == no_expr) return nullptr;
  const std::lock_guard lock(mutex_);
  if (!formulas_[i]) {
    formulas_[i] = std::make_shared<const Formula>(graph_, inputs_.size() + gs_.size(), gradients_[i]);
  }
  return formulas_[i];
}

std::vector<ExprId> Formula::make_inputs(Graph& graph, std::size_t count) {
  std::vector<ExprId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(graph.input(static_cast<int>(i)));
  return out;
}

Formula::Formula(Graph graph, std::size_t inputs, std::vector<ExprId> outputs)
    : graph_(std::move(graph)),
      inputs_(make_inputs(graph_, inputs)),
      outputs_(std::move(outputs)),
      differentiable_(0),
      evaluation_(graph_, inputs_, outputs_) {
  for (const ExprId output : outputs_) differentiable_ |= differentiable_inputs(graph_, output);
}

Formula::Formula(Graph graph, std::size_t inputs, ExprId output)
    : Formula(std::move(graph), inputs, std::vector<ExprId>{output}) {}

Formula::Formula(Graph graph, std::size_t inputs, ExprId output, std::vector<ExprId> slopes)
    : Formula(std::move(graph), inputs, output) {
  slopes_ = std::move(slopes);
  differentiable_ = (1u << slopes_.size()) - 1;
}

void Formula::values(std::span<const Tensor* const> inputs, const Shape& shape, Dtype dtype,
                     std::span<Tensor> out) const {
  evaluation_.run(inputs, shape, dtype, out);
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

std::shared_ptr<const Differential> Formula::differential(std::uint32_t wanted, std::uint32_t used) const {
  const auto find = [&]() -> const Known* {
    const Known* at = known_.load(std::memory_order_acquire);
    while (at != nullptr && (at->wanted != wanted || at->used != used)) at = at->next.get();
    return at;
  };
  if (const Known* found = find()) return found->differential;
  const std::lock_guard lock(mutex_);
  if (const Known* found = find()) return found->differential;
  auto made = std::make_shared<const Differential>(*this, wanted, used);
  owned_ = std::make_unique<const Known>(Known{wanted, used, std::move(made), std::move(owned_)});
  known_.store(owned_.get(), std::memory_order_release);
  return owned_->differential;
}

}  // namespace gradus::detail
