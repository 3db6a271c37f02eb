#pragma once

#include <span>
#include <vector>

#include "models/ngram/fast_layout.hpp"
#include "models/ngram/sink.hpp"

namespace gradus::models::ngram {

/// Receives n-grams into an image of the fast layout, which has been described. Beside the image it holds 8
/// bytes for each n-gram with many continuations, and no more.
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
  void end_parent();
  void follow(std::span<const std::int32_t> context, std::size_t same);
  Children children(int length, std::uint32_t node);
  void build_tables(int order);
  template <class Entry>
  void fill_table(int order, const WideNode& node, const Entry* entries);
  void build_root();
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
  std::vector<std::int32_t> last_;   // n-gram
  std::vector<std::uint32_t> path_;  // the places of its contexts, of length 1 and up
  std::uint32_t first_child_ = 0;    // of the longest of them
  std::vector<Children> wide_;       // of contexts with many continuations
  std::span<FastEntry> entries_, contexts_;
  std::span<FastLeaf> leaves_;
};

}  // namespace gradus::models::ngram
