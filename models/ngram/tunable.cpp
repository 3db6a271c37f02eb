#include "models/ngram/tunable.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/module_path.hpp"
#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/tape.hpp"
#include "models/ngram/estimate/estimate.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

const ngram::BuildOptions in_memory{.memory = std::int64_t{1} << 40};

std::size_t column(std::int64_t count) {
  return static_cast<std::size_t>(std::min<std::int64_t>(count, 3)) - 1;
}

/// D_k = k sigmoid(x_k): (3).
Variable amounts(const Variable& raw) {
  return sigmoid(raw) * Variable(Tensor::of({1, 2, 3}, Dtype::f64));
}

/// The x_k of given discounts, kept away from 0 and k, where the sigmoid is flat.
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
    : tokens_(tokens.begin(), tokens.end()), vocab_(vocab), options_(options) {
  if (options.method != NgramMethod::kneser_ney)
    fail<ArgumentError>("the discounts of {} cannot be tuned, only Kneser-Ney's", name_of(options.method));
  if (options.order < 1 || std::ssize(start) != options.order) {
    fail<ArgumentError>("Kneser-Ney of order {} with the discounts of {} orders to begin from", options.order,
                        start.size());
  }
  for (const Amounts& amount : start) raw.emplace_back(raw_of(amount));
  orders_.resize(start.size());
  ngram::IdSource source(tokens_, vocab, options.sentence_end);
  ngram::visit_counts(source, options, in_memory,
                      [&](std::span<const std::int32_t> ngram, std::int64_t times) {
                        const std::u32string key(ngram.begin(), ngram.end());
                        Order& order = orders_[ngram.size() - 1];
                        order.count.emplace(key, times);
                        Context& context = order.context[key.substr(0, key.size() - 1)];
                        context.total += times;
                        ++context.with[column(times)];
                      });
}

/// Calls visit(text, end) for each token: its sentence from the begin symbol on, and the token's place in it.
template <class Visit>
void TunableKneserNey::for_places(std::span<const std::int32_t> tokens, Visit&& visit) const {
  std::u32string sentence{static_cast<char32_t>(vocab_)};  // the begin symbol
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= vocab_)
      fail<ArgumentError>("an n-gram model: token {} is not in 0..{}", token, vocab_ - 1);
    sentence += static_cast<char32_t>(token);
    visit(sentence, sentence.size() - 1);
    if (token == options_.sentence_end) sentence.resize(1);
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
  ngram::BuildOptions build = in_memory;
  for (const Amounts& d : discounts()) build.discounts.push_back({{d.begin(), d.end()}, false});
  ngram::IdSource source(tokens_, vocab_, options_.sentence_end);
  ngram::estimate(source, options_, build, sink);
}

}  // namespace gradus::models
