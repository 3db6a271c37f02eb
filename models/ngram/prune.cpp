#include "models/ngram/prune.hpp"

#include <algorithm>
#include <cmath>

#include "tensor/error.hpp"

namespace gradus::models {

namespace {

using Place = std::uint32_t;  // of an n-gram in its level

/// The n-grams of one order, sorted.
struct Level {
  std::vector<std::int32_t> token;  // the last one
  std::vector<Place> first_child;   // in the next level; one more than tokens
  std::vector<Place> suffix;        // in the level before: the n-gram without its first token
  std::vector<float> log_prob, backoff;
  std::vector<bool> kept, needed;  // needed: a context or suffix of one that is kept
};

/// The n-grams of a model as a trie.
class Trie : public NgramSink {
 public:
  void describe(const NgramDescription& said) override { about = said; }
  void begin_order(int order, std::int64_t count) override {
    if (count >= std::int64_t{1} << 32)
      fail<ArgumentError>("pruning of {} {}-grams; there may be 2^32 - 1", count, order);
    end_order();
    levels.emplace_back();
    context_.clear();
  }
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff) override {
    const std::size_t depth = levels.size() - 1;
    Level& level = levels[depth];
    if (depth > 0) {
      const auto context = ngram.first(depth);
      if (!std::equal(context.begin(), context.end(), context_.begin(), context_.end())) {
        context_.assign(context.begin(), context.end());
        const Place place = find(context);
        levels[depth - 1].first_child.resize(place + std::size_t{1}, static_cast<Place>(level.token.size()));
        context_suffix_ = depth == 1 ? 0 : levels[depth - 1].suffix[place];
      }
      level.suffix.push_back(child(depth - 1, context_suffix_, ngram.back()));
    }
    level.token.push_back(ngram.back());
    level.log_prob.push_back(log_prob);
    level.backoff.push_back(backoff);
  }
  void finish() override {
    end_order();
    levels.back().first_child.assign(levels.back().token.size() + 1, 0);
    for (Level& level : levels) {
      level.kept.assign(level.token.size(), true);
      level.needed.assign(level.token.size(), false);
    }
  }

  /// What is kept.
  void write_to(NgramSink& sink) const {
    sink.describe(about);
    for (std::size_t depth = 0; depth < levels.size(); ++depth) {
      const std::vector<bool>& kept = levels[depth].kept;
      sink.begin_order(static_cast<int>(depth) + 1, std::count(kept.begin(), kept.end(), true));
      std::vector<std::int32_t> ngram(depth + 1);
      write_below(sink, ngram, 0, 0, static_cast<Place>(levels.front().token.size()));
    }
    sink.finish();
  }

  NgramDescription about;
  std::vector<Level> levels;  // levels[n - 1]: order n

 private:
  void end_order() {
    if (levels.size() < 2) return;
    Level& contexts = levels[levels.size() - 2];
    contexts.first_child.resize(contexts.token.size() + 1, static_cast<Place>(levels.back().token.size()));
  }
  /// The place in a level of the n-gram at `context`, in the level before, with the token added; it is there.
  Place child(std::size_t depth, Place context, std::int32_t token) const {
    if (depth == 0) return static_cast<Place>(token);
    const auto tokens = levels[depth].token.begin();
    const std::vector<Place>& first = levels[depth - 1].first_child;
    return static_cast<Place>(
        std::lower_bound(tokens + first[context], tokens + first[context + std::size_t{1}], token) - tokens);
  }
  Place find(std::span<const std::int32_t> ngram) const {
    Place place = 0;
    for (std::size_t depth = 0; depth < ngram.size(); ++depth) place = child(depth, place, ngram[depth]);
    return place;
  }
  void write_below(NgramSink& sink, std::vector<std::int32_t>& ngram, std::size_t depth, Place begin,
                   Place end) const {
    const Level& level = levels[depth];
    for (Place i = begin; i < end; ++i) {
      if (!level.kept[i]) continue;
      ngram[depth] = level.token[i];
      if (depth + 1 == ngram.size()) {
        sink.add(ngram, level.log_prob[i], level.backoff[i]);
      } else {
        write_below(sink, ngram, depth + 1, level.first_child[i], level.first_child[i + std::size_t{1}]);
      }
    }
  }

  std::vector<std::int32_t> context_;  // of the last n-gram added
  Place context_suffix_ = 0;
};

double prob(float log_prob) {
  return std::exp(static_cast<double>(log_prob));
}

/// log p of each n-gram of a level as a text by itself, from that of the level before.
std::vector<double> joint(const Trie& trie, std::size_t depth, const std::vector<double>& before) {
  const Level& level = trie.levels[depth];
  std::vector<double> out(level.token.size());
  if (depth == 0) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(level.log_prob[i]);
    // A sentence begins as often as one ends.
    const std::int32_t end = trie.about.sentence_end;
    if (end >= 0) out.back() = static_cast<double>(level.log_prob[static_cast<std::size_t>(end)]);
    return out;
  }
  const std::vector<Place>& first = trie.levels[depth - 1].first_child;
  for (std::size_t context = 0; context < before.size(); ++context) {
    for (std::size_t i = first[context]; i < first[context + 1]; ++i)
      out[i] = before[context] + static_cast<double>(level.log_prob[i]);
  }
  return out;
}

/// Judges the n-grams of one context and sets its backoff weight anew.
void prune_context(Trie& trie, std::size_t depth, std::size_t context, double context_prob,
                   double threshold) {
  Level& contexts = trie.levels[depth - 1];
  Level& level = trie.levels[depth];
  const Level& lower = contexts;  // suffixes of the level's n-grams stand among the contexts' order
  const std::size_t begin = contexts.first_child[context], end = contexts.first_child[context + 1];
  double rest_shorter = 1;  // what p(. | h') leaves to the words not listed after h
  for (std::size_t i = begin; i < end; ++i) rest_shorter -= prob(lower.log_prob[level.suffix[i]]);
  rest_shorter = std::max(rest_shorter, 0.0);
  const double log_weight = static_cast<double>(contexts.backoff[context]);
  const double rest = std::exp(log_weight) * rest_shorter;  // and p(. | h)

  double pruned = 0, pruned_shorter = 0;
  bool any_kept = false;
  for (std::size_t i = begin; i < end; ++i) {
    const Place suffix = level.suffix[i];
    const double p = prob(level.log_prob[i]), shorter = prob(lower.log_prob[suffix]);
    bool keep = level.needed[i];
    if (!keep) {
      const double log_new_weight = std::log((rest + p) / (rest_shorter + shorter));
      const double one = p * (static_cast<double>(lower.log_prob[suffix]) + log_new_weight -
                              static_cast<double>(level.log_prob[i]));
      const double others = rest > 0 ? rest * (log_new_weight - log_weight) : 0;
      keep = !(std::expm1(-context_prob * (one + others)) < threshold);
    }
    level.kept[i] = keep;
    any_kept |= keep;
    if (keep) {
      contexts.needed[context] = true;
      contexts.needed[suffix] = true;
    } else {
      pruned += p;
      pruned_shorter += shorter;
    }
  }
  if (pruned_shorter > 0) {
    contexts.backoff[context] =
        any_kept ? static_cast<float>(std::log((rest + pruned) / (rest_shorter + pruned_shorter))) : 0;
  }
}

}  // namespace

PruneSummary prune(const NgramModel& model, double threshold, NgramSink& sink) {
  if (!(threshold >= 0))
    fail<ArgumentError>("pruning with a threshold of {}: it must not be negative", threshold);
  const NgramDescription about = model.description();
  if (about.fallback != NgramFallback::shorter)
    fail<ArgumentError>("an n-gram model of the method {} does not back off, and cannot be pruned",
                        about.method);
  Trie trie;
  model.write_to(trie);
  trie.about.method += fmt::format(", pruned by relative entropy at {}", threshold);
  std::vector<std::vector<double>> joints;
  for (std::size_t depth = 0; depth + 1 < trie.levels.size(); ++depth)
    joints.push_back(joint(trie, depth, depth == 0 ? std::vector<double>() : joints.back()));
  for (std::size_t depth = trie.levels.size() - 1; depth > 0; --depth) {
    const std::vector<double>& contexts = joints[depth - 1];
    for (std::size_t context = 0; context < contexts.size(); ++context)
      prune_context(trie, depth, context, std::exp(contexts[context]), threshold);
  }
  PruneSummary out;
  for (const Level& level : trie.levels) {
    out.before.push_back(static_cast<std::int64_t>(level.kept.size()));
    out.after.push_back(std::count(level.kept.begin(), level.kept.end(), true));
  }
  trie.write_to(sink);
  return out;
}

}  // namespace gradus::models
