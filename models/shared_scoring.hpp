#pragma once

// Internal: not part of the public interface.

#include <cstdint>
#include <span>
#include <vector>

#include "models/erased_model.hpp"
#include "models/team.hpp"

namespace gradus::models {

/// Scores a text, piece by piece as it is read. Where a model begins anew at each line, a team shares out the
/// lines, and the scores are the ones of one process, bit for bit: each line is scored by one member, in the
/// same parts.
class SharedScoring {
 public:
  /// `line_ends`: the tokens behind which the model begins anew; empty where it carries its state on, which
  /// is for a team of one process alone. The model and the team must outlive it.
  SharedScoring(const ErasedModel& model, std::vector<bool> line_ends, Team& team)
      : model_(model), line_ends_(std::move(line_ends)), team_(team), state_(model.start()) {}

  /// The log-probability of each token, all of them at rank 0 alone. All members give the same tokens.
  std::vector<double> score(std::span<const std::int32_t> tokens);

 private:
  struct Part {
    std::span<const std::int32_t> tokens;
    std::size_t owner;
  };
  Part next_part(std::span<const std::int32_t> tokens);
  bool ends_line(std::int32_t token) const {
    return !line_ends_.empty() && line_ends_[static_cast<std::size_t>(token)];
  }

  const ErasedModel& model_;
  std::vector<bool> line_ends_;
  Team& team_;
  ErasedModel::State state_;
  std::int32_t before_ = -1;  // the last token; -1: none
  std::size_t owner_ = 0;     // of the part before
  bool anew_ = false;         // whether the last part begins anew
};

}  // namespace gradus::models
