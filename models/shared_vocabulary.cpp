#include "models/shared_vocabulary.hpp"

#include <cmath>
#include <string_view>
#include <unordered_set>

namespace gradus::models {

Vocabulary union_of(std::span<const Vocabulary> vocabularies) {
  if (vocabularies.empty()) fail<ArgumentError>("the union of no vocabularies");
  std::vector<std::string_view> symbols;
  std::unordered_set<std::string_view> seen;
  for (const Vocabulary& vocabulary : vocabularies) {
    if (vocabulary.unit() != vocabularies.front().unit()) {
      fail<ArgumentError>("the union of a vocabulary of {}s and one of {}s",
                          name_of(vocabularies.front().unit()), name_of(vocabulary.unit()));
    }
    for (std::int32_t id = 0; id < vocabulary.size(); ++id) {
      if (id != vocabulary.unknown() && seen.insert(vocabulary.symbol(id)).second)
        symbols.push_back(vocabulary.symbol(id));
    }
  }
  const std::vector<std::int64_t> counts(symbols.size(), 1);
  return Vocabulary::from_counts(vocabularies.front().unit(), symbols, counts);
}

WidenedModel::WidenedModel(ErasedModel model, const Vocabulary& own, const Vocabulary& all)
    : model_(std::move(model)), own_unknown_(own.unknown()) {
  if (own.unit() != all.unit() || own.size() != model_.vocab_size()) {
    fail<ArgumentError>("a model over {} symbols with a vocabulary of {} {}s, to be widened to one of {}s",
                        model_.vocab_size(), own.size(), name_of(own.unit()), name_of(all.unit()));
  }
  for (std::int32_t id = 0; id < own.size(); ++id) {
    if (!all.contains(own.symbol(id)))
      fail<ArgumentError>("a model cannot be widened to a vocabulary that lacks its symbol '{}'",
                          own.symbol(id));
  }
  for (std::int32_t id = 0; id < all.size(); ++id) {
    own_id_.push_back(own.id(all.symbol(id)));
    if (own_id_.back() == own_unknown_ && id != all.unknown()) ++unlisted_;
  }
}

std::int32_t WidenedModel::own_id(std::int32_t token) const {
  if (token < 0 || token >= vocab_size())
    fail<ArgumentError>("a model over {} symbols was given the token {}", vocab_size(), token);
  return own_id_[static_cast<std::size_t>(token)];
}

double WidenedModel::log_share(std::int32_t own) const {
  return own == own_unknown_ ? std::log1p(static_cast<double>(unlisted_)) : 0;
}

WidenedModel::State WidenedModel::advance(const State& state, std::int32_t token) const {
  return model_.advance(state, own_id(token));
}

Tensor WidenedModel::log_probs(const State& state) const {
  const Tensor own = model_.log_probs(state);
  const float* const from = own.data<float>();
  const auto share = static_cast<float>(log_share(own_unknown_));
  Tensor out = Tensor::uninitialized({vocab_size()});
  float* const to = out.mutable_data<float>();
  for (std::size_t id = 0; id < own_id_.size(); ++id)
    to[id] = from[own_id_[id]] - (own_id_[id] == own_unknown_ ? share : 0);
  return out;
}

double WidenedModel::log_prob(const State& state, std::int32_t token) const {
  const std::int32_t own = own_id(token);
  return model_.log_prob(state, own) - log_share(own);
}

std::vector<double> WidenedModel::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<std::int32_t> own;
  own.reserve(tokens.size());
  for (const std::int32_t token : tokens) own.push_back(own_id(token));
  std::vector<double> out = model_.score(state, own);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] -= log_share(own[i]);
  return out;
}

}  // namespace gradus::models
