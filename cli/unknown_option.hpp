#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "models/evaluate.hpp"

namespace gradus::cli {

/// The option --unknown of the commands that score a text.
struct UnknownOption {
  std::string convention = "kenlm";

  void add_to(CLI::App* command) {
    command
        ->add_option(
            "--unknown", convention,
            "kenlm: <unk> is predicted and read like any word; srilm: unknown words are not scored, and "
            "contexts of n-grams end at them")
        ->check(CLI::IsMember({"kenlm", "srilm"}))
        ->capture_default_str();
  }
  bool skipped() const { return convention == "srilm"; }
};

/// The perplexities of a text with and without its unknown words. Where these are left out, the first is
/// infinite.
struct Perplexities {
  double with_unknown, without_unknown;

  Perplexities(const models::Evaluation& e, bool skipped)
      : with_unknown(skipped && e.unknown > 0 ? std::numeric_limits<double>::infinity() : e.perplexity()),
        without_unknown(e.perplexity_known()) {}
};

/// "infinite" when the model gives some token a probability of 0, "nothing" when there was nothing to
/// predict.
inline std::string number_text(double x) {
  return std::isnan(x) ? "nothing" : std::isinf(x) ? "infinite" : fmt::format("{:.4f}", x);
}

}  // namespace gradus::cli
