#include "models/interpolate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/cross_entropy.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/ops/softmax.hpp"
#include "autograd/tape.hpp"
#include "optim/rules.hpp"
#include "optim/schedule.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

constexpr double impossible = -std::numeric_limits<double>::infinity();
constexpr float least_log_prob = -230;  // log-linear models take smaller ones as this

void require_one_each(std::size_t weights, std::size_t models) {
  if (weights != models)
    fail<ArgumentError>("an interpolation of {} models with {} weights", models, weights);
}

/// log sum_i weight[i] exp(log_prob(i)), without underflow.
template <class LogProb>
double log_mixture(std::span<const double> weights, LogProb&& log_prob) {
  double most = impossible;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) most = std::max(most, log_prob(i));
  }
  if (most == impossible) return impossible;
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) sum += weights[i] * std::exp(log_prob(i) - most);
  }
  return most + std::log(sum);
}

void floor_log_probs(std::span<float> log_probs) {
  for (float& x : log_probs) x = std::max(x, least_log_prob);
}

/// The weights of a log-linear interpolation, to be trained.
struct LogLinearWeights {
  Parameter weight;  // (1, models)

  /// log_probs: (models, tokens, vocab); returns logits (tokens, vocab).
  Variable operator()(const Tensor& log_probs) const {
    const std::int64_t models = log_probs.dim(0), tokens = log_probs.dim(1), vocab = log_probs.dim(2);
    return reshape(matmul(weight, Variable(log_probs.reshape({models, tokens * vocab}))), {tokens, vocab});
  }
  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

}  // namespace

void require_same_vocabulary(const Vocabulary& a, std::string_view name_a, const Vocabulary& b,
                             std::string_view name_b) {
  const auto differ = [&](const std::string& how) {
    fail<DataError>("{} and {} have different vocabularies: {}; train them with the same one", name_a, name_b,
                    how);
  };
  if (a.unit() != b.unit()) differ(fmt::format("{}s and {}s", name_of(a.unit()), name_of(b.unit())));
  if (a.size() != b.size()) differ(fmt::format("{} and {} symbols", a.size(), b.size()));
  for (std::int32_t id = 0; id < a.size(); ++id) {
    if (a.symbol(id) != b.symbol(id))
      differ(fmt::format("symbol {} is '{}' and '{}'", id, a.symbol(id), b.symbol(id)));
  }
}

ModelSet::ModelSet(std::vector<ErasedModel> models) : models_(std::move(models)) {
  if (models_.empty()) fail<ArgumentError>("an interpolation of no models");
  for (std::size_t i = 1; i < models_.size(); ++i) {
    if (models_[i].vocab_size() != vocab_size()) {
      fail<ArgumentError>("an interpolation of models over {} and {} words; they need the same vocabulary",
                          vocab_size(), models_[i].vocab_size());
    }
  }
}

ModelSet::State ModelSet::start() const {
  State out;
  for (const ErasedModel& model : models_) out.push_back(model.start());
  return out;
}

ModelSet::State ModelSet::advance(const State& state, std::int32_t token) const {
  State out;
  for (std::size_t i = 0; i < models_.size(); ++i) out.push_back(models_[i].advance(state[i], token));
  return out;
}

Tensor ModelSet::log_probs(const State& state) const {
  Tensor out = Tensor::uninitialized({static_cast<std::int64_t>(size()), vocab_size()});
  float* to = out.mutable_data<float>();
  for (std::size_t i = 0; i < models_.size(); ++i) {
    const Tensor one = models_[i].log_probs(state[i]);
    to = std::copy_n(one.data<float>(), one.size(), to);
  }
  return out;
}

std::vector<double> ModelSet::log_prob(const State& state, std::int32_t token) const {
  std::vector<double> out;
  for (std::size_t i = 0; i < models_.size(); ++i) out.push_back(models_[i].log_prob(state[i], token));
  return out;
}

std::vector<std::vector<double>> ModelSet::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<std::vector<double>> out;
  for (std::size_t i = 0; i < models_.size(); ++i) out.push_back(models_[i].score(state[i], tokens));
  return out;
}

std::vector<std::vector<double>> ModelSet::score(std::span<const std::int32_t> tokens,
                                                 const ScoreProgress& report) const {
  std::vector<std::vector<double>> out;
  const auto count = static_cast<std::int64_t>(models_.size());
  for (const ErasedModel& model : models_) {
    const auto before = static_cast<std::int64_t>(out.size() * tokens.size());
    // Progress over all models, in tokens of one.
    out.push_back(models::score(model, tokens, [&](std::int64_t done) {
      if (report) report((before + done) / count);
    }));
  }
  return out;
}

Interpolation::Interpolation(ModelSet models, std::vector<double> weights)
    : models_(std::move(models)), weights_(std::move(weights)) {
  require_one_each(weights_.size(), models_.size());
}

LinearInterpolation::LinearInterpolation(ModelSet models, std::vector<double> weights)
    : Interpolation(std::move(models), std::move(weights)) {
  double sum = 0;
  for (const double weight : weights_) {
    if (!(weight >= 0))
      fail<ArgumentError>("an interpolation with a weight of {}: weights must not be negative", weight);
    sum += weight;
  }
  if (!(std::abs(sum - 1) <= 1e-6))
    fail<ArgumentError>("an interpolation with weights that add up to {}", sum);
  for (double& weight : weights_) weight /= sum;
}

Tensor LinearInterpolation::log_probs(const State& state) const {
  const Tensor all = models_.log_probs(state);
  Tensor out = Tensor::uninitialized({vocab_size()});
  float* const to = out.mutable_data<float>();
  const float* const from = all.data<float>();
  const auto vocab = static_cast<std::size_t>(vocab_size());
  for (std::size_t word = 0; word < vocab; ++word) {
    to[word] = static_cast<float>(
        log_mixture(weights_, [&](std::size_t i) { return static_cast<double>(from[i * vocab + word]); }));
  }
  return out;
}

double LinearInterpolation::log_prob(const State& state, std::int32_t token) const {
  const std::vector<double> each = models_.log_prob(state, token);
  return log_mixture(weights_, [&](std::size_t i) { return each[i]; });
}

std::vector<double> LinearInterpolation::score(State& state, std::span<const std::int32_t> tokens) const {
  return mix_log_probs(models_.score(state, tokens), weights_);
}

std::vector<double> mix_log_probs(std::span<const std::vector<double>> log_probs,
                                  std::span<const double> weights) {
  require_one_each(weights.size(), log_probs.size());
  if (log_probs.empty()) fail<ArgumentError>("an interpolation of no models");
  for (const std::vector<double>& other : log_probs) {
    if (other.size() != log_probs.front().size())
      fail<ArgumentError>("an interpolation of {} tokens by one model and {} by another",
                          log_probs.front().size(), other.size());
  }
  std::vector<double> out;
  out.reserve(log_probs.front().size());
  for (std::size_t t = 0; t < log_probs.front().size(); ++t)
    out.push_back(log_mixture(weights, [&](std::size_t i) { return log_probs[i][t]; }));
  return out;
}

EmFit fit_weights(std::span<const std::vector<double>> log_probs, const EmOptions& options) {
  if (log_probs.empty() || log_probs.front().empty())
    fail<ArgumentError>("weights to be fitted to no models or no tokens");
  const std::size_t models = log_probs.size(), tokens = log_probs.front().size();
  for (std::size_t i = 0; i < models; ++i) {
    if (log_probs[i].size() != tokens)
      fail<ArgumentError>("weights to be fitted to {} tokens of one model and {} of another", tokens,
                          log_probs[i].size());
    if (std::any_of(log_probs[i].begin(), log_probs[i].end(), [](double x) { return std::isnan(x); }))
      fail<ArgumentError>("weights to be fitted to NaN, which model {} gives", i + 1);
  }
  EmFit out;
  out.weights.assign(models, 1 / static_cast<double>(models));
  std::vector<double> share(models);
  for (int iteration = 0;; ++iteration) {
    std::fill(share.begin(), share.end(), 0.0);
    double total = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const double mixed = log_mixture(out.weights, [&](std::size_t i) { return log_probs[i][t]; });
      if (mixed == impossible) {
        fail<DataError>(
            "token {} of the held-out text is impossible by each of the {} models; add one that "
            "gives every token a probability",
            t + 1, models);
      }
      total += mixed;
      // The chance that this token was drawn from model i.
      for (std::size_t i = 0; i < models; ++i) share[i] += out.weights[i] * std::exp(log_probs[i][t] - mixed);
    }
    out.log_likelihood.push_back(total / static_cast<double>(tokens));
    const std::size_t done = out.log_likelihood.size();
    if (iteration == options.iterations ||
        (done > 1 && out.log_likelihood[done - 1] - out.log_likelihood[done - 2] < options.tolerance))
      return out;
    const double sum = std::accumulate(share.begin(), share.end(), 0.0);  // tokens, up to rounding
    for (std::size_t i = 0; i < models; ++i) out.weights[i] = share[i] / sum;
  }
}

MixtureWeights::MixtureWeights(std::int64_t models, Dtype dtype) : logits(zeros({models}, dtype)) {}

Variable MixtureWeights::operator()(const Variable& log_probs) const {
  const InModule here(*this);
  return logsumexp(log_probs + log_softmax(logits), 1);
}

std::vector<double> MixtureWeights::weights() const {
  const Tensor all = softmax(logits.value());
  std::vector<double> out;
  for (std::int64_t i = 0; i < all.size(); ++i) out.push_back(all.at(i));
  return out;
}

LogLinearInterpolation::LogLinearInterpolation(ModelSet models, std::vector<double> weights)
    : Interpolation(std::move(models), std::move(weights)) {
  for (const double weight : weights_) {
    if (!std::isfinite(weight)) fail<ArgumentError>("an interpolation with a weight of {}", weight);
  }
}

Tensor LogLinearInterpolation::log_probs(const State& state) const {
  Tensor all = models_.log_probs(state);
  const std::int64_t vocab = vocab_size();
  floor_log_probs({all.mutable_data<float>(), static_cast<std::size_t>(all.size())});
  Tensor logits = Tensor::uninitialized({vocab});
  float* const to = logits.mutable_data<float>();
  const float* const from = all.data<float>();
  for (std::int64_t word = 0; word < vocab; ++word) {
    double sum = 0;
    for (std::size_t i = 0; i < weights_.size(); ++i)
      sum += weights_[i] * static_cast<double>(from[static_cast<std::int64_t>(i) * vocab + word]);
    to[word] = static_cast<float>(sum);
  }
  return log_softmax(logits);
}

LogLinearFit fit_log_linear(const ModelSet& models, std::span<const std::int32_t> tokens,
                            const LogLinearOptions& options) {
  if (tokens.size() < 2)
    fail<DataError>("weights to be fitted to a text of {} tokens: at least 2 are needed", tokens.size());
  if (options.epochs < 1 || options.chunk < 1)
    fail<ArgumentError>(
        "weights to be fitted in {} epochs with {} tokens per update: both must be at least 1",
        options.epochs, options.chunk);
  const auto count = static_cast<std::int64_t>(models.size()), predicted = std::ssize(tokens) - 1;
  const std::int64_t vocab = models.vocab_size();
  LogLinearWeights model{Parameter(full({1, count}, 1 / static_cast<double>(count)))};
  optim::Adam optimizer({.lr = options.lr});
  const std::int64_t updates = (predicted + options.chunk - 1) / options.chunk;
  const optim::CosineSchedule schedule{.lr = options.lr, .steps = options.epochs * updates};
  LogLinearFit out;
  for (std::int64_t epoch = 0, update = 0; epoch < options.epochs; ++epoch) {
    ModelSet::State state = models.start();
    double total = 0;
    for (std::int64_t begin = 0; begin < predicted; begin += options.chunk, ++update) {
      const std::int64_t size = std::min(options.chunk, predicted - begin);
      Tensor log_probs = Tensor::uninitialized({count, size, vocab});
      const std::span all(log_probs.mutable_data<float>(), static_cast<std::size_t>(log_probs.size()));
      for (std::int64_t t = 0; t < size; ++t) {
        state = models.advance(state, tokens[static_cast<std::size_t>(begin + t)]);
        const Tensor now = models.log_probs(state);
        for (std::int64_t i = 0; i < count; ++i)
          std::copy_n(now.data<float>() + i * vocab, vocab, all.begin() + (i * size + t) * vocab);
      }
      floor_log_probs(all);
      const auto targets =
          tokens.subspan(static_cast<std::size_t>(begin + 1), static_cast<std::size_t>(size));
      Tape tape;
      const Variable loss =
          cross_entropy(model(log_probs), Indices(std::vector<std::int32_t>(targets.begin(), targets.end())));
      total -= loss.item() * static_cast<double>(size);
      optimizer.set_lr(schedule(update));
      optimizer.step(model, tape.backward(loss));
      if (options.report) options.report(epoch * predicted + begin + size);
    }
    out.log_likelihood.push_back(total / static_cast<double>(predicted));
  }
  for (std::int64_t i = 0; i < count; ++i) out.weights.push_back(model.weight.value().at(i));
  return out;
}

}  // namespace gradus::models
