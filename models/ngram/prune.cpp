#include "models/ngram/prune.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/ngram/store/image.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models {

namespace {

using Place = std::uint32_t;  // of an n-gram in its level

constexpr Place nowhere = ngram::none;

/// An n-gram whose suffix the model does not hold, and the level of the longest of its endings that it holds.
struct Hole {
  Place ngram;
  std::size_t depth;
};

/// The n-grams of one order, sorted.
struct Level {
  std::vector<std::int32_t> token;  // the last one
  std::vector<Place> first_child;   // in the next level; one more than there are tokens
  // The place of the n-gram's suffix, in the level before; for holes, of its longest ending in the model.
  std::vector<Place> suffix;
  std::vector<Hole> holes;  // sorted; in most models there are none
  std::vector<float> log_prob, backoff;
  std::vector<bool> kept, needed;  // needed: as the context or suffix of an n-gram that is kept
};

/// An n-gram: its level, and its place in the level.
struct Node {
  std::size_t depth;
  Place place;
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
        context_node_ = {depth - 1, place};
      }
      add_suffix(level, ngram.back());
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

  /// Gives the n-grams that are kept, `counts` of each order, to a sink.
  void write_to(NgramSink& sink, std::span<const std::int64_t> counts, const NgramProgress& progress) const {
    const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    std::int64_t done = 0;
    sink.describe(about);
    sink.expect(counts);
    for (std::size_t depth = 0; depth < levels.size(); ++depth) {
      sink.begin_order(static_cast<int>(depth) + 1, counts[depth]);
      std::vector<std::int32_t> ngram(depth + 1);
      visit_below(ngram, 0, 0, static_cast<Place>(levels.front().token.size()), [&](Place i) {
        sink.add(ngram, levels[depth].log_prob[i], levels[depth].backoff[i]);
        if (++done % ngrams_a_report == 0 && progress) progress("writing", done, total);
      });
    }
    sink.finish();
  }

  /// The longest proper ending, of an n-gram of two tokens or more, that the model holds.
  Node suffix_of(const Node& node) const {
    const Level& level = levels[node.depth];
    Node out{node.depth - 1, level.suffix[node.place]};
    if (level.holes.empty()) return out;
    const auto hole = std::lower_bound(level.holes.begin(), level.holes.end(), node.place,
                                       [](const Hole& h, Place place) { return h.ngram < place; });
    if (hole != level.holes.end() && hole->ngram == node.place) out.depth = hole->depth;
    return out;
  }
  /// log p(w | h') of an n-gram h w and its context h, by backing off where the model does not hold h' w.
  double shorter_log_prob(const Node& ngram, Place context) const {
    const Node suffix = suffix_of(ngram);
    auto out = static_cast<double>(levels[suffix.depth].log_prob[suffix.place]);
    for (Node h{ngram.depth - 1, context}; h.depth > suffix.depth;) {
      h = suffix_of(h);
      if (h.depth >= suffix.depth) out += static_cast<double>(levels[h.depth].backoff[h.place]);
    }
    return out;
  }

  NgramDescription about;
  std::vector<Level> levels;  // levels[n - 1]: order n

 private:
  void end_order() {
    if (levels.size() < 2) return;
    Level& contexts = levels[levels.size() - 2];
    contexts.first_child.resize(contexts.token.size() + 1, static_cast<Place>(levels.back().token.size()));
  }
  /// The place, in a level, of the continuation by a token of the n-gram at `context` in the level before;
  /// nowhere if the model does not hold it.
  Place child(std::size_t depth, Place context, std::int32_t token) const {
    if (depth == 0) return static_cast<Place>(token);
    const auto tokens = levels[depth].token.begin();
    const std::vector<Place>& first = levels[depth - 1].first_child;
    const auto end = tokens + first[context + std::size_t{1}];
    const auto found = std::lower_bound(tokens + first[context], end, token);
    return found != end && *found == token ? static_cast<Place>(found - tokens) : nowhere;
  }
  Place find(std::span<const std::int32_t> ngram) const {
    Place place = 0;
    for (std::size_t depth = 0; depth < ngram.size(); ++depth) {
      place = child(depth, place, ngram[depth]);
      if (place == nowhere)
        fail<DataError>(
            "an n-gram model ({}) holds a {}-gram whose context of {} it does not; write it again",
            about.method, ngram.size() + 1, depth + 1);
    }
    return place;
  }
  void add_suffix(Level& level, std::int32_t token) {
    Node context = context_node_;
    Node found{0, static_cast<Place>(token)};  // the model holds every unigram
    while (context.depth > 0) {
      context = suffix_of(context);
      const Place place = child(context.depth + 1, context.place, token);
      if (place == nowhere) continue;
      found = {context.depth + 1, place};
      break;
    }
    if (found.depth != context_node_.depth)
      level.holes.push_back({static_cast<Place>(level.token.size()), found.depth});
    level.suffix.push_back(found.place);
  }
  /// Calls visit(place) for each n-gram that is kept and as long as `ngram`, which then holds its tokens, of
  /// those that begin with the n-grams from `begin` to `end` of a level.
  template <class Visit>
  void visit_below(std::vector<std::int32_t>& ngram, std::size_t depth, Place begin, Place end,
                   const Visit& visit) const {
    const Level& level = levels[depth];
    for (Place i = begin; i < end; ++i) {
      if (!level.kept[i]) continue;
      ngram[depth] = level.token[i];
      if (depth + 1 == ngram.size()) {
        visit(i);
      } else {
        visit_below(ngram, depth + 1, level.first_child[i], level.first_child[i + std::size_t{1}], visit);
      }
    }
  }

  std::vector<std::int32_t> context_;  // of the last n-gram added
  Node context_node_{};
};

double prob(float log_prob) {
  return std::exp(static_cast<double>(log_prob));
}

/// log p(w_1 ... w_n) of each n-gram of a level, from those of the level before.
std::vector<double> joint(const Trie& trie, std::size_t depth, const std::vector<double>& before) {
  const Level& level = trie.levels[depth];
  std::vector<double> out(level.token.size());
  if (depth == 0) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(level.log_prob[i]);
    // Sentences begin as often as they end.
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

/// Judges the n-grams of one context and recomputes its backoff weight.
void prune_context(Trie& trie, std::size_t depth, Place context, double context_prob, double threshold) {
  Level& contexts = trie.levels[depth - 1];
  Level& level = trie.levels[depth];
  const std::size_t begin = contexts.first_child[context],
                    end = contexts.first_child[context + std::size_t{1}];
  const auto shorter_log_prob = [&](std::size_t i) {
    return trie.shorter_log_prob({depth, static_cast<Place>(i)}, context);
  };
  double rest_shorter = 1;  // p(. | h') of all words not listed after h
  for (std::size_t i = begin; i < end; ++i) rest_shorter -= std::exp(shorter_log_prob(i));
  rest_shorter = std::max(rest_shorter, 0.0);
  const double log_weight = static_cast<double>(contexts.backoff[context]);
  const double rest = std::exp(log_weight) * rest_shorter;  // the same of p(. | h)

  double pruned = 0, pruned_shorter = 0;
  bool any_kept = false;
  for (std::size_t i = begin; i < end; ++i) {
    const double log_shorter = shorter_log_prob(i);
    const double p = prob(level.log_prob[i]), shorter = std::exp(log_shorter);
    bool keep = level.needed[i];
    if (!keep) {
      const double log_new_weight = std::log((rest + p) / (rest_shorter + shorter));
      const double one = p * (log_shorter + log_new_weight - static_cast<double>(level.log_prob[i]));
      const double others = rest > 0 ? rest * (log_new_weight - log_weight) : 0;
      keep = !(std::expm1(-context_prob * (one + others)) < threshold);
    }
    level.kept[i] = keep;
    any_kept |= keep;
    if (keep) {
      const Node suffix = trie.suffix_of({depth, static_cast<Place>(i)});
      contexts.needed[context] = true;
      trie.levels[suffix.depth].needed[suffix.place] = true;
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

/// Where the suffix of an n-gram is missing, p(w | h') depends on the backoff weights of shorter contexts,
/// which have changed; so the backoff weights of the contexts of such n-grams are computed again, the
/// shortest first.
void weigh_around_holes(Trie& trie) {
  for (std::size_t depth = 1; depth < trie.levels.size(); ++depth) {
    const Level& level = trie.levels[depth];
    Level& contexts = trie.levels[depth - 1];
    auto hole = level.holes.begin();
    for (Place context = 0; context < contexts.token.size() && hole != level.holes.end(); ++context) {
      const Place end = contexts.first_child[context + std::size_t{1}];
      if (hole->ngram >= end) continue;
      while (hole != level.holes.end() && hole->ngram < end) ++hole;
      double rest = 1, rest_shorter = 1;
      for (Place i = contexts.first_child[context]; i < end; ++i) {
        if (!level.kept[i]) continue;
        rest -= prob(level.log_prob[i]);
        rest_shorter -= std::exp(trie.shorter_log_prob({depth, i}, context));
      }
      // Smaller remainders may be nothing but rounding errors.
      if (rest > 1e-6 && rest_shorter > 1e-6)
        contexts.backoff[context] = static_cast<float>(std::log(rest / rest_shorter));
    }
  }
}

}  // namespace

PruneSummary prune(const NgramModel& model, double threshold, NgramSink& sink,
                   const NgramProgress& progress) {
  if (!(threshold >= 0))
    fail<ArgumentError>("pruning with a threshold of {}: it must not be negative", threshold);
  const NgramDescription& about = model.description();
  if (about.fallback != NgramFallback::shorter)
    fail<ArgumentError>("an n-gram model of the method {} does not back off, and cannot be pruned",
                        about.method);
  if (gives_scores(about)) {
    fail<ArgumentError>(
        "an n-gram model of the method {} gives scores and no probabilities, which pruning judges by; "
        "prune a model of another method, or build with --prune",
        about.method);
  }
  const std::vector<std::int64_t> counts = model.counts();
  Trie trie;
  model.write_to(trie, [&](std::string_view, std::int64_t done, std::int64_t total) {
    if (progress) progress("reading", done, total);
  });
  trie.about.method += fmt::format(", pruned by relative entropy at {}", threshold);
  std::vector<std::vector<double>> joints;
  for (std::size_t depth = 0; depth + 1 < trie.levels.size(); ++depth)
    joints.push_back(joint(trie, depth, depth == 0 ? std::vector<double>() : joints.back()));
  const std::int64_t all_contexts = std::accumulate(counts.begin(), counts.end() - 1, std::int64_t{0});
  std::int64_t judged = 0;
  for (std::size_t depth = trie.levels.size() - 1; depth > 0; --depth) {
    const std::vector<double>& contexts = joints[depth - 1];
    for (std::size_t context = 0; context < contexts.size(); ++context) {
      prune_context(trie, depth, static_cast<Place>(context), std::exp(contexts[context]), threshold);
      if (++judged % ngrams_a_report == 0 && progress) progress("judging", judged, all_contexts);
    }
  }
  PruneSummary out;
  for (const Level& level : trie.levels) {
    out.before.push_back(static_cast<std::int64_t>(level.kept.size()));
    out.after.push_back(std::count(level.kept.begin(), level.kept.end(), true));
  }
  if (out.after != out.before) weigh_around_holes(trie);
  trie.write_to(sink, out.after, progress);
  return out;
}

}  // namespace gradus::models
