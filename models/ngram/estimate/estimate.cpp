#include "models/ngram/estimate/estimate.hpp"

#include <algorithm>

#include "models/ngram/estimate/passes.hpp"
#include "models/ngram/state.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models::ngram {

namespace {

void check(const NgramOptions& options, const BuildOptions& build) {
  if (options.order < 1 || options.order > max_order)
    fail<ArgumentError>("an n-gram model of order {}: orders are 1 to {}", options.order, max_order);
  if (!(options.k >= 0)) fail<ArgumentError>("add-k with k = {}: it must not be negative", options.k);
  if (options.katz_cutoff < 1 || options.katz_cutoff > 20)
    fail<ArgumentError>("Katz with a cutoff of {}: give 1 to 20", options.katz_cutoff);
  if (!(options.backoff > 0 && options.backoff <= 1))
    fail<ArgumentError>("stupid backoff by {}: give a number above 0, at most 1", options.backoff);
  if (build.memory < 1) fail<ArgumentError>("a build in {} bytes of memory", build.memory);
  if (build.prune.empty()) return;
  if (build.prune.front() != 0) {
    fail<ArgumentError>(
        "pruning words that stand {} times or less: begin with 0, and cut the vocabulary instead",
        build.prune.front());
  }
  if (!std::is_sorted(build.prune.begin(), build.prune.end()))
    fail<ArgumentError>("pruning by {}: a higher order's count must not be less",
                        fmt::join(build.prune, " "));
}

std::string describe(const NgramOptions& options) {
  switch (options.method) {
    case NgramMethod::kneser_ney:
      return "interpolated modified Kneser-Ney";
    case NgramMethod::maximum_likelihood:
      return "maximum likelihood";
    case NgramMethod::add_k:
      return fmt::format("add-k, k = {}", options.k);
    case NgramMethod::absolute_discounting:
      return "interpolated absolute discounting";
    case NgramMethod::witten_bell:
      return "interpolated Witten-Bell";
    case NgramMethod::katz:
      return fmt::format("Katz with Good-Turing to counts of {}", options.katz_cutoff);
    case NgramMethod::stupid_backoff:
      break;
  }
  return fmt::format("stupid backoff by {}", options.backoff);
}

}  // namespace

NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      NgramSink& sink) {
  check(options, build);
  // What is filled at the same time is many segments, so they are small; but not so small that packing them
  // would not pay.
  const auto segment_words = static_cast<std::size_t>(std::clamp(build.memory / 32768, std::int64_t{1} << 10,
                                                                 std::int64_t{1} << 13)) /
                             sizeof(std::uint64_t);
  // The rest is for what the threads work with, of which less grows with the bound.
  constexpr std::int64_t work = std::int64_t{48} << 20;
  SegmentPool pool(std::max(build.memory / 16 * 9, build.memory / 4 * 3 - work), segment_words,
                   build.temporary);
  NgramCounter counter(options.order, source.provisional_end(), build.memory / 2, pool);
  std::vector<std::uint32_t> tokens;
  while (source.read(tokens)) {
    counter.add(tokens);
    const TokenSource::Progress progress = source.progress();
    if (build.progress) build.progress("counting", progress.done, progress.total);
  }
  tokens = {};
  if (counter.tokens() == 0) fail<ArgumentError>("an n-gram model of no tokens: the training text is empty");
  counter.finish();

  const TokenSource::Ids ids = source.finish();
  if (options.impossible < -1 || options.impossible >= ids.vocab)
    fail<ArgumentError>("the unknown word {} is not in 0..{}", options.impossible, ids.vocab - 1);
  NgramSummary summary{.tokens = counter.tokens(), .sentences = counter.sentences()};
  Passes passes(options.order, ids, options, build, pool);
  passes.spread(counter);
  passes.adjust();
  summary.discounts = passes.discounts();
  NgramDescription about{.order = options.order,
                         .vocab = ids.vocab,
                         .sentence_end = ids.sentence_end,
                         .fallback = traits_of(options.method).fallback,
                         .method = describe(options),
                         .options = options,
                         .discounts = summary.discounts};
  about.options->sentence_end = ids.sentence_end;
  sink.describe(about);
  passes.normalise();
  passes.interpolate();
  passes.emit(sink, summary);
  summary.temporary_bytes = pool.spilled;
  sink.finish();
  return summary;
}

}  // namespace gradus::models::ngram
