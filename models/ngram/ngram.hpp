#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/language_model.hpp"

namespace gradus::models {

enum class NgramMethod {
  maximum_likelihood,  // c(h w) / c(h); 0 for what was not seen after a seen context
  add_k,               // (c(h w) + k) / (c(h) + k V), over the longest context (Chen and Goodman 1998, eq. 5)
  kneser_ney,          // interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3)
};

struct NgramOptions {
  int order = 3;
  NgramMethod method = NgramMethod::kneser_ney;
  double k = 1;  // add_k only
  /// The token that ends a sentence: after it the context begins anew. -1: the text is one sentence.
  std::int32_t sentence_end = -1;
};

/// The discounts of one order: what is taken from counts of 1, 2, and 3 or more.
struct Discounts {
  std::array<double, 3> amount{};
  bool fallback = false;  // the counts of counts gave none: 0.5, 1 and 1.5
};

/// An n-gram model of any order over ids 0..vocab-1. Every id has a probability, whether it was seen or not:
/// with Kneser-Ney, the unigrams are interpolated with the uniform distribution, as KenLM's are. Before the
/// first token of a sentence stands a symbol that is never predicted.
///
/// n-grams stand in a forward trie, a sorted array for each order, so that from a context the whole
/// distribution of the next token can be read.
class NgramModel {
 public:
  /// The last order - 1 tokens, fewer after a sentence's begin.
  struct State {
    std::vector<std::int32_t> context;
    bool operator==(const State&) const = default;
  };

  /// Throws ArgumentError for an order below 1, a negative k, an id out of range or no tokens at all.
  NgramModel(std::span<const std::int32_t> tokens, std::int32_t vocab, const NgramOptions& options);

  std::int32_t vocab_size() const { return vocab_; }
  const NgramOptions& options() const { return options_; }
  State start() const;
  Step<State> step(const State& state, std::int32_t token) const;
  std::vector<double> score(std::span<const std::int32_t> tokens) const;

  /// log p(token | state) in nats.
  double log_prob(const State& state, std::int32_t token) const;
  /// The state after a token.
  State after(const State& state, std::int32_t token) const;
  /// log p of every token: (vocab) f32.
  Tensor distribution(const State& state) const;

  /// One n-gram of a model given by its numbers (ARPA): natural logarithms.
  struct Entry {
    std::vector<std::int32_t> ngram;  // the begin symbol is vocab
    double log_prob = 0, backoff = 0;
  };
  /// The model of these n-grams, orders[n - 1] those of order n, in any order. Throws ArgumentError for one
  /// whose context is not there or that is listed twice.
  NgramModel(std::vector<std::vector<Entry>> orders, std::int32_t vocab, std::int32_t sentence_end);
  /// Calls visit(ngram, log_prob, backoff) for each n-gram of an order, sorted by their ids.
  template <class Visit>
  void visit_entries(int order, Visit&& visit) const {
    const Level& level = levels_[static_cast<std::size_t>(order - 1)];
    for_each_ngram(order, [&](std::span<const std::int32_t> ngram, std::int64_t i) {
      visit(ngram, level.prob[static_cast<std::size_t>(i)], level.backoff[static_cast<std::size_t>(i)]);
    });
  }

  /// The number of n-grams of each order, the begin symbol's unigram included.
  std::vector<std::int64_t> counts() const;
  /// Kneser-Ney's discounts of each order.
  std::span<const Discounts> discounts() const { return discounts_; }

 private:
  /// The n-grams of one order, sorted: entry i's last token, and where its continuations stand in the next.
  struct Level {
    std::vector<std::int32_t> token;
    std::vector<std::int64_t> first_child;  // one more than tokens
    std::vector<double> count;              // raw, or adjusted for Kneser-Ney's lower orders
    std::vector<double> prob;               // of the token after the rest
    std::vector<double> backoff;            // of the n-gram as a context
    std::int64_t size() const { return static_cast<std::int64_t>(token.size()); }
  };

  std::int32_t begin_symbol() const { return vocab_; }
  void count(std::span<const std::int32_t> tokens);
  void adjust_counts();
  Discounts estimate_discounts(const Level& level) const;
  void estimate_kneser_ney();
  void estimate_by_counts();
  double lower_prob(std::span<const std::int32_t> ngram) const;
  template <class Visit>
  void for_each_ngram(int order, Visit&& visit) const {
    std::vector<std::int32_t> ngram(static_cast<std::size_t>(order));
    const auto descend = [&](auto&& self, std::size_t depth, std::int64_t begin, std::int64_t end) -> void {
      const Level& level = levels_[depth];
      for (std::int64_t i = begin; i < end; ++i) {
        const auto entry = static_cast<std::size_t>(i);
        ngram[depth] = level.token[entry];
        if (depth + 1 == ngram.size()) {
          visit(std::span<const std::int32_t>(ngram), i);
        } else {
          self(self, depth + 1, level.first_child[entry], level.first_child[entry + 1]);
        }
      }
    };
    descend(descend, 0, 0, levels_.front().size());
  }
  /// The entry of an n-gram, or -1.
  std::int64_t find(std::span<const std::int32_t> ngram) const;
  std::int64_t find_child(int order, std::int64_t parent, std::int32_t token) const;
  double context_total(int order, std::int64_t entry) const;

  std::int32_t vocab_ = 0;
  NgramOptions options_;
  std::vector<Level> levels_;  // levels_[n - 1]: order n
  std::vector<Discounts> discounts_;
  double unigram_total_ = 0;
};

}  // namespace gradus::models
