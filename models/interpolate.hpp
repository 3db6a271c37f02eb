#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "autograd/variable.hpp"
#include "models/erased_model.hpp"
#include "text/vocabulary.hpp"

/// Several language models, n-gram and neural alike, as one.
namespace gradus::models {

/// Throws DataError, naming the two models and the first symbol that differs, unless both vocabularies have
/// the same symbols in the same order (counts may differ): only then do their ids mean the same.
void require_same_vocabulary(const Vocabulary& a, std::string_view name_a, const Vocabulary& b,
                             std::string_view name_b);

/// The models of an interpolation, over one vocabulary. Each reads the whole text, with a state of its own.
class ModelSet {
 public:
  using State = std::vector<ErasedModel::State>;

  /// Throws ArgumentError for no models or different numbers of words.
  explicit ModelSet(std::vector<ErasedModel> models);

  std::size_t size() const { return models_.size(); }
  std::int32_t vocab_size() const { return models_.front().vocab_size(); }
  State start() const;
  State advance(const State& state, std::int32_t token) const;
  /// log p of every next token by each of the models: (models, vocab) f32.
  Tensor log_probs(const State& state) const;
  /// log p of the token by each of the models.
  std::vector<double> log_prob(const State& state, std::int32_t token) const;
  /// log p of each token after the state by each of the models; the state becomes the one after all.
  std::vector<std::vector<double>> score(State& state, std::span<const std::int32_t> tokens) const;
  /// log p(tokens[i] | tokens[0..i-1]) for i >= 1, by each of the models.
  std::vector<std::vector<double>> score(std::span<const std::int32_t> tokens,
                                         const ScoreProgress& report = {}) const;

 private:
  std::vector<ErasedModel> models_;
};

/// log sum_i weights[i] exp(log_probs[i][t]) for each token t, without underflow: the linear interpolation of
/// log-probabilities that models gave to tokens. Throws ArgumentError for another number of weights than
/// models, none at all, or different lengths.
std::vector<double> mix_log_probs(std::span<const std::vector<double>> log_probs,
                                  std::span<const double> weights);

/// Models and their weights: what the two interpolations below have in common.
class Interpolation {
 public:
  using State = ModelSet::State;

  std::int32_t vocab_size() const { return models_.vocab_size(); }
  std::span<const double> weights() const { return weights_; }
  State start() const { return models_.start(); }
  State advance(const State& state, std::int32_t token) const { return models_.advance(state, token); }

 protected:
  /// Throws ArgumentError unless there is a weight for each model.
  Interpolation(ModelSet models, std::vector<double> weights);

  ModelSet models_;
  std::vector<double> weights_;
};

/// p(w | h) = sum_i weight_i p_i(w | h) (Jelinek and Mercer 1980): a LanguageModel.
class LinearInterpolation : public Interpolation {
 public:
  /// Throws ArgumentError unless there is a weight for each model, none negative, together 1 to within 1e-6.
  LinearInterpolation(ModelSet models, std::vector<double> weights);

  Tensor log_probs(const State& state) const;
  double log_prob(const State& state, std::int32_t token) const;
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;
};

struct EmOptions {
  int iterations = 200;     // at most
  double tolerance = 1e-9;  // ends when the log-likelihood per token grows by less
};

struct EmFit {
  std::vector<double> weights;
  /// The mean log-likelihood per token, in nats: with equal weights, then after each iteration. It never
  /// falls.
  std::vector<double> log_likelihood;
};

/// The weights under which the mixture gives a held-out text the greatest likelihood, by expectation
/// maximization (Dempster, Laird and Rubin 1977). The likelihood is concave in the weights, so the maximum
/// found is the global one. log_probs[i]: those of each token by model i, as ModelSet::score gives them.
/// Throws ArgumentError for none, different lengths or NaN; DataError for a token that every model finds
/// impossible.
EmFit fit_weights(std::span<const std::vector<double>> log_probs, const EmOptions& options = {});

/// The same weights as a module to be trained: softmax(logits), equal at the start. Trained with any
/// optimizer it converges to what fit_weights finds, and it may be part of a larger model.
struct MixtureWeights {
  Parameter logits;  // (models)

  explicit MixtureWeights(std::int64_t models, Dtype dtype = Dtype::f32);
  /// log sum_i weight_i p_i of each token: log_probs (tokens, models) to (tokens).
  Variable operator()(const Variable& log_probs) const;
  std::vector<double> weights() const;

  static void members(auto& self, auto&& visit) { visit("logits", self.logits); }
};

/// p(w | h) = prod_i p_i(w | h)^weight_i / Z(h), Z summing over the vocabulary (Klakow 1998): a
/// LanguageModel. Scoring needs the whole distributions of all models at each token. A log-probability of
/// -infinity counts as -230, about log 1e-100.
class LogLinearInterpolation : public Interpolation {
 public:
  /// Throws ArgumentError unless there is a finite weight for each model.
  LogLinearInterpolation(ModelSet models, std::vector<double> weights);

  Tensor log_probs(const State& state) const;
};

struct LogLinearOptions {
  int epochs = 10;
  double lr = 0.1;          // Adam's at the start; it falls by half a cosine
  std::int64_t chunk = 32;  // tokens per update; (models, chunk, vocab) numbers are held
  ScoreProgress report{};   // called with the number of tokens read so far in all epochs
};

struct LogLinearFit {
  std::vector<double> weights;
  std::vector<double> log_likelihood;  // the mean per token in nats, over each epoch
};

/// Fits the weights to a held-out text by gradient descent on the tape, starting from 1 / models each. Throws
/// DataError for a text of fewer than two tokens.
LogLinearFit fit_log_linear(const ModelSet& models, std::span<const std::int32_t> tokens,
                            const LogLinearOptions& options = {});

}  // namespace gradus::models
