#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/ngram/fast_layout.hpp"
#include "tensor/error.hpp"

namespace gradus::models::ngram {

/// Calls visit(ngram, log_prob, backoff) for each n-gram of an order, sorted. Throws DataError where an order
/// has another number of n-grams than it says, which also ends what would go on for ever.
template <class View, class Visit>
void visit_ngrams(const View& view, const std::string& name, int order, Visit&& visit) {
  std::vector<std::int32_t> ngram(static_cast<std::size_t>(order));
  std::array<std::uint64_t, max_order + 1> seen{}, read{};  // n-grams and places of each order
  using Continuations = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // token, place
  std::vector<Continuations> siblings(static_cast<std::size_t>(order));
  const auto descend = [&](auto&& self, int level, Block block) -> void {
    Continuations& here = siblings[static_cast<std::size_t>(level - 1)];
    here.clear();
    if ((read[static_cast<std::size_t>(level)] += block.size) > view.places(level)) return;
    for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
      const std::uint32_t token = view.token(level, i);
      if (token < view.vocab() || (token == view.vocab() && level == 1)) here.emplace_back(token, i);
    }
    std::sort(here.begin(), here.end());
    seen[static_cast<std::size_t>(level)] += here.size();
    for (const auto& [token, i] : here) {
      ngram[static_cast<std::size_t>(level - 1)] = static_cast<std::int32_t>(token);
      if (level == order) {
        visit(std::span<const std::int32_t>(ngram), static_cast<double>(view.log_prob(level, i)),
              level < view.order() ? static_cast<double>(view.backoff(level, i)) : 0.0);
      } else if (const Block children = view.children(level, i); children.size > 0) {
        self(self, level + 1, children);
      }
    }
  };
  descend(descend, 1, {0, view.count(1)});
  for (int level = 1; level <= order; ++level) {
    if (seen[static_cast<std::size_t>(level)] != view.count(level))
      fail<DataError>("{}: {} {}-grams, of which {} are found; write the model again", name,
                      view.count(level), level, seen[static_cast<std::size_t>(level)]);
  }
}

/// Reads all of a model and throws DataError where it contradicts itself: n-grams that are not found where
/// they are, numbers that are no probabilities, orders of another size than they say.
template <class View>
void verify_ngrams(const View& view, const std::string& name) {
  const auto require = [&](bool right, int length, const char* what) {
    if (!right) fail<DataError>("{}: {} of its {}-grams; write the model again", name, what, length);
  };
  for (int length = 1; length < view.order(); ++length) {
    for (std::uint32_t node = 0; node < view.places(length); ++node) {
      const Block block = view.children(length, node);
      for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
        const std::uint32_t token = view.token(length + 1, i);
        if (token < view.vocab()) require(view.find(length, block, token) == i, length + 1, "wrong places");
      }
    }
  }
  for (int order = 1; order <= view.order(); ++order) {
    visit_ngrams(view, name, order, [&](std::span<const std::int32_t>, double log_prob, double backoff) {
      require(log_prob <= 0, order, "a probability that is none among those");
      require(backoff < INFINITY, order, "a backoff weight that is none among those");
    });
  }
}

}  // namespace gradus::models::ngram
