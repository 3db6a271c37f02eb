#include "models/adapt/learned_counts.hpp"

#include <cmath>
#include <string>
#include <string_view>

namespace gradus::models {

/// What was read: of each context, of lengths from 0 on, how often each token followed.
class ReadCounts {
 public:
  struct Followers {
    std::int64_t total = 0;
    std::unordered_map<std::int32_t, std::int64_t> counts{};
  };

  const Followers* find(std::span<const std::int32_t> context) const {
    const auto found = contexts_.find(key(context));
    return found == contexts_.end() ? nullptr : &found->second;
  }
  void add(std::span<const std::int32_t> context, std::int32_t token) {
    Followers& followers = contexts_[key(context)];
    ++followers.total;
    ++followers.counts[token];
  }

 private:
  static std::string key(std::span<const std::int32_t> context) {
    return {reinterpret_cast<const char*>(context.data()), context.size_bytes()};
  }
  std::unordered_map<std::string, Followers> contexts_;
};

LearnedCounts::LearnedCounts(ErasedModel model, const LearnedCountsOptions& options)
    : model_(std::move(model)), options_(options) {
  if (options.order < 1 || options.order > 8 || !(options.strength > 0 && std::isfinite(options.strength))) {
    fail<ArgumentError>(
        "learned counts of order {} and strength {}: the order is from 1 to 8, the strength above 0",
        options.order, options.strength);
  }
}

LearnedCounts::State LearnedCounts::start() const {
  return {model_.start(), {}, std::make_shared<ReadCounts>()};
}

void LearnedCounts::read(State& state, std::int32_t token) const {
  // Others that share the counts keep them as they are.
  if (state.counts.use_count() > 1) state.counts = std::make_shared<ReadCounts>(*state.counts);
  const std::span<const std::int32_t> context = state.context;
  for (std::size_t length = 0; length <= context.size(); ++length)
    state.counts->add(context.last(length), token);
  if (options_.order == 1) return;
  if (std::ssize(state.context) == options_.order - 1) state.context.erase(state.context.begin());
  state.context.push_back(token);
}

double LearnedCounts::mixed(const State& state, std::int32_t token, double log_prob) const {
  double p = std::exp(log_prob);
  const std::span<const std::int32_t> context = state.context;
  for (std::size_t length = 0; length <= context.size(); ++length) {
    const ReadCounts::Followers* const followers = state.counts->find(context.last(length));
    if (followers == nullptr) break;  // then longer ones are new too
    const auto found = followers->counts.find(token);
    const double count = found == followers->counts.end() ? 0 : static_cast<double>(found->second);
    const double left = options_.strength * static_cast<double>(followers->counts.size());
    p = (count + left * p) / (static_cast<double>(followers->total) + left);
  }
  return std::log(p);
}

LearnedCounts::State LearnedCounts::advance(const State& state, std::int32_t token) const {
  State out = state;
  out.inner = model_.advance(state.inner, token);
  read(out, token);
  return out;
}

Tensor LearnedCounts::log_probs(const State& state) const {
  const Tensor of_model = model_.log_probs(state.inner);
  std::vector<float> out(static_cast<std::size_t>(of_model.size()));
  for (std::int64_t w = 0; w < of_model.size(); ++w) {
    out[static_cast<std::size_t>(w)] =
        static_cast<float>(mixed(state, static_cast<std::int32_t>(w), of_model.at(w)));
  }
  return Tensor::from(out, of_model.shape());
}

double LearnedCounts::log_prob(const State& state, std::int32_t token) const {
  return mixed(state, token, model_.log_prob(state.inner, token));
}

std::vector<double> LearnedCounts::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<double> out = model_.score(state.inner, tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out[i] = mixed(state, tokens[i], out[i]);
    read(state, tokens[i]);
  }
  return out;
}

}  // namespace gradus::models
