#pragma once

#include <array>
#include <cmath>
#include <map>
#include <stdexcept>
#include <vector>

#include "models/ngram/sink.hpp"

namespace gradus::test {

/// All of them.
inline constexpr std::array methods{
    models::NgramMethod::maximum_likelihood, models::NgramMethod::add_k,
    models::NgramMethod::kneser_ney,         models::NgramMethod::absolute_discounting,
    models::NgramMethod::witten_bell,        models::NgramMethod::katz,
    models::NgramMethod::stupid_backoff};

/// A sink that checks the order of what it receives, and a model of it that backs off by the definition.
class Collector : public models::NgramSink {
 public:
  struct Value {
    float log_prob = 0, backoff = 0;
    bool operator==(const Value&) const = default;
  };
  using Ngram = std::vector<std::int32_t>;

  void describe(const models::NgramDescription& said) override { description = said; }
  void begin_order(int order, std::int64_t count) override {
    if (static_cast<std::size_t>(order) != orders.size() + 1) throw std::logic_error("orders do not ascend");
    require_complete();
    orders.emplace_back();
    expected = count;
  }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    const Ngram key(ngram.begin(), ngram.end());
    auto& order = orders.back();
    if (key.size() != orders.size()) throw std::logic_error("an n-gram of another order");
    if (!order.empty() && !(order.rbegin()->first < key)) throw std::logic_error("n-grams do not ascend");
    if (key.size() > 1) {
      const auto& shorter = orders[key.size() - 2];
      if (shorter.count({key.begin(), key.end() - 1}) == 0) throw std::logic_error("a context is missing");
      if (shorter.count({key.begin() + 1, key.end()}) == 0) throw std::logic_error("a suffix is missing");
    }
    order.emplace_hint(order.end(), key, Value{log_prob, backoff});
  }
  void finish() override {
    require_complete();
    finished = true;
  }

  /// log p(word | context), the context with its begin symbols, at most order - 1 long.
  double log_prob(Ngram context, std::int32_t word) const {
    context.push_back(word);
    double weight = 0;
    for (;; context.erase(context.begin())) {
      const std::size_t n = context.size();
      const Value* const found = n <= orders.size() ? find(context) : nullptr;
      if (found != nullptr) return weight + static_cast<double>(found->log_prob);
      const Ngram h(context.begin(), context.end() - 1);
      const Value* const seen = find(h);
      if (seen != nullptr) weight += static_cast<double>(seen->backoff);
      if (description.fallback == models::NgramFallback::uniform) {
        const std::int32_t closed = description.options ? description.options->impossible : -1;
        if (word == closed) return -INFINITY;
        return weight - std::log(static_cast<double>(description.vocab - (closed >= 0 ? 1 : 0)));
      }
    }
  }
  const Value* find(const Ngram& ngram) const {
    const auto& order = orders[ngram.size() - 1];
    const auto found = order.find(ngram);
    return found == order.end() ? nullptr : &found->second;
  }

  models::NgramDescription description;
  std::vector<std::map<Ngram, Value>> orders;
  std::int64_t expected = 0;
  bool finished = false;

 private:
  void require_complete() const {
    if (!orders.empty() && static_cast<std::int64_t>(orders.back().size()) != expected)
      throw std::logic_error("not as many n-grams as announced");
  }
};

}  // namespace gradus::test
