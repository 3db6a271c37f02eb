#pragma once

#include <cstdint>

namespace gradus::models {

/// A token that may come next.
struct Candidate {
  std::int32_t token;
  float log_prob;
  /// Before another in a list: likelier, or as likely and of the lower id.
  bool operator<(const Candidate& other) const {
    return log_prob != other.log_prob ? log_prob > other.log_prob : token < other.token;
  }
};

}  // namespace gradus::models
