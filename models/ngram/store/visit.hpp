#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "models/ngram/store/fast_layout.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

/// Calls visit(ngram, log_prob, backoff) for each n-gram of an order, sorted. Throws DataError for n-grams
/// that occur twice or in a wrong place, for invalid probabilities and backoff weights, and for an order with
/// a wrong number of n-grams. Takes time linear in the size of the file, whatever it holds: no more places of
/// an order are read than it has.
template <class View, class Visit>
void visit_ngrams(const View& view, const std::string& name, int order, Visit&& visit) {
  const auto require = [&](bool right, int length, const char* what) {
    if (!right) fail<DataError>("{}: {} of its {}-grams; write the model again", name, what, length);
  };
  for (int length = 1; length < order; ++length)
    require(view.children_add_up(length), length, "wrong places of the continuations");
  std::vector<std::int32_t> ngram(static_cast<std::size_t>(order));
  std::array<std::uint64_t, max_order + 1> seen{}, read{};  // n-grams and places of each order
  using Continuations = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // token, place
  std::vector<Continuations> siblings(static_cast<std::size_t>(order));
  const auto descend = [&](auto&& self, int level, Block block) -> void {
    Continuations& here = siblings[static_cast<std::size_t>(level - 1)];
    here.clear();
    read[static_cast<std::size_t>(level)] += block.size;
    require(read[static_cast<std::size_t>(level)] <= view.places(level), level, "places claimed twice");
    for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
      const std::uint32_t token = view.token(level, i);
      require(level > 1 || token == i, level, "wrong places");
      if (token < view.vocab() || level == 1) here.emplace_back(token, i);
    }
    std::sort(here.begin(), here.end());
    seen[static_cast<std::size_t>(level)] += here.size();
    require(seen[static_cast<std::size_t>(level)] <= view.count(level), level, "a wrong number");
    const std::pair<std::uint32_t, std::uint32_t>* last = nullptr;
    for (const auto& entry : here) {
      const auto [token, i] = entry;
      require(last == nullptr || last->first != token, level, "one twice");
      last = &entry;
      ngram[static_cast<std::size_t>(level - 1)] = static_cast<std::int32_t>(token);
      if (level == order) {
        const auto log_prob = static_cast<double>(view.log_prob(level, i));
        const double backoff = level < view.order() ? static_cast<double>(view.backoff(level, i)) : 0.0;
        require(log_prob <= 0, level, "a probability that is none among those");
        require(backoff < INFINITY, level, "a backoff weight that is none among those");
        visit(std::span<const std::int32_t>(ngram), log_prob, backoff);
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

}  // namespace gradus::models::ngram
