#pragma once

#include <any>
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

/// A model over the ids of a larger vocabulary. The symbols that the model does not list are read as its
/// "<unk>", whose probability they and the larger vocabulary's "<unk>" share evenly:
///
///   p(w | h) = p_own(<unk> | h) / (1 + unlisted()),
///
/// so what sums to one still does. A model in which "<unk>" is impossible finds them impossible.
class WidenedModel {
 public:
  using State = std::any;

  /// `all` must hold each symbol of `own`, the vocabulary of the model, and both a "<unk>" or neither; throws
  /// ArgumentError otherwise.
  WidenedModel(ErasedModel model, const Vocabulary& own, const Vocabulary& all);

  std::int32_t vocab_size() const { return static_cast<std::int32_t>(own_id_.size()); }
  /// How many symbols of the larger vocabulary the model does not list.
  std::int64_t unlisted() const { return unlisted_; }
  State start() const { return model_.start(); }
  Step<State> step(const State& state, std::int32_t token) const;
  std::vector<double> score(std::span<const std::int32_t> tokens, const ScoreProgress& report = {}) const;

 private:
  std::int32_t own_id(std::int32_t token) const;

  ErasedModel model_;
  std::vector<std::int32_t> own_id_;  // of each id of the larger vocabulary
  std::int32_t own_unknown_;
  std::int64_t unlisted_ = 0;
};

}  // namespace gradus::models
