#pragma once

#include <string>
#include <string_view>

#include "models/ngram/ngram.hpp"
#include "text/vocabulary.hpp"

namespace gradus::models {

/// The first line of our own ARPA files; the unit, sentence end and vocabulary follow it, before \\data\\,
/// where other readers skip what they do not know.
inline constexpr std::string_view arpa_head = "# gradus n-gram model";

struct ArpaModel {
  Vocabulary vocabulary;
  NgramModel model;
};

/// The model as ARPA text: log10 probabilities and backoffs. Throws ArgumentError for methods without a
/// backoff form (all but Kneser-Ney).
std::string to_arpa(const NgramModel& model, const Vocabulary& vocabulary);

/// The reverse. Throws DataError naming `name` and the line.
ArpaModel from_arpa(std::string_view text, std::string_view name);

}  // namespace gradus::models
