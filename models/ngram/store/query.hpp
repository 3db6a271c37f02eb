#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "models/ngram/sink.hpp"
#include "models/ngram/state.hpp"
#include "models/ngram/store/fast_layout.hpp"
#include "tensor/random.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

inline constexpr double impossible = -std::numeric_limits<double>::infinity();

/// What queries need to know of a model besides its n-grams.
struct Rules {
  NgramFallback fallback = NgramFallback::shorter;
  std::int32_t sentence_end = -1;
  NgramState start;
  double log_uniform = 0;                       // log(1 / possible words)
  std::int32_t impossible = -1;                 // the unknown word, for add-k with a closed vocabulary
  std::span<const std::uint32_t> likely_first;  // all ids, the likeliest unigram first
  std::span<const double> root_masses;          // sums of the probabilities of unigrams
};

/// The queries of a model, for any layout. A View has order, vocab, count, places, token, log_prob, backoff,
/// children, has_children, find, prefetch and masses, as FastView does.
template <class View>
class Query {
 public:
  Query(const View& view, const Rules& rules) : view_(view), rules_(rules) {}

  /// log p(token | state), and moves the state past the token: the probability of the longest n-gram in the
  /// model, times the backoff weights of the longer contexts (Katz 1987; Chen and Goodman 1998, section 2.8).
  ///
  /// The state has the nodes of the contexts of all lengths, so no search depends on the result of another.
  NgramScore advance(NgramState& state, std::uint32_t token) const {
    const int length = state.length;
    if (length >= view_.order()) fail_foreign();
    std::array<Block, max_order> blocks;
    for (int j = 1; j <= length; ++j) {
      const std::uint32_t node = state.node[at(j)];
      if (node == none) continue;
      if (node >= view_.places(j)) fail_foreign();
      blocks[slot(j)] = view_.children(j, node);
      view_.prefetch(j, blocks[slot(j)], token);
    }
    const std::uint32_t longest = length > 0 ? state.node[at(length)] : none;
    double weight = 0;
    int order = 1;
    std::uint32_t index = token, found = token;
    for (int j = 1; j <= length; ++j) {
      const std::uint32_t context = std::exchange(state.node[at(j)], index);
      index = none;
      if (context == none) continue;  // the model holds an n-gram without its suffix
      index = view_.find(j, blocks[slot(j)], token);
      if (index == none) {
        weight += static_cast<double>(view_.backoff(j, context));
        continue;
      }
      found = index;
      order = j + 1;
      weight = 0;
    }
    NgramScore out{static_cast<double>(view_.log_prob(order, found)) + weight, order};
    if (rules_.fallback != NgramFallback::shorter) {
      if (order <= length || length < state.reach) {
        out = unseen(longest, length, state.reach, out);
        if (is_impossible(token)) out.log_prob = impossible;
      }
    }
    settle(state, token, index);
    return out;
  }

  /// Checks that a state, which may be of another model, does not lead out of this model's memory.
  void check(const NgramState& state) const {
    if (state.length >= view_.order()) fail_foreign();
    for (int j = 1; j <= state.length; ++j) {
      if (state.node[at(j)] >= view_.places(j) && state.node[at(j)] != none) fail_foreign();
    }
  }

  /// Writes log p of every token: vocab numbers.
  void distribution(const NgramState& state, float* out) const {
    const std::uint32_t vocab = view_.vocab();
    const Chain chain(*this, state);
    if (chain.unigrams) {
      for (std::uint32_t i = 0; i < vocab; ++i) out[i] = rounded(view_.log_prob(1, i), chain.weight[0]);
    } else {
      std::fill_n(out, vocab, static_cast<float>(chain.rest));
      if (rules_.impossible >= 0) out[rules_.impossible] = static_cast<float>(impossible);
    }
    for (int j = chain.shortest; j <= chain.longest; ++j) {
      each_child(j, state.node[at(j)],
                 [&, weight = chain.weight[slot(j)]](std::uint32_t token, float log_prob) {
                   out[token] = rounded(log_prob, weight);
                 });
    }
  }

  /// The k likeliest tokens, the likeliest first, and equally likely ones by id.
  std::vector<Candidate> top(const NgramState& state, std::size_t k) const {
    const Chain chain(*this, state);
    Best best(std::min<std::size_t>(k, view_.vocab()));
    if (best.size == 0) return {};
    // The longest context that lists a token decides; this is looked up only for tokens that would be among
    // the best.
    const auto offer = [&](int length, std::uint32_t token, float log_prob) {
      const Candidate candidate{static_cast<std::int32_t>(token), log_prob};
      if (best.takes(candidate) && !listed_beyond(chain, state, length, token)) best.add(candidate);
    };
    for (int j = chain.longest; j >= chain.shortest; --j) {
      each_child(j, state.node[at(j)],
                 [&, weight = chain.weight[slot(j)]](std::uint32_t token, float log_prob) {
                   offer(j, token, rounded(log_prob, weight));
                 });
    }
    // The tokens that no context lists, the likeliest first, until one is too unlikely.
    for (std::uint32_t i = 0; i < view_.vocab(); ++i) {
      const std::uint32_t token = chain.unigrams ? rules_.likely_first[i] : i;
      if (token >= view_.vocab() || (!chain.unigrams && is_impossible(token))) continue;
      const float log_prob = chain.unigrams ? rounded(view_.log_prob(1, token), chain.weight[0])
                                            : static_cast<float>(chain.rest);
      const bool too_unlikely =
          best.full() && (chain.unigrams ? log_prob < best.last().log_prob
                                         : !best.takes({static_cast<std::int32_t>(i), log_prob}));
      if (too_unlikely) break;
      offer(0, token, log_prob);
    }
    if (!chain.unigrams && rules_.impossible >= 0)
      offer(0, static_cast<std::uint32_t>(rules_.impossible), static_cast<float>(impossible));
    return std::move(best).sorted();
  }

  /// Draws a token with its probability after the state (divided by their sum, where it is not one): chooses
  /// a context by the total probability of the tokens that it lists, draws from these, and rejects a token
  /// that a longer context lists too, as that context decides its probability.
  std::int32_t sample(const NgramState& state, Rng& rng) const {
    const Chain chain(*this, state);
    std::array<double, max_order> mass{};  // of the tokens of each context; [0]: of the empty context
    if (chain.unigrams) {
      mass[0] = rules_.root_masses.back() * std::exp(chain.weight[0]);
    } else {
      mass[0] = std::exp(chain.rest) * view_.vocab();
    }
    double total = mass[0];
    for (int j = chain.shortest; j <= chain.longest; ++j) {
      mass[slot(j)] = child_mass(j, state.node[at(j)]) * std::exp(chain.weight[slot(j)]);
      total += mass[slot(j)];
    }
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
      double left = rng.uniform() * total;
      int j = chain.longest;
      while (j > 0 && !(left < mass[slot(j)])) left -= mass[slot(j--)];
      if (!(left < mass[slot(j)])) continue;  // possible by rounding
      const double share = left / mass[slot(j)];
      std::uint32_t token = none;
      if (j > 0) {
        token = draw_child(j, state.node[at(j)], share);
      } else if (chain.unigrams) {
        token = draw_unigram(share);
      } else {
        token = static_cast<std::uint32_t>(share * view_.vocab());
        if (is_impossible(token)) continue;
      }
      if (token < view_.vocab() && !listed_beyond(chain, state, j, token))
        return static_cast<std::int32_t>(token);
    }
    return sample_all(state, rng);
  }

  /// Moves the state past the token; `longest` is the node of the longest n-gram tried. See advance().
  void settle(NgramState& state, std::uint32_t token, std::uint32_t longest) const {
    if (static_cast<std::int32_t>(token) == rules_.sentence_end) {
      state = rules_.start;
      return;
    }
    const int most = view_.order() - 1;
    int length = state.length;
    if (length < most) state.node[at(++length)] = longest;
    while (length > 0 && !matters(length, state.node[at(length)])) --length;
    state.length = static_cast<std::uint16_t>(length);
    if (rules_.fallback == NgramFallback::uniform)
      state.reach = static_cast<std::uint16_t>(std::min(state.reach + 1, most));
    for (int j = 1; j <= length; ++j) {
      if (state.node[at(j)] != none) view_.prefetch(j, state.node[at(j)]);
    }
  }

 private:
  static constexpr int most_attempts = 1000;

  /// The contexts of a state whose tokens count, and their backoff weights.
  struct Chain {
    int shortest = 1, longest = 0;  // their lengths, with all lengths between
    bool unigrams = true;           // whether a token that none of them lists has its unigram's probability
    double rest = impossible;       // if not: log p of such a token
    std::array<double, max_order> weight{};  // [j]: the sum of the longer ones' weights, added to log p

    Chain(const Query& query, const NgramState& state) {
      const Rules& rules = query.rules_;
      longest = state.length;
      if (rules.fallback == NgramFallback::shorter) {
        // Added up in the order of advance(), so that the rounding is the same.
        for (int j = 0; j < longest; ++j) {
          for (int i = j + 1; i <= longest; ++i) weight[slot(j)] += query.backoff(i, state.node[at(i)]);
        }
        return;
      }
      unigrams = longest == 0 && state.reach == 0;
      if (rules.fallback == NgramFallback::uniform && longest < state.reach) {
        longest = 0;
        rest = rules.log_uniform;
      } else if (longest > 0) {
        shortest = longest;
        if (rules.fallback == NgramFallback::uniform)
          rest = query.backoff(longest, state.node[at(longest)]) + rules.log_uniform;
      }
    }
  };

  /// The best candidates so far, as a heap with the worst of them on top.
  struct Best {
    std::size_t size;
    std::vector<Candidate> heap;
    explicit Best(std::size_t n) : size(n) { heap.reserve(n); }
    bool full() const { return heap.size() == size; }
    const Candidate& last() const { return heap.front(); }
    bool takes(const Candidate& candidate) const { return !full() || candidate < last(); }
    void add(const Candidate& candidate) {
      if (full()) {
        std::pop_heap(heap.begin(), heap.end());
        heap.back() = candidate;
      } else {
        heap.push_back(candidate);
      }
      std::push_heap(heap.begin(), heap.end());
    }
    std::vector<Candidate> sorted() && {
      std::sort_heap(heap.begin(), heap.end());
      return std::move(heap);
    }
  };

  [[noreturn, gnu::cold]] static void fail_foreign() {
    fail<ArgumentError>("an n-gram model was given a state of another model");
  }
  static std::size_t slot(int length) { return static_cast<std::size_t>(length); }
  static std::size_t at(int length) { return static_cast<std::size_t>(length - 1); }
  static float rounded(float log_prob, double weight) {
    return static_cast<float>(static_cast<double>(log_prob) + weight);
  }
  bool is_impossible(std::uint32_t token) const {
    return static_cast<std::int32_t>(token) == rules_.impossible;
  }
  double backoff(int length, std::uint32_t node) const {
    return node == none ? 0 : static_cast<double>(view_.backoff(length, node));
  }
  /// Whether a context of more than `length` tokens lists the token.
  bool listed_beyond(const Chain& chain, const NgramState& state, int length, std::uint32_t token) const {
    for (int j = chain.longest; j > length && j >= chain.shortest; --j) {
      const std::uint32_t node = state.node[at(j)];
      if (node != none && view_.find(j, view_.children(j, node), token) != none) return true;
    }
    return false;
  }
  /// Whether a context changes any prediction after it.
  bool matters(int length, std::uint32_t node) const {
    if (node == none) return false;
    return (rules_.fallback != NgramFallback::nothing && view_.backoff(length, node) != 0) ||
           view_.has_children(length, node);
  }

  NgramScore unseen(std::uint32_t longest, int length, int reach, const NgramScore& found) const {
    if (rules_.fallback == NgramFallback::nothing) return {impossible, found.order};
    if (length < reach) return {rules_.log_uniform, found.order};
    return {backoff(length, longest) + rules_.log_uniform, found.order};
  }

  template <class Visit>
  void each_child(int length, std::uint32_t node, Visit&& visit) const {
    if (node == none) return;
    const Block children = view_.children(length, node);
    for (std::uint32_t i = children.first; i < children.first + children.size; ++i) {
      const std::uint32_t token = view_.token(length + 1, i);
      if (token < view_.vocab()) visit(token, view_.log_prob(length + 1, i));
    }
  }

  double child_mass(int length, std::uint32_t node) const {
    if (node == none) return 0;
    const std::span<const double> stored = view_.masses(length, node);
    if (!stored.empty()) return stored.back();
    double sum = 0;
    each_child(length, node,
               [&](std::uint32_t, float log_prob) { sum += std::exp(static_cast<double>(log_prob)); });
    return sum;
  }

  /// The first i at which the sum of the probabilities of 0 to i exceeds the target or, for a target missed
  /// by rounding, the last one that is possible. `masses`: their stored sums, if there are any.
  template <class LogProb>
  static std::uint32_t reach(double target, std::span<const double> masses, std::uint32_t count,
                             LogProb&& log_prob) {
    std::uint32_t i = 0, last = none;
    double sum = 0;
    if (!masses.empty()) {
      const auto after = std::upper_bound(masses.begin(), masses.end() - 1, target);
      i = static_cast<std::uint32_t>(after - masses.begin()) * mass_step;
      if (i > 0) sum = *(after - 1);
    }
    for (; i < count; ++i) {
      const double p = std::exp(static_cast<double>(log_prob(i)));
      if (p > 0) last = i;
      sum += p;
      if (target < sum) break;
    }
    return last;
  }

  std::uint32_t draw_child(int length, std::uint32_t node, double share) const {
    const Block children = view_.children(length, node);
    const std::uint32_t drawn =
        reach(share * child_mass(length, node), view_.masses(length, node), children.size,
              [&](std::uint32_t i) { return view_.log_prob(length + 1, children.first + i); });
    return drawn == none ? none : view_.token(length + 1, children.first + drawn);
  }

  std::uint32_t draw_unigram(double share) const {
    return reach(share * rules_.root_masses.back(), rules_.root_masses, view_.vocab(),
                 [&](std::uint32_t token) { return view_.log_prob(1, token); });
  }

  /// Draws from the whole distribution, if too many draws were rejected.
  std::int32_t sample_all(const NgramState& state, Rng& rng) const {
    std::vector<float> logs(view_.vocab());
    distribution(state, logs.data());
    double total = 0;
    for (const float log_prob : logs) total += std::exp(static_cast<double>(log_prob));
    if (!(total > 0) || std::isinf(total))
      fail<NumericError>("an n-gram model: the probabilities of the next word sum to {}", total);
    return static_cast<std::int32_t>(
        reach(rng.uniform() * total, {}, view_.vocab(), [&](std::uint32_t token) { return logs[token]; }));
  }

  const View& view_;
  const Rules& rules_;
};

}  // namespace gradus::models::ngram
