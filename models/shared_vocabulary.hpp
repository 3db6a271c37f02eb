#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/erased_model.hpp"
#include "text/vocabulary.hpp"

/// Models of different vocabularies over one.
namespace gradus::models {

/// The symbols of all the vocabularies: those of the first in its order, then what each next one adds; every
/// count is 1. Throws ArgumentError for none, or for units that differ.
Vocabulary union_of(std::span<const Vocabulary> vocabularies);

/// A model over the ids of a larger vocabulary. Symbols that the model's own vocabulary does not hold are
/// read as its "<unk>", whose probability they and the larger vocabulary's "<unk>" share evenly:
///
///   p(w | h) = p_own(<unk> | h) / (1 + unlisted()),
///
/// so the probabilities still sum to one. Where "<unk>" has a probability of 0, so have they.
class WidenedModel {
 public:
  using State = ErasedModel::State;

  /// `all` must hold each symbol of `own`, the vocabulary of the model, and both a "<unk>" or neither; throws
  /// ArgumentError otherwise.
  WidenedModel(ErasedModel model, const Vocabulary& own, const Vocabulary& all);

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(own_id_.size()); }
  /// How many symbols of the larger vocabulary the model does not list.
  std::int64_t unlisted() const { return unlisted_; }
  State start() const { return model_.start(); }
  State advance(const State& state, std::int32_t token) const;
  Tensor log_probs(const State& state) const;
  double log_prob(const State& state, std::int32_t token) const;
  std::vector<double> score(State& state, std::span<const std::int32_t> tokens) const;

 private:
  std::int32_t own_id(std::int32_t token) const;
  /// log(1 + unlisted()) of an own id that several symbols share, else 0.
  double log_share(std::int32_t own) const;

  ErasedModel model_;
  std::vector<std::int32_t> own_id_;  // of each id of the larger vocabulary
  std::int32_t own_unknown_;
  std::int64_t unlisted_ = 0;
};

}  // namespace gradus::models
