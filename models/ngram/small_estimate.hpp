#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/ngram/ngram.hpp"

namespace gradus::models::ngram {

/// Estimates an n-gram model of a text that fits in memory with all its n-grams, on one thread.
class SmallEstimate {
 public:
  /// Throws ArgumentError as NgramModel's constructor does.
  SmallEstimate(std::span<const std::int32_t> tokens, std::int32_t vocab, const NgramOptions& options);
  void write_to(NgramSink& sink) const;
  std::vector<Discounts>& discounts() { return discounts_; }

 private:
  /// The n-grams of one order, sorted: entry i's last token, and where its continuations stand in the next.
  struct Level {
    std::vector<std::int32_t> token;
    std::vector<std::int64_t> first_child;  // one more than tokens
    std::vector<double> count;              // raw, or adjusted for Kneser-Ney's lower orders
    std::vector<double> prob;               // log p of the token after the rest
    std::vector<double> backoff;            // of the n-gram as a context
    std::int64_t size() const { return static_cast<std::int64_t>(token.size()); }
  };

  std::int32_t begin_symbol() const { return vocab_; }
  void count(std::span<const std::int32_t> tokens);
  void adjust_counts();
  Discounts estimate_discounts(const Level& level) const;
  void add_unseen_unigrams();
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

  std::int32_t vocab_ = 0;
  NgramOptions options_;
  std::vector<Level> levels_;  // levels_[n - 1]: order n
  std::vector<Discounts> discounts_;
};

}  // namespace gradus::models::ngram
