#pragma once

// Internal: not part of the public interface.

#include <span>
#include <vector>

#include "models/ngram/sink.hpp"
#include "models/ngram/store/fast_layout.hpp"

namespace gradus::models::ngram {

/// Receives n-grams, like an NgramSink, and writes them to an image of the fast layout, which must have been
/// described. In addition to the image, it holds in memory the continuations of one n-gram, and some bytes
/// for each n-gram with very many continuations.
class FastBuilder {
 public:
  explicit FastBuilder(ImageWriter& image);
  /// These throw ArgumentError for n-grams that are out of order, out of range or without their context, and
  /// for numbers that are not valid log-probabilities or backoff weights.
  void begin_order(int order, std::int64_t count);
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff);
  void finish();

 private:
  void end_order();
  /// Writes the block of the context that the last n-grams had.
  void end_block();
  /// Updates path_ for a new context, whose first `same` tokens are those of the last one.
  void follow(std::span<const std::int32_t> context, std::size_t same);
  std::uint32_t find(int length, std::uint32_t node, std::uint32_t token);
  template <class Entry>
  void place_block(Entry (*make)(const FastEntry&));
  void build_root();
  template <class Entry>
  void add_masses(std::span<const Entry> block);
  void write_masses(int length);
  template <class T, class... Which>
  std::span<T> section(Which... which) {
    return image_.numbers<T>(image_.header().part(which...));
  }

  ImageWriter& image_;
  int highest_;
  std::int32_t vocab_;
  int order_ = 0;                    // the order being received
  std::uint32_t expected_ = 0;       // its n-grams
  std::uint32_t added_ = 0;          // those received so far
  std::uint64_t places_ = 0;         // the places taken so far
  std::vector<std::int32_t> last_;   // the last n-gram
  std::vector<std::uint32_t> path_;  // the places of its first 1, 2, ... tokens, up to its context
  std::vector<FastEntry> block_;     // the n-grams so far with this context
  /// A context with a large block, and which of masses_ are its sums.
  struct Wide {
    std::uint32_t node, masses, count;
  };
  std::vector<Wide> wide_;
  std::vector<double> masses_;
};

}  // namespace gradus::models::ngram
