#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/variable.hpp"
#include "models/ngram/ngram.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models {

/// Interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3) whose discounts are parameters, tuned
/// by gradients on a held-out text instead of estimated from the counts of counts:
///
///   p(w | h) = (c(h w) - D(c(h w))) / c(h) + gamma(h) p(w | h'),
///   gamma(h) = (D1 N1(h) + D2 N2(h) + D3 N3+(h)) / c(h),
///
/// N_k(h) being the number of words that follow h k times and h' the context without its first word. The
/// discounts are D_k = k sigmoid(x_k), between 0 and k, with the x_k of each order as a parameter. The counts
/// are those that ngram::estimate uses, so below the highest order they are of different words before an
/// n-gram. In f64.
class TunableKneserNey {
 public:
  using Amounts = std::array<double, 3>;  // D1, D2, D3+

  std::vector<Parameter> raw;  // raw[n - 1]: the x_k of order n, (3)

  /// `start`: the initial discounts of each order, such as those of an NgramModel. Throws ArgumentError for
  /// another number of them or another method, an order below 1, no tokens, or an id out of range.
  TunableKneserNey(std::span<const std::int32_t> tokens, std::int32_t vocab, const NgramOptions& options,
                   std::span<const Amounts> start);

  /// What the probabilities of a text's tokens are computed from, which does not depend on the discounts: for
  /// each order, with a row for each token w after its context h:
  struct HeldOut {
    struct Order {
      Tensor ratio;   // (tokens): c(h w) / c(h); 0 where h was not seen
      Tensor taken;   // (tokens, 3): 1 / c(h) in the column of D(c(h w)) if h w was seen, 0 elsewhere
      Tensor left;    // (tokens, 3): N_k(h) / c(h)
      Tensor unseen;  // (tokens): 1 where h was not seen, and the shorter context decides
    };
    std::vector<Order> orders;
    std::int32_t vocab = 0;
  };
  /// That of all tokens of a text, which begins with a sentence.
  HeldOut held_out(std::span<const std::int32_t> tokens) const;

  /// log p of each token, in nats: (tokens) f64, differentiable in the discounts.
  Variable operator()(const HeldOut& text) const;
  /// The same for given parameters: raw[n - 1], (3) f64, are the x_k of order n.
  static Variable log_probs(std::span<const Variable> raw, const HeldOut& text);

  /// The current discounts of each order.
  std::vector<Amounts> discounts() const;
  /// The model with these discounts, as ngram::estimate makes it.
  void write_to(NgramSink& sink) const;

  static void members(auto& self, auto&& visit) { visit("raw", self.raw); }

 private:
  struct Context {
    std::int64_t total = 0;
    std::array<std::int64_t, 3> with{};  // the number of words with the count 1, 2, and 3 or more
  };
  struct Order {
    std::unordered_map<std::u32string, std::int64_t> count;
    std::unordered_map<std::u32string, Context> context;
  };

  template <class Visit>
  void for_places(std::span<const std::int32_t> tokens, Visit&& visit) const;

  std::vector<std::int32_t> tokens_;
  std::int32_t vocab_;
  NgramOptions options_;
  std::vector<Order> orders_;
};

}  // namespace gradus::models
