#include "models/ngram/tunable.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/tape.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

std::size_t column(std::int64_t count) {
  return static_cast<std::size_t>(std::min<std::int64_t>(count, 3)) - 1;
}

/// D_k = k sigmoid(x_k): (3).
Variable amounts(const Variable& raw) {
  return sigmoid(raw) * Variable(Tensor::of({1, 2, 3}, Dtype::f64));
}

/// The x_k of discounts, kept off the ends, where the sigmoid is flat.
Tensor raw_of(const TunableKneserNey::Amounts& start) {
  std::vector<double> out;
  for (std::size_t k = 0; k < 3; ++k) {
    const double share = std::clamp(start[k] / static_cast<double>(k + 1), 1e-4, 1 - 1e-4);
    out.push_back(std::log(share / (1 - share)));
  }
  return Tensor::from(out, {3});
}

}  // namespace

TunableKneserNey::TunableKneserNey(std::span<const std::int32_t> tokens, std::int32_t vocab,
                                   const NgramOptions& options, std::span<const Amounts> start)
    : vocab_(vocab), options_(options) {
  if (options.method != NgramMethod::kneser_ney)
    fail<ArgumentError>("the discounts of {} cannot be tuned, only Kneser-Ney's", name_of(options.method));
  if (options.order < 1 || std::ssize(start) != options.order) {
    fail<ArgumentError>("Kneser-Ney of order {} with the discounts of {} orders to begin from", options.order,
                        start.size());
  }
  if (tokens.empty()) fail<ArgumentError>("an n-gram model of no tokens: the training text is empty");
  for (const Amounts& amount : start) raw.emplace_back(raw_of(amount));
  count(tokens);
}

template <class Visit>
void TunableKneserNey::for_places(std::span<const std::int32_t> tokens, Visit&& visit) const {
  std::u32string sentence{begin_symbol()};
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= vocab_)
      fail<ArgumentError>("an n-gram model: token {} is not in 0..{}", token, vocab_ - 1);
    sentence += static_cast<char32_t>(token);
    visit(sentence, sentence.size() - 1);
    if (token == options_.sentence_end) sentence.resize(1);
  }
}

void TunableKneserNey::count(std::span<const std::int32_t> tokens) {
  orders_.resize(static_cast<std::size_t>(options_.order));
  for_places(tokens, [&](const std::u32string& text, std::size_t end) {
    for (std::size_t n = 1; n <= orders_.size() && n <= end + 1; ++n)
      ++orders_[n - 1].count[text.substr(end + 1 - n, n)];
  });
  // The shorter orders count the different tokens before; what begins a sentence has none, and keeps its own.
  for (std::size_t n = 0; n + 1 < orders_.size(); ++n) {
    std::unordered_map<std::u32string, std::int64_t> adjusted;
    for (const auto& [ngram, times] : orders_[n].count) {
      if (ngram.front() == begin_symbol()) adjusted.emplace(ngram, times);
    }
    for (const auto& [ngram, times] : orders_[n + 1].count) ++adjusted[ngram.substr(1)];
    orders_[n].count = std::move(adjusted);
  }
  for (Order& order : orders_) {
    for (const auto& [ngram, times] : order.count) {
      Context& context = order.context[ngram.substr(0, ngram.size() - 1)];
      context.total += times;
      ++context.with[column(times)];
    }
  }
}

TunableKneserNey::HeldOut TunableKneserNey::held_out(std::span<const std::int32_t> tokens) const {
  HeldOut out{.orders = {}, .vocab = vocab_};
  const std::int64_t rows = std::ssize(tokens);
  for (std::size_t n = 1; n <= orders_.size(); ++n) {
    const Order& order = orders_[n - 1];
    HeldOut::Order about{zeros({rows}, Dtype::f64), zeros({rows, 3}, Dtype::f64),
                         zeros({rows, 3}, Dtype::f64), zeros({rows}, Dtype::f64)};
    double* const ratio = about.ratio.mutable_data<double>();
    double* const taken = about.taken.mutable_data<double>();
    double* const left = about.left.mutable_data<double>();
    double* const unseen = about.unseen.mutable_data<double>();
    std::size_t row = 0;
    for_places(tokens, [&](const std::u32string& text, std::size_t end) {
      const std::size_t i = row++;
      const bool long_enough = n <= end + 1;
      const auto context =
          long_enough ? order.context.find(text.substr(end + 1 - n, n - 1)) : order.context.end();
      if (context == order.context.end()) {
        unseen[i] = 1;
        return;
      }
      const auto total = static_cast<double>(context->second.total);
      for (std::size_t k = 0; k < 3; ++k)
        left[3 * i + k] = static_cast<double>(context->second.with[k]) / total;
      const auto found = order.count.find(text.substr(end + 1 - n, n));
      if (found == order.count.end()) return;
      ratio[i] = static_cast<double>(found->second) / total;
      taken[3 * i + column(found->second)] = 1 / total;
    });
    out.orders.push_back(std::move(about));
  }
  return out;
}

Variable TunableKneserNey::operator()(const HeldOut& text) const {
  const InModule here(*this);
  const std::vector<Variable> all(raw.begin(), raw.end());
  return log_probs(all, text);
}

Variable TunableKneserNey::log_probs(std::span<const Variable> raw, const HeldOut& text) {
  if (raw.size() != text.orders.size())
    fail<ArgumentError>("the discounts of {} orders for counts of {}", raw.size(), text.orders.size());
  Variable p(full(text.orders.front().ratio.shape(), 1.0 / text.vocab, Dtype::f64));
  for (std::size_t n = 0; n < raw.size(); ++n) {
    const HeldOut::Order& order = text.orders[n];
    const Variable discount = amounts(raw[n]);
    const Variable gamma = matmul(Variable(order.left), discount) + Variable(order.unseen);
    p = Variable(order.ratio) - matmul(Variable(order.taken), discount) + gamma * p;
  }
  return log(p);
}

std::vector<TunableKneserNey::Amounts> TunableKneserNey::discounts() const {
  std::vector<Amounts> out;
  for (const Parameter& parameter : raw) {
    const PauseRecording pause;
    const Tensor values = amounts(parameter).value();
    out.push_back({values.at(0), values.at(1), values.at(2)});
  }
  return out;
}

void TunableKneserNey::write_to(NgramSink& sink) const {
  const std::vector<Amounts> amount = discounts();
  std::vector<Discounts> tuned;
  for (const Amounts& d : amount) tuned.push_back({{d.begin(), d.end()}, false});
  const auto gamma = [&](std::size_t n, const Context& context) {  // of order n
    double freed = 0;
    for (std::size_t k = 0; k < 3; ++k) freed += amount[n - 1][k] * static_cast<double>(context.with[k]);
    return freed / static_cast<double>(context.total);
  };
  const auto log_weight = [&](const std::u32string& ngram) {
    if (ngram.size() == orders_.size()) return 0.0F;
    const auto& contexts = orders_[ngram.size()].context;
    const auto found = contexts.find(ngram);
    return found == contexts.end() ? 0.0F
                                   : static_cast<float>(std::log(gamma(ngram.size() + 1, found->second)));
  };
  sink.describe({.order = options_.order,
                 .vocab = vocab_,
                 .sentence_end = options_.sentence_end,
                 .fallback = NgramFallback::shorter,
                 .method = "interpolated modified Kneser-Ney, discounts tuned",
                 .options = options_,
                 .discounts = std::move(tuned)});
  std::unordered_map<std::u32string, double> shorter, probs;  // of the order below, and of this one
  shorter.emplace(std::u32string(), 1.0 / vocab_);
  for (std::size_t n = 1; n <= orders_.size(); ++n) {
    const Order& order = orders_[n - 1];
    std::vector<std::u32string> ngrams;
    for (const auto& entry : order.count) ngrams.push_back(entry.first);
    if (n == 1) {  // every id, seen or not
      ngrams.clear();
      for (std::int32_t id = 0; id < vocab_; ++id) ngrams.emplace_back(1, static_cast<char32_t>(id));
    }
    std::sort(ngrams.begin(), ngrams.end());
    sink.begin_order(static_cast<int>(n), std::ssize(ngrams) + (n == 1));
    std::vector<std::int32_t> ids;
    for (const std::u32string& ngram : ngrams) {
      const auto found = order.count.find(ngram);
      const std::int64_t times = found == order.count.end() ? 0 : found->second;
      const Context& context = order.context.at(ngram.substr(0, n - 1));
      const double kept = times == 0 ? 0 : static_cast<double>(times) - amount[n - 1][column(times)];
      const double p =
          kept / static_cast<double>(context.total) + gamma(n, context) * shorter.at(ngram.substr(1));
      probs.emplace(ngram, p);
      ids.assign(ngram.begin(), ngram.end());
      sink.add(ids, static_cast<float>(std::log(p)), log_weight(ngram));
    }
    if (n == 1) {
      ids.assign(1, vocab_);
      sink.add(ids, -std::numeric_limits<float>::infinity(), log_weight(std::u32string{begin_symbol()}));
    }
    shorter = std::exchange(probs, {});
  }
  sink.finish();
}

}  // namespace gradus::models
