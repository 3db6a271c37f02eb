#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "models/language_model.hpp"

namespace gradus::models {

/// A language model of any kind behind one type: itself a LanguageModel, whose states hold those of the model
/// inside. A handle: copies share the model, which never changes.
class ErasedModel {
 public:
  using State = std::any;

  template <LanguageModel M>
  requires(!std::is_same_v<M, ErasedModel>) explicit ErasedModel(M model)
      : model_(std::make_shared<Holder<M>>(std::move(model))) {}

  std::int32_t vocab_size() const { return model_->vocab_size(); }
  State start() const { return model_->start(); }
  Step<State> step(const State& state, std::int32_t token) const { return model_->step(state, token); }
  std::vector<double> score(std::span<const std::int32_t> tokens, const ScoreProgress& report = {}) const {
    return model_->score(tokens, report);
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual std::int32_t vocab_size() const = 0;
    virtual State start() const = 0;
    virtual Step<State> step(const State& state, std::int32_t token) const = 0;
    virtual std::vector<double> score(std::span<const std::int32_t> tokens,
                                      const ScoreProgress& report) const = 0;
  };
  template <class M>
  struct Holder final : Interface {
    explicit Holder(M held) : model(std::move(held)) {}
    std::int32_t vocab_size() const override { return model.vocab_size(); }
    State start() const override { return model.start(); }
    Step<State> step(const State& state, std::int32_t token) const override {
      auto step = model.step(std::any_cast<const typename M::State&>(state), token);
      return {std::move(step.state), std::move(step.log_probs)};
    }
    std::vector<double> score(std::span<const std::int32_t> tokens,
                              const ScoreProgress& report) const override {
      return gradus::score(model, tokens, report);
    }
    M model;
  };

  std::shared_ptr<const Interface> model_;
};

}  // namespace gradus::models
