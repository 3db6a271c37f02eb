#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "models/generate.hpp"
#include "models/language_model.hpp"

namespace gradus::models {

/// A language model of any kind behind one type: itself a LanguageModel, whose states hold those of the model
/// inside, and whose `log_prob`, `score`, `advance`, `advance_each`, `log_probs_each`, `top_k`, `draw` and
/// `draw_each` are those of that model. A handle: copies share the model, which never changes.
class ErasedModel {
 public:
  class State {
    friend class ErasedModel;
    std::any held_;
  };

  template <LanguageModel M>
  requires(!std::is_same_v<M, ErasedModel>) explicit ErasedModel(M model)
      : model_(std::make_shared<Holder<M>>(std::move(model))) {}

  std::int32_t vocab_size() const { return model_->vocab_size(); }
  State start() const { return model_->start(); }
  /// These throw ArgumentError for a state of another kind of model.
  State advance(const State& state, std::int32_t token) const { return model_->advance(state, token); }
  State advance(const State& state, std::span<const std::int32_t> tokens) const {
    return model_->advance(state, tokens);
  }
  Tensor log_probs(const State& state) const { return model_->log_probs(state); }
  double log_prob(const State& state, std::int32_t token) const { return model_->log_prob(state, token); }
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const {
    return model_->score(state, tokens);
  }
  std::vector<Candidate> top_k(const State& state, std::int64_t k) const { return model_->top_k(state, k); }
  std::int32_t draw(const State& state, const GenerateOptions& options, Rng& rng) const {
    return model_->draw(state, options, rng);
  }
  void advance_each(std::span<State> states, std::span<const std::int32_t> tokens) const {
    model_->advance_each(states, tokens);
  }
  Tensor log_probs_each(std::span<const State> states) const { return model_->log_probs_each(states); }
  std::vector<std::int32_t> draw_each(std::span<const State> states, const GenerateOptions& options,
                                      std::span<Rng> rngs) const {
    return model_->draw_each(states, options, rngs);
  }

  /// The model inside, or null when it is not an M.
  template <LanguageModel M>
  const M* get_if() const {
    const auto* const holder = dynamic_cast<const Holder<M>*>(model_.get());
    return holder == nullptr ? nullptr : &holder->model;
  }
  /// The state inside, of a model that is an M; null for another.
  template <LanguageModel M>
  static const typename M::State* state_if(const State& state) {
    return std::any_cast<typename M::State>(&state.held_);
  }
  /// The model inside. Throws ArgumentError when it is not an M.
  template <LanguageModel M>
  const M& get() const {
    if (const M* const model = get_if<M>()) return *model;
    fail<ArgumentError>("this language model is of another kind than the one asked for");
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual std::int32_t vocab_size() const = 0;
    virtual State start() const = 0;
    virtual State advance(const State& state, std::int32_t token) const = 0;
    virtual State advance(const State& state, std::span<const std::int32_t> tokens) const = 0;
    virtual Tensor log_probs(const State& state) const = 0;
    virtual double log_prob(const State& state, std::int32_t token) const = 0;
    virtual std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const = 0;
    virtual std::vector<Candidate> top_k(const State& state, std::int64_t k) const = 0;
    virtual std::int32_t draw(const State& state, const GenerateOptions& options, Rng& rng) const = 0;
    virtual void advance_each(std::span<State> states, std::span<const std::int32_t> tokens) const = 0;
    virtual Tensor log_probs_each(std::span<const State> states) const = 0;
    virtual std::vector<std::int32_t> draw_each(std::span<const State> states, const GenerateOptions& options,
                                                std::span<Rng> rngs) const = 0;
  };

  template <class M>
  struct Holder final : Interface {
    explicit Holder(M held) : model(std::move(held)) {}
    std::int32_t vocab_size() const override { return model.vocab_size(); }
    State start() const override { return hold(model.start()); }
    State advance(const State& state, std::int32_t token) const override {
      return hold(model.advance(held(state), token));
    }
    State advance(const State& state, std::span<const std::int32_t> tokens) const override {
      return hold(models::advance(model, held(state), tokens));
    }
    Tensor log_probs(const State& state) const override { return model.log_probs(held(state)); }
    double log_prob(const State& state, std::int32_t token) const override {
      return models::log_prob(model, held(state), token);
    }
    std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const override {
      return models::score(model, held(state), tokens);
    }
    std::vector<Candidate> top_k(const State& state, std::int64_t k) const override {
      return models::top_k(model, held(state), k);
    }
    std::int32_t draw(const State& state, const GenerateOptions& options, Rng& rng) const override {
      return models::draw(model, held(state), options, rng);
    }
    void advance_each(std::span<State> states, std::span<const std::int32_t> tokens) const override {
      std::vector<typename M::State> own = all_held(states);
      models::advance_each(model, std::span(own), tokens);
      for (std::size_t i = 0; i < own.size(); ++i) held(states[i]) = std::move(own[i]);
    }
    Tensor log_probs_each(std::span<const State> states) const override {
      const std::vector<typename M::State> own = all_held(states);
      return models::log_probs_each(model, std::span<const typename M::State>(own));
    }
    std::vector<std::int32_t> draw_each(std::span<const State> states, const GenerateOptions& options,
                                        std::span<Rng> rngs) const override {
      const std::vector<typename M::State> own = all_held(states);
      return models::draw_each(model, std::span(own), options, rngs);
    }
    static std::vector<typename M::State> all_held(std::span<const State> states) {
      std::vector<typename M::State> own;
      own.reserve(states.size());
      for (const State& state : states) own.push_back(held(state));
      return own;
    }
    // The type is named, as the state of a model that wraps another may itself be a State.
    static State hold(typename M::State state) {
      State out;
      out.held_ = std::make_any<typename M::State>(std::move(state));
      return out;
    }
    template <class Erased>  // State or const State
    static auto& held(Erased& state) {
      if (auto* const own = std::any_cast<typename M::State>(&state.held_)) return *own;
      fail<ArgumentError>("a language model was given the state of another kind of model");
    }
    M model;
  };

  std::shared_ptr<const Interface> model_;
};

}  // namespace gradus::models
