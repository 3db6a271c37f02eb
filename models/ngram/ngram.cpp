#include "models/ngram/ngram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <variant>

#include "models/generate.hpp"
#include "models/ngram/estimate/estimate.hpp"
#include "models/ngram/store/compact_layout.hpp"
#include "models/ngram/store/fast_layout.hpp"
#include "models/ngram/store/image.hpp"
#include "models/ngram/store/query.hpp"
#include "models/ngram/store/verify.hpp"
#include "models/ngram/store/writer.hpp"
#include "tensor/support/error.hpp"

namespace gradus::models {

constexpr std::array<std::string_view, 7> method_names{"maximum-likelihood",   "add-k",       "kneser-ney",
                                                       "absolute-discounting", "witten-bell", "katz",
                                                       "stupid-backoff"};

std::string_view name_of(NgramMethod method) {
  return method_names[static_cast<std::size_t>(method)];
}

std::span<const std::string_view> ngram_method_names() {
  return method_names;
}

NgramMethod ngram_method_named(std::string_view name) {
  const auto found = std::find(method_names.begin(), method_names.end(), name);
  if (found == method_names.end())
    fail<ArgumentError>("there is no n-gram method '{}'; use {}", name, fmt::join(method_names, ", "));
  return static_cast<NgramMethod>(found - method_names.begin());
}

using namespace ngram;

struct NgramModel::Core {
  using View = std::variant<FastView, CompactView>;

  static View view_of(const Image& image) {
    if (image.header().layout == static_cast<std::uint32_t>(NgramLayout::fast)) return FastView(image);
    return CompactView(image);
  }
  explicit Core(Image from) : image(std::move(from)), description(image.description()), view(view_of(image)) {
    const Header& h = image.header();
    rules.fallback = static_cast<NgramFallback>(h.fallback);
    rules.sentence_end = h.sentence_end;
    if (rules.fallback == NgramFallback::uniform && description.options)
      rules.impossible = description.options->impossible;
    rules.log_uniform = -std::log(static_cast<double>(h.vocab - (rules.impossible >= 0 ? 1 : 0)));
    rules.likely_first = image.numbers<std::uint32_t>(h.part(Part::unigram_order));
    rules.root_masses = image.numbers<double>(h.part(Part::root_masses));
    const auto vocab = static_cast<std::uint64_t>(h.vocab);
    if (rules.likely_first.size() != vocab || rules.root_masses.size() != mass_count(vocab))
      fail<DataError>("{}: its unigrams contradict the vocabulary of {}", image.name(), vocab);
    const auto begin = static_cast<std::uint32_t>(h.vocab);
    std::visit([&](const auto& v) { Query(v, rules).settle(rules.start, begin, begin); }, view);
  }

  Image image;
  NgramDescription description;
  View view;
  Rules rules;
};

NgramModel::NgramModel(Image image) : core_(std::make_shared<const Core>(std::move(image))) {}

NgramModel::NgramModel(std::span<const std::int32_t> tokens, std::int32_t vocab,
                       const NgramOptions& options) {
  IdSource source(tokens, vocab, options.sentence_end);
  NgramWriter writer;
  // With a bound that is never reached: all in memory.
  estimate(source, options, {.memory = std::int64_t{1} << 40}, writer);
  *this = writer.model();
}

NgramModel NgramModel::open(const std::filesystem::path& file, NgramAccess access) {
  Mapping mapping = Mapping::read(file);
  if (access == NgramAccess::copied) {
    Mapping copy = Mapping::memory();
    copy.resize(mapping.bytes().size());
    std::copy(mapping.bytes().begin(), mapping.bytes().end(), copy.bytes().begin());
    mapping = std::move(copy);
  }
  return NgramModel(Image(std::move(mapping), file.string()));
}

NgramModel NgramModel::from_bytes(std::string_view bytes, const std::string& name) {
  Mapping copy = Mapping::memory();
  copy.resize(bytes.size());
  std::memcpy(copy.bytes().data(), bytes.data(), bytes.size());
  return NgramModel(Image(std::move(copy), name));
}

bool NgramModel::is_binary(std::string_view first_bytes) {
  return first_bytes.starts_with(image_magic);
}

void NgramModel::verify() const {
  const Image& image = core_->image;
  image.check_sums();
  std::visit(
      [&](const auto& view) {
        verify_ngrams(view, image.name());
        verify_unigrams(view, core_->rules, image.name());
      },
      core_->view);
  if (image.header().part(Part::vocabulary).size > 0) vocabulary();
}

Vocabulary NgramModel::vocabulary() const {
  const Image& image = core_->image;
  const std::string_view text = image.text(image.header().part(Part::vocabulary));
  if (text.empty()) fail<DataError>("{}: kept without its vocabulary", image.name());
  Vocabulary out = Vocabulary::parse(text, image.name() + ", its vocabulary");
  if (out.size() != vocab_size())
    fail<DataError>("{}: its vocabulary has {} symbols, its n-grams {}", image.name(), out.size(),
                    vocab_size());
  return out;
}

std::int32_t NgramModel::vocab_size() const {
  return core_->image.header().vocab;
}

const NgramDescription& NgramModel::description() const {
  return core_->description;
}

NgramLayout NgramModel::layout() const {
  return static_cast<NgramLayout>(core_->image.header().layout);
}

std::uint64_t NgramModel::bytes() const {
  return core_->image.bytes().size();
}

std::vector<std::int64_t> NgramModel::counts() const {
  std::vector<std::int64_t> out;
  const Header& h = core_->image.header();
  for (int n = 1; n <= static_cast<int>(h.order); ++n)
    out.push_back(static_cast<std::int64_t>(h.level(n).count));
  return out;
}

std::vector<std::uint64_t> NgramModel::order_bytes() const {
  std::vector<std::uint64_t> out;
  const Header& h = core_->image.header();
  for (int n = 1; n <= static_cast<int>(h.order); ++n) {
    out.push_back(n == 1 ? h.part(Part::unigram_order).size + h.part(Part::root_masses).size : 0);
    for (int part = 0; part < static_cast<int>(LevelPart::count); ++part)
      out.back() += h.part(n, static_cast<LevelPart>(part)).size;
  }
  return out;
}

template <class F>
auto NgramModel::ask(F&& question) const {
  return std::visit([&](const auto& view) { return question(Query(view, core_->rules)); }, core_->view);
}

std::uint32_t NgramModel::checked(std::int32_t token) const {
  const std::int32_t vocab = vocab_size();
  if (token < 0 || token > vocab)
    fail<ArgumentError>("an n-gram model over {} words was given the token {}", vocab, token);
  return static_cast<std::uint32_t>(token);
}

NgramModel::State NgramModel::start() const {
  return core_->rules.start;
}

NgramModel::State NgramModel::context(std::span<const std::int32_t> tokens) const {
  State state;
  ask([&](const auto& query) {
    for (const std::int32_t token : tokens) query.advance(state, checked(token));
  });
  return state;
}

NgramModel::State NgramModel::advance(const State& state, std::int32_t token) const {
  State next = state;
  score(next, token);
  return next;
}

Tensor NgramModel::log_probs(const State& state) const {
  Tensor out = Tensor::uninitialized({vocab_size()});
  ask([&](const auto& query) {
    query.check(state);
    query.distribution(state, out.mutable_data<float>());
  });
  return out;
}

double NgramModel::log_prob(const State& state, std::int32_t token) const {
  State next = state;
  return score(next, token).log_prob;
}

NgramScore NgramModel::score(State& state, std::int32_t token) const {
  return ask([&](const auto& query) { return query.advance(state, checked(token)); });
}

std::vector<double> NgramModel::score(State& state, std::span<const std::int32_t> tokens) const {
  std::vector<double> out;
  out.reserve(tokens.size());
  ask([&](const auto& query) {
    for (const std::int32_t token : tokens) out.push_back(query.advance(state, checked(token)).log_prob);
  });
  return out;
}

std::vector<Candidate> NgramModel::top_k(const State& state, std::int64_t k) const {
  if (k < 0) fail<ArgumentError>("the {} likeliest tokens of an n-gram model", k);
  return ask([&](const auto& query) {
    query.check(state);
    return query.top(state, static_cast<std::size_t>(k));
  });
}

std::int32_t NgramModel::sample(const State& state, Rng& rng) const {
  return ask([&](const auto& query) {
    query.check(state);
    return query.sample(state, rng);
  });
}

std::int32_t NgramModel::draw(const State& state, const GenerateOptions& options, Rng& rng) const {
  constexpr int most_attempts = 1000;  // nearly all of the probability may be that of banned tokens
  for (int attempt = 0; options.keeps_probabilities() && attempt < most_attempts; ++attempt) {
    const std::int32_t token = sample(state, rng);
    if (!options.bans(token)) return token;
  }
  return models::sample(log_probs(state), options, rng);
}

void NgramModel::visit_entries(int order,
                               FunctionRef<void(std::span<const std::int32_t>, double, double)> visit) const {
  std::visit([&](const auto& view) { visit_ngrams(view, core_->image.name(), order, visit); }, core_->view);
}

void NgramModel::write_to(NgramSink& sink, const NgramProgress& progress) const {
  sink.describe(description());
  const std::vector<std::int64_t> sizes = counts();
  const std::int64_t total = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  std::int64_t done = 0;
  sink.expect(sizes);
  for (int order = 1; order <= description().order; ++order) {
    sink.begin_order(order, sizes[static_cast<std::size_t>(order - 1)]);
    visit_entries(order, [&](std::span<const std::int32_t> ngram, double log_prob, double backoff) {
      sink.add(ngram, static_cast<float>(log_prob), static_cast<float>(backoff));
      if (++done % ngrams_a_report == 0 && progress) progress("writing", done, total);
    });
  }
  sink.finish();
}

}  // namespace gradus::models
