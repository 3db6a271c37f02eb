#include "models/ngram/estimate/estimate.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "models/ngram/estimate/passes.hpp"
#include "models/ngram/state.hpp"

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
  if (!build.team) fail<ArgumentError>("a build without a team; one process is a Team() too");
  if (!build.discounts.empty()) {
    const auto three = [](const Discounts& d) { return d.amount.size() == 3; };
    if (options.method != NgramMethod::kneser_ney || std::ssize(build.discounts) != options.order ||
        !std::all_of(build.discounts.begin(), build.discounts.end(), three)) {
      fail<ArgumentError>(
          "given discounts of {} orders for {} of order {}: Kneser-Ney takes three for each order",
          build.discounts.size(), name_of(options.method), options.order);
    }
  }
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

std::string describe(const NgramOptions& options, const BuildOptions& build) {
  switch (options.method) {
    case NgramMethod::kneser_ney:
      return fmt::format("interpolated modified Kneser-Ney{}",
                         build.discounts.empty() ? "" : ", discounts given");
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

/// An estimate as far as the counts of all orders.
struct Counted {
  Counted(TokenSource& source, const NgramOptions& options, const BuildOptions& build);

  SegmentPool pool;
  NgramSummary summary;
  TokenSource::Ids ids;
  std::optional<Passes> passes;
};

SegmentPool make_pool(const BuildOptions& build) {
  // Many segments are being filled at the same time, so they are small, but large enough for packing to pay.
  const auto segment_words = static_cast<std::size_t>(std::clamp(build.memory / 32768, std::int64_t{1} << 10,
                                                                 std::int64_t{1} << 13)) /
                             sizeof(std::uint64_t);
  // The rest is for the buffers of the threads, which hardly grow with the bound.
  constexpr std::int64_t work = std::int64_t{48} << 20;
  return {std::max(build.memory / 16 * 9, build.memory / 4 * 3 - work), segment_words, build.temporary};
}

Counted::Counted(TokenSource& source, const NgramOptions& options, const BuildOptions& build)
    : pool(make_pool(build)) {
  NgramCounter counter(options.order, source.provisional_end(), build.memory / 2, pool);
  std::vector<std::uint32_t> tokens;
  while (source.read(tokens)) {
    counter.add(tokens);
    const TokenSource::Progress progress = source.progress();
    if (build.progress) build.progress("counting", progress.done, progress.total);
  }
  tokens = {};
  counter.finish();
  std::uint64_t read[] = {static_cast<std::uint64_t>(counter.tokens()),
                          static_cast<std::uint64_t>(counter.sentences())};
  build.team->sum(read);
  if (read[0] == 0) fail<ArgumentError>("an n-gram model of no tokens: the training text is empty");

  ids = source.finish();
  if (options.impossible < -1 || options.impossible >= ids.vocab)
    fail<ArgumentError>("the unknown word {} is not in 0..{}", options.impossible, ids.vocab - 1);
  summary.tokens = static_cast<std::int64_t>(read[0]);
  summary.sentences = static_cast<std::int64_t>(read[1]);
  passes.emplace(options.order, ids, options, build, pool);
  passes->spread(counter);
  passes->adjust();
}

}  // namespace

NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      FunctionRef<NgramSink&()> make_sink) {
  check(options, build);
  Counted counted(source, options, build);
  Passes& passes = *counted.passes;
  NgramSummary& summary = counted.summary;
  const TokenSource::Ids& ids = counted.ids;
  summary.method = describe(options, build);
  summary.discounts = passes.discounts();
  NgramDescription about{.order = options.order,
                         .vocab = ids.vocab,
                         .sentence_end = ids.sentence_end,
                         .fallback = traits_of(options.method).fallback,
                         .method = summary.method,
                         .options = options,
                         .discounts = summary.discounts};
  about.options->sentence_end = ids.sentence_end;
  NgramSink* const sink = build.team->leads() ? &make_sink() : nullptr;
  if (sink != nullptr) sink->describe(about);
  passes.normalise();
  passes.interpolate();
  passes.emit(sink, summary);
  const auto spilled = static_cast<std::uint64_t>(counted.pool.spilled.load());
  summary.temporary_bytes = static_cast<std::int64_t>(build.team->sum(spilled));
  if (sink != nullptr) sink->finish();
  return std::move(summary);
}

NgramSummary estimate(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                      NgramSink& sink) {
  return estimate(source, options, build, [&]() -> NgramSink& { return sink; });
}

void visit_counts(TokenSource& source, const NgramOptions& options, const BuildOptions& build,
                  FunctionRef<void(std::span<const std::int32_t>, std::int64_t)> visit) {
  check(options, build);
  if (!build.team->alone()) fail<ArgumentError>("the counts of a team: each member has some of them");
  Counted(source, options, build).passes->take_counts(visit);
}

}  // namespace gradus::models::ngram
