#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "models/ngram/store/compact_layout.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::models::ngram {

namespace {

/// Runs body(begin, end) over 0..count on all threads, in parts whose packed numbers share no word. Between
/// waves of parts, pause() is called while nothing else runs.
template <class Body, class Pause>
void for_parts(std::uint64_t count, Body&& body, Pause&& pause) {
  constexpr std::uint64_t part = std::uint64_t{1} << 14, wave = 16 * part;
  for (std::uint64_t from = 0; from < count; from += wave) {
    const std::uint64_t here = std::min(wave, count - from);
    parallel::for_chunks(static_cast<std::int64_t>((here + part - 1) / part), [&](std::int64_t i) {
      const std::uint64_t begin = from + static_cast<std::uint64_t>(i) * part;
      body(static_cast<std::uint32_t>(begin),
           static_cast<std::uint32_t>(std::min(from + here, begin + part)));
    });
    pause();
  }
}

/// The fast image to be read, whose memory is released from time to time.
struct Source {
  explicit Source(const Image& from) : image(from), view(from) {}
  void passed(std::uint64_t places) {
    constexpr std::uint64_t most = std::uint64_t{1} << 19;
    if ((passed_ += places) < most) return;
    passed_ = 0;
    image.release();
  }

  const Image& image;
  FastView view;

 private:
  std::uint64_t passed_ = 0;
};

/// The continuations of all n-grams of an order, in the order of the compact layout.
struct Continuations {
  std::vector<std::uint32_t> places;  // in the fast layout
  std::vector<std::uint64_t> bits;    // LevelPart::child_bits
};

Continuations continuations(Source& source, int length, const std::vector<std::uint32_t>& contexts) {
  const FastView& from = source.view;
  const TokenKeys keys(key_bits(from.vocab()));
  Continuations out;
  out.places.reserve(from.count(length + 1));
  out.bits.resize(words_for(std::uint64_t{from.count(length + 1)} + contexts.size() + 1));
  std::uint64_t bit = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> block;  // key, place
  for (const std::uint32_t context : contexts) {
    const Block children = from.children(length, context);
    block.clear();
    for (std::uint32_t i = children.first; i < children.first + children.size; ++i) {
      const std::uint32_t token = from.token(length + 1, i);
      if (token != FastEntry::empty) block.emplace_back(keys.key(token), i);
    }
    std::sort(block.begin(), block.end());
    source.passed(1 + children.size);
    for (const auto& entry : block) out.places.push_back(entry.second);
    if (out.places.size() > from.count(length + 1))
      fail<DataError>("an n-gram model holds more {}-grams than the {} it names", length + 1,
                      from.count(length + 1));
    write_bits(out.bits.data(), bit, 1, 1);
    bit += 1 + block.size();
  }
  write_bits(out.bits.data(), bit, 1, 1);  // after the last n-gram
  return out;
}

/// Calls visit(node, count) with the number of continuations of each of `nodes` n-grams.
template <class Visit>
void for_counts(const std::vector<std::uint64_t>& bits, std::uint64_t nodes, Visit&& visit) {
  std::uint64_t at_word = 0, word = bits.front(), last = 0;
  for (std::uint64_t ones = 0; ones <= nodes; ++ones) {
    while (word == 0) word = bits[++at_word];
    const std::uint64_t bit = at_word * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
    word &= word - 1;
    if (ones > 0) visit(static_cast<std::uint32_t>(ones - 1), static_cast<std::uint32_t>(bit - last - 1));
    last = bit;
  }
}

/// Writes one order of a model.
class LevelWriter {
 public:
  /// `places`: the places of its n-grams in the fast layout; `child_bits`: LevelPart::child_bits, empty for
  /// the highest order.
  LevelWriter(Source& source, ImageWriter& to, int order, std::vector<std::uint32_t> places,
              const std::vector<std::uint64_t>& child_bits, int quantize)
      : source_(source),
        from_(source.view),
        to_(to),
        order_(order),
        count_(places.size()),
        inner_(order < source.view.order()),
        places_(std::move(places)) {
    to.header().level(order).count = count_;
    choose_codes(quantize);
    write_entries();
    if (!inner_) return;
    write_children(child_bits);
    if (order == 1) return;
    to_.put(child_bits, order_, LevelPart::child_bits);
  }

  /// Releases memory, once the sums of the order below, which are over this one, are written.
  void forget_places() { std::vector<std::uint32_t>().swap(places_); }
  /// Writes the sums, once the codebooks of the next order are chosen.
  void write_masses(const LevelWriter& next) {
    const auto masses = to_.numbers<double>(to_.header().part(order_, LevelPart::masses));
    constexpr std::size_t at_once = 1 << 10;
    for (std::size_t from = 0; from < wide_.size(); from += at_once) {
      const std::size_t here = std::min(at_once, wide_.size() - from);
      parallel::for_chunks(static_cast<std::int64_t>(here), [&](std::int64_t i) {
        const WideNode& wide = wide_[from + static_cast<std::size_t>(i)];
        const Block& block = blocks_[from + static_cast<std::size_t>(i)];
        sum_masses(block.size, masses.subspan(wide.masses, mass_count(block.size)),
                   [&](std::uint32_t child) { return next.stored_log_prob(block.first + child); });
      });
      release();
    }
  }

 private:
  float log_prob(std::uint64_t i) const { return from_.log_prob(order_, places_[i]); }
  float backoff(std::uint64_t i) const { return from_.backoff(order_, places_[i]); }
  float stored_log_prob(std::uint64_t i) const {
    const float p = log_prob(i);
    return log_probs_.floats.empty() ? p : log_probs_.floats[log_probs_.code(p)];
  }
  void release() {
    source_.image.release();
    to_.release();
  }
  LevelHeader& head() { return to_.header().level(order_); }

  /// Unigrams are few and never quantized.
  void choose_codes(int quantize) {
    const auto chosen = [&](int float_bits, float (LevelWriter::*number)(std::uint64_t) const) {
      const auto number_of = [&](std::uint64_t i) {
        source_.passed(1);
        return (this->*number)(i);
      };
      return quantize == 0 || order_ == 1 ? exact_codebook(count_, number_of, float_bits)
                                          : quantized_codebook(count_, number_of, quantize);
    };
    log_probs_ = chosen(31, &LevelWriter::log_prob);
    if (inner_) backoffs_ = chosen(32, &LevelWriter::backoff);
    head().log_prob_bits = static_cast<std::uint8_t>(log_probs_.floats.empty() ? 31 : log_probs_.bits());
    head().backoff_bits = static_cast<std::uint8_t>(!inner_                    ? 0
                                                    : backoffs_.floats.empty() ? 32
                                                                               : backoffs_.bits());
    to_.put(log_probs_.floats, order_, LevelPart::log_probs);
    to_.put(backoffs_.floats, order_, LevelPart::backoffs);
  }

  void write_entries() {
    const TokenKeys keys(key_bits(from_.vocab()));
    const int own_key_bits = order_ == 1 ? 0 : keys.bits;
    const int log_prob_bits = head().log_prob_bits, backoff_bits = head().backoff_bits;
    const std::uint64_t width = static_cast<unsigned>(own_key_bits + log_prob_bits + backoff_bits);
    const auto words = to_.add<std::uint64_t>(words_for(count_ * width), order_, LevelPart::entries);
    for_parts(
        count_,
        [&](std::uint32_t begin, std::uint32_t end) {
          for (std::uint32_t i = begin; i < end; ++i) {
            std::uint64_t bit = i * width;
            const auto write = [&](int bits, std::uint32_t value) {
              write_bits(words.data(), bit, bits, value);
              bit += static_cast<std::uint64_t>(bits);
            };
            if (order_ > 1) write(own_key_bits, keys.key(from_.token(order_, places_[i])));
            const float p = log_prob(i);
            write(log_prob_bits, log_probs_.floats.empty() ? std::bit_cast<std::uint32_t>(p) & 0x7FFFFFFFu
                                                           : log_probs_.code(p));
            if (!inner_) continue;
            const float b = backoff(i);
            write(backoff_bits,
                  backoffs_.floats.empty() ? std::bit_cast<std::uint32_t>(b) : backoffs_.code(b));
          }
        },
        [&] { release(); });
  }

  void write_children(const std::vector<std::uint64_t>& child_bits) {
    const std::uint32_t step = order_ == 1 ? 1 : sample_step;
    const auto samples = to_.add<std::uint32_t>(count_ / step + 1, order_, LevelPart::child_samples);
    std::uint32_t passed = 0, masses = 0;
    for_counts(child_bits, count_, [&](std::uint32_t node, std::uint32_t children) {
      if (node % step == 0) samples[node / step] = passed;
      if (children >= least_for_masses) {
        wide_.push_back({node, masses});
        blocks_.push_back({passed, children});
        masses += static_cast<std::uint32_t>(mass_count(children));
      }
      passed += children;
    });
    if (count_ % step == 0) samples.back() = passed;
    to_.put(wide_, order_, LevelPart::wide);
    to_.add<double>(masses, order_, LevelPart::masses);
  }

  Source& source_;
  const FastView& from_;
  ImageWriter& to_;
  int order_;
  std::uint64_t count_;
  bool inner_;  // below the highest order
  std::vector<std::uint32_t> places_;
  Codebook log_probs_, backoffs_;
  std::vector<WideNode> wide_;
  std::vector<Block> blocks_;  // of each of them
};

}  // namespace

void write_compact(const Image& fast, ImageWriter& to, int quantize) {
  Source from(fast);
  to.header().quantized = static_cast<std::uint32_t>(quantize);
  to.put(fast.numbers<std::uint32_t>(fast.header().part(Part::unigram_order)), Part::unigram_order);
  to.put(fast.numbers<double>(fast.header().part(Part::root_masses)), Part::root_masses);
  std::vector<std::uint32_t> places(from.view.count(1));
  std::iota(places.begin(), places.end(), 0u);
  std::optional<LevelWriter> below;
  for (int order = 1; order <= from.view.order(); ++order) {
    Continuations next;
    if (order < from.view.order()) next = continuations(from, order, places);
    LevelWriter level(from, to, order, std::move(places), next.bits, quantize);
    if (below) below->write_masses(level);
    level.forget_places();
    below.emplace(std::move(level));
    places = std::move(next.places);
  }
}

}  // namespace gradus::models::ngram
