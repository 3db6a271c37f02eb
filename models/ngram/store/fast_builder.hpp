#pragma once

// Internal: not part of the public interface.

#include <span>
#include <vector>

#include "models/ngram/sink.hpp"
#include "models/ngram/store/fast_layout.hpp"

namespace gradus::models::ngram {

/// Receives n-grams into an image of the fast layout, which has been described. Beside the image it holds the
/// continuations of one n-gram, and some bytes for each n-gram with very many.
class FastBuilder {
 public:
  explicit FastBuilder(ImageWriter& image);
  /// Throw ArgumentError for n-grams that are out of order, out of range or without their context, and for
  /// numbers that are none.
  void begin_order(int order, std::int64_t count);
  void add(std::span<const std::int32_t> ngram, float log_prob, float backoff);
  void finish();

 private:
  void end_order();
  /// Places the continuations of the context that the last n-grams had.
  void end_block();
  /// Finds the places of the context's n-grams of each length; the first `same` tokens are the last n-gram's.
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
  int order_ = 0;               // the one that comes in
  std::uint32_t expected_ = 0;  // n-grams of it
  std::uint32_t added_ = 0;
  std::uint64_t places_ = 0;         // taken by them
  std::vector<std::int32_t> last_;   // n-gram
  std::vector<std::uint32_t> path_;  // the places of its contexts, of length 1 and up
  std::vector<FastEntry> block_;     // the n-grams that share the longest of them
  /// A context with very many, and which of masses_ are its sums.
  struct Wide {
    std::uint32_t node, masses, count;
  };
  std::vector<Wide> wide_;
  std::vector<double> masses_;
};

}  // namespace gradus::models::ngram
