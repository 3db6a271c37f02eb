#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "models/evaluate.hpp"
#include "models/ngram/unknown.hpp"

namespace gradus::cli {

/// --unknown, of the commands that score a text.
struct UnknownOption {
  std::string convention = "kenlm";

  void add_to(CLI::App* command) {
    command
        ->add_option("--unknown", convention,
                     "kenlm: <unk> is predicted and read like a word; srilm: unknown words are left out, and "
                     "n-grams end at them")
        ->check(CLI::IsMember({"kenlm", "srilm"}))
        ->capture_default_str();
  }
  bool skipped() const { return convention == "srilm"; }
};

/// Both perplexities of a text. With unknown words that are left out it is infinite.
struct Perplexities {
  double with_unknown, without_unknown;

  Perplexities(const models::Evaluation& e, bool skipped)
      : with_unknown(skipped && e.unknown > 0 ? std::numeric_limits<double>::infinity() : e.perplexity()),
        without_unknown(e.perplexity_known()) {}
};

/// "infinite" for a model that found some token impossible, "nothing" where nothing was to be predicted.
inline std::string number_text(double x) {
  return std::isnan(x) ? "nothing" : std::isinf(x) ? "infinite" : fmt::format("{:.4f}", x);
}

}  // namespace gradus::cli
