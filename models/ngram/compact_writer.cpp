#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "models/ngram/codebook.hpp"
#include "models/ngram/compact_layout.hpp"
#include "tensor/parallel.hpp"

namespace gradus::models::ngram {

namespace {

/// Runs body(begin, end) over 0..count in parts whose packed numbers share no word.
template <class Body>
void for_parts(std::uint64_t count, Body&& body) {
  constexpr std::uint64_t part = std::uint64_t{1} << 16;
  parallel::for_chunks(static_cast<std::int64_t>((count + part - 1) / part), [&](std::int64_t i) {
    const std::uint64_t begin = static_cast<std::uint64_t>(i) * part;
    body(static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(std::min(count, begin + part)));
  });
}

/// Writes one order of a model.
class LevelWriter {
 public:
  LevelWriter(const FastView& from, ImageWriter& to, int order, int quantize)
      : from_(from), to_(to), order_(order), count_(from.count(order)), inner_(order < from.order()) {
    write_tokens();
    choose_codes(quantize);
    write_values();
    if (inner_) write_children();
  }

  /// Once the continuations are written.
  void write_masses(const LevelWriter& next) {
    const auto masses = to_.numbers<double>(to_.header().part(order_, LevelPart::masses));
    parallel::for_chunks(static_cast<std::int64_t>(wide_.size()), [&](std::int64_t i) {
      const CompactWide& wide = wide_[static_cast<std::size_t>(i)];
      const Children children = from_.children(order_, wide.node);
      sum_masses(children.count, masses.subspan(wide.masses, mass_count(children.count)),
                 [&](std::uint32_t child) { return next.stored_log_prob(children.first + child); });
    });
  }

 private:
  float stored_log_prob(std::uint64_t i) const {
    const float p = log_prob(i);
    return log_probs_.floats.empty() ? p : log_probs_.floats[log_probs_.code(p)];
  }
  float log_prob(std::uint64_t i) const { return from_.log_prob(order_, static_cast<std::uint32_t>(i)); }
  float backoff(std::uint64_t i) const { return from_.backoff(order_, static_cast<std::uint32_t>(i)); }
  LevelHeader& head() { return to_.header().level(order_); }

  void write_tokens() {
    head().count = count_;
    if (order_ == 1) return;
    const int bits = std::max(1, static_cast<int>(std::bit_width(from_.vocab() - 1)));
    head().token_bits = static_cast<std::uint8_t>(bits);
    const auto words = to_.add<std::uint64_t>(words_for(count_ * static_cast<std::uint64_t>(bits)), order_,
                                              LevelPart::entries);
    for_parts(count_, [&](std::uint32_t begin, std::uint32_t end) {
      for (std::uint32_t i = begin; i < end; ++i)
        write_bits(words.data(), i * static_cast<std::uint64_t>(bits), bits, from_.token(order_, i));
    });
  }

  /// Unigrams are few, and kept exactly.
  void choose_codes(int quantize) {
    const auto log_prob_of = [&](std::uint64_t i) { return log_prob(i); };
    const auto backoff_of = [&](std::uint64_t i) { return backoff(i); };
    const bool exact = quantize == 0 || order_ == 1;
    log_probs_ =
        exact ? exact_codebook(count_, log_prob_of, 31) : quantized_codebook(count_, log_prob_of, quantize);
    if (inner_)
      backoffs_ =
          exact ? exact_codebook(count_, backoff_of, 32) : quantized_codebook(count_, backoff_of, quantize);
    head().log_prob_bits = static_cast<std::uint8_t>(log_probs_.floats.empty() ? 31 : log_probs_.bits());
    head().backoff_bits = static_cast<std::uint8_t>(!inner_                    ? 0
                                                    : backoffs_.floats.empty() ? 32
                                                                               : backoffs_.bits());
    const auto log_probs = to_.add<float>(log_probs_.floats.size(), order_, LevelPart::log_probs);
    std::copy(log_probs_.floats.begin(), log_probs_.floats.end(), log_probs.begin());
    const auto backoffs = to_.add<float>(backoffs_.floats.size(), order_, LevelPart::backoffs);
    std::copy(backoffs_.floats.begin(), backoffs_.floats.end(), backoffs.begin());
  }

  void write_values() {
    const int log_prob_bits = head().log_prob_bits, backoff_bits = head().backoff_bits;
    const auto width = static_cast<std::uint64_t>(log_prob_bits + backoff_bits);
    const auto words = to_.add<std::uint64_t>(words_for(count_ * width), order_, LevelPart::values);
    for_parts(count_, [&](std::uint32_t begin, std::uint32_t end) {
      for (std::uint32_t i = begin; i < end; ++i) {
        const std::uint64_t bit = i * width;
        const float p = log_prob(i);
        write_bits(
            words.data(), bit, log_prob_bits,
            log_probs_.floats.empty() ? std::bit_cast<std::uint32_t>(p) & 0x7FFFFFFFu : log_probs_.code(p));
        if (!inner_) continue;
        const float b = backoff(i);
        write_bits(words.data(), bit + static_cast<std::uint64_t>(log_prob_bits), backoff_bits,
                   backoffs_.floats.empty() ? std::bit_cast<std::uint32_t>(b) : backoffs_.code(b));
      }
    });
  }

  void write_children() {
    const auto samples = to_.add<std::uint32_t>(order_ == 1 ? count_ + 1 : count_ / sample_step + 1, order_,
                                                LevelPart::child_samples);
    const std::uint32_t step = order_ == 1 ? 1 : sample_step;
    std::uint64_t passed = 0, masses = 0;
    for (std::uint32_t node = 0; node < count_; ++node) {
      if (node % step == 0) samples[node / step] = static_cast<std::uint32_t>(passed);
      const Children children = from_.children(order_, node);
      passed += children.count;
      if (children.count < CompactWide::least) continue;
      wide_.push_back({node, static_cast<std::uint32_t>(masses)});
      masses += mass_count(children.count);
    }
    if (count_ % step == 0) samples.back() = static_cast<std::uint32_t>(passed);
    if (order_ > 1) write_child_bits(passed);
    const auto wide = to_.add<CompactWide>(wide_.size(), order_, LevelPart::wide);
    std::copy(wide_.begin(), wide_.end(), wide.begin());
    to_.add<double>(masses, order_, LevelPart::masses);
  }

  void write_child_bits(std::uint64_t children) {
    const auto bits = to_.add<std::uint64_t>(words_for(count_ + children + 1), order_, LevelPart::child_bits);
    std::uint64_t bit = 0;
    for (std::uint32_t node = 0; node < count_; ++node) {
      write_bits(bits.data(), bit, 1, 1);
      bit += 1 + from_.children(order_, node).count;
    }
    write_bits(bits.data(), bit, 1, 1);  // ends the last one's
  }

  const FastView& from_;
  ImageWriter& to_;
  int order_;
  std::uint64_t count_;
  bool inner_;  // below the highest order
  Codebook log_probs_, backoffs_;
  std::vector<CompactWide> wide_;
};

template <class T>
void copy(const Image& from, ImageWriter& to, Part part) {
  const auto numbers = from.numbers<T>(from.header().part(part));
  std::copy(numbers.begin(), numbers.end(), to.add<T>(numbers.size(), part).begin());
}

}  // namespace

void write_compact(const Image& fast, ImageWriter& to, int quantize) {
  const FastView from(fast);
  to.header().quantized = static_cast<std::uint32_t>(quantize);
  copy<std::uint32_t>(fast, to, Part::unigram_order);
  copy<double>(fast, to, Part::root_masses);
  std::optional<LevelWriter> below;
  for (int order = 1; order <= from.order(); ++order) {
    LevelWriter level(from, to, order, quantize);
    if (below) below->write_masses(level);
    below.emplace(std::move(level));
  }
}

}  // namespace gradus::models::ngram
