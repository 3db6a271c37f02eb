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

#include "models/ngram/store/compact_layout.hpp"
#include "models/ngram/store/fast_layout.hpp"
#include "models/ngram/store/query.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

/// Throws the DataError for n-grams of a length that are not right.
struct Require {
  const std::string& name;  // of the model
  void operator()(bool right, int length, const char* what) const {
    if (!right) fail<DataError>("{}: {} of its {}-grams; write the model again", name, what, length);
  }
};

/// Calls visit(ngram, log_prob, backoff) for each n-gram of an order, sorted. Throws DataError for n-grams
/// that occur twice or in a wrong place, for invalid probabilities and backoff weights, and for an order with
/// a wrong number of n-grams. Takes time linear in the size of the file, whatever it holds: no more places of
/// an order are read than it has.
template <class View, class Visit>
void visit_ngrams(const View& view, const std::string& name, int order, Visit&& visit) {
  const Require require{name};
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

/// Whether find() finds every n-gram of a block, checked in one pass over the block. find() searches from the
/// place that the hash asks for to the first place that is empty or has a greater hash.
inline bool all_found(const FastView& view, int length, const Block& block) {
  const bool narrow = block.size <= BlockSizes::most_narrow;
  std::int64_t last = -1;           // token or hash
  std::uint32_t run = block.first;  // the first place after the last empty one
  for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
    const std::uint32_t token = view.token(length + 1, i);
    if (!narrow && token == FastEntry::empty) {
      run = i + 1;
      continue;
    }
    const std::uint32_t hash = token_hash(token);
    const std::int64_t rank = narrow ? token : hash;
    if (token >= view.vocab() || rank <= last) return false;
    const std::uint32_t wanted = block.first + (narrow ? 0 : wanted_place(hash, block.size));
    if (wanted < run || wanted > i) return false;
    last = rank;
  }
  return true;
}

/// The same in the compact layout: whether the keys ascend.
inline bool all_found(const CompactView& view, int length, const Block& block) {
  const TokenKeys keys(key_bits(view.vocab()));
  std::int64_t last = -1;
  for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
    const std::uint32_t token = view.token(length + 1, i);
    const std::int64_t key = keys.key(token);
    if (token >= view.vocab() || key <= last) return false;
    last = key;
  }
  return true;
}

/// Whether stored sums are those of the probabilities, up to rounding: the exponential function may differ in
/// its last bit between machines.
template <class Prob>
bool same_masses(std::span<const double> stored, std::uint32_t places, Prob&& prob) {
  if (stored.size() != mass_count(places)) return false;
  double sum = 0;
  for (std::uint32_t i = 0; i < places; ++i) {
    sum += prob(i);
    const bool counted = i % mass_step == mass_step - 1 || i + 1 == places;
    if (counted && !(std::abs(stored[i / mass_step] - sum) <= 1e-9 * (1 + sum))) return false;
  }
  return true;
}

/// Reads all of a model and throws DataError where it is inconsistent: n-grams that queries would not find,
/// places that belong to no context or to several, invalid probabilities and backoff weights, wrong sums, and
/// orders with a wrong number of n-grams. Takes time linear in the size of the file, whatever it holds.
template <class View>
void verify_ngrams(const View& view, const std::string& name) {
  const Require require{name};
  for (int length = 1; length < view.order(); ++length) {
    require(view.children_add_up(length), length, "wrong places of the continuations");
    std::vector<bool> claimed(view.places(length + 1));
    std::uint64_t all = 0;
    for (std::uint32_t node = 0; node < view.places(length); ++node) {
      const Block block = view.children(length, node);
      if (block.size == 0) {
        require(!view.has_children(length, node), length, "continuations out of range");
        continue;
      }
      require(length == 1 || view.token(length, node) < view.vocab(), length,
              "an empty place with continuations");
      all += block.size;
      for (std::uint32_t i = block.first; i < block.first + block.size; ++i) {
        require(!claimed[i], length + 1, "places claimed twice");
        claimed[i] = true;
      }
      require(all_found(view, length, block), length + 1, "wrong places");
      const auto prob = [&](std::uint32_t i) {
        const bool empty = view.token(length + 1, block.first + i) >= view.vocab();
        return empty ? 0.0 : std::exp(static_cast<double>(view.log_prob(length + 1, block.first + i)));
      };
      if (block.size >= least_for_masses)
        require(same_masses(view.masses(length, node), block.size, prob), length,
                "wrong sums of probabilities");
    }
    require(all == view.places(length + 1), length + 1, "places without a context");
  }
  for (int order = 1; order <= view.order(); ++order)
    visit_ngrams(view, name, order, [](std::span<const std::int32_t>, double, double) {});
}

/// The same for the sorted list of the unigrams and their sums.
template <class View>
void verify_unigrams(const View& view, const Rules& rules, const std::string& name) {
  std::vector<bool> listed(view.vocab());
  float last = 0;
  for (const std::uint32_t token : rules.likely_first) {
    if (token >= listed.size() || listed[token] || view.log_prob(1, token) > last)
      fail<DataError>("{}: its list of the likeliest words is damaged; write the model again", name);
    listed[token] = true;
    last = view.log_prob(1, token);
  }
  const auto prob = [&](std::uint32_t i) { return std::exp(static_cast<double>(view.log_prob(1, i))); };
  if (!same_masses(rules.root_masses, view.vocab(), prob))
    fail<DataError>("{}: wrong sums of probabilities of its unigrams; write the model again", name);
}

}  // namespace gradus::models::ngram
