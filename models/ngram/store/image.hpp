#pragma once

// Internal: not part of the public interface.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "models/ngram/options.hpp"
#include "models/ngram/sink.hpp"
#include "models/ngram/state.hpp"
#include "models/ngram/store/mapping.hpp"

namespace gradus::models::ngram {

/// The bytes of a stored n-gram model, the same in a file and in memory: a header of fixed size, then
/// sections of numbers, each at a multiple of 64 bytes. Little-endian.

inline constexpr std::string_view image_magic = "GRADNGR\n";
inline constexpr std::uint32_t image_version = 3;
inline constexpr std::int32_t max_vocab = (1 << 25) - 3;
/// The index of an n-gram that does not exist.
inline constexpr std::uint32_t none = 0xFFFFFFFF;

/// The contents of a section: of the whole model ...
enum class Part { method, vocabulary, unigram_order, root_masses, discounts, count };
/// ... or of the n-grams of one order. The headers of the layouts describe them.
enum class LevelPart {
  entries,
  log_probs,
  backoffs,
  child_bits,
  child_samples,
  wide,
  masses,
  count,
};

struct Section {
  std::uint64_t offset, size;  // in bytes
  std::uint32_t checksum;      // CRC-32
  std::uint32_t unused;
};

/// The n-grams of one order. The bits are those of the compact layout's fields.
struct LevelHeader {
  std::uint64_t count;
  std::uint8_t log_prob_bits, backoff_bits;
  std::uint8_t discounts;          // how many; Part::discounts has those of one order after the other
  std::uint8_t discount_fallback;  // whether they are fixed ones; see Discounts
  std::array<std::uint8_t, 4> unused;
};

struct Header {
  std::array<char, 8> magic;
  std::uint32_t version;
  std::uint32_t byte_order;  // 0x01020304 in the byte order of the machine that wrote the file
  std::uint64_t file_size;
  std::uint32_t header_size;
  std::uint32_t checksum;  // CRC-32 of the header with 0 in this field
  std::uint32_t layout, order;
  std::int32_t vocab, sentence_end;
  std::uint32_t fallback;
  std::uint32_t quantized;  // bits of a quantized number; 0: exact
  // The options that the model was estimated with; `estimated` is 0 where they are not known.
  std::uint32_t estimated, method;
  std::int32_t katz_cutoff, impossible;
  double add, backoff;
  std::array<LevelHeader, max_order> levels;
  std::array<Section, static_cast<std::size_t>(Part::count)> parts;
  std::array<std::array<Section, static_cast<std::size_t>(LevelPart::count)>, max_order> level_parts;

  Section& part(Part p) { return parts[static_cast<std::size_t>(p)]; }
  const Section& part(Part p) const { return parts[static_cast<std::size_t>(p)]; }
  Section& part(int order_of, LevelPart p) {
    return level_parts[static_cast<std::size_t>(order_of - 1)][static_cast<std::size_t>(p)];
  }
  const Section& part(int order_of, LevelPart p) const {
    return level_parts[static_cast<std::size_t>(order_of - 1)][static_cast<std::size_t>(p)];
  }
  const LevelHeader& level(int order_of) const { return levels[static_cast<std::size_t>(order_of - 1)]; }
  LevelHeader& level(int order_of) { return levels[static_cast<std::size_t>(order_of - 1)]; }
};
static_assert(std::is_trivially_copyable_v<Header> && std::is_standard_layout_v<Header>);

/// A whole image. Only the header is checked, and that every section lies in the file, so an image is ready
/// at once. Whoever reads an index from a section must check it.
class Image {
 public:
  /// Throws DataError; `name` is what errors call the image.
  Image(Mapping mapping, std::string name);

  const Header& header() const { return *reinterpret_cast<const Header*>(bytes_.data()); }
  const std::string& name() const { return name_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  template <class T>
  std::span<const T> numbers(const Section& section) const {
    if (section.size < sizeof(T)) return {};  // an empty section has no place
    return {reinterpret_cast<const T*>(bytes_.data() + section.offset), section.size / sizeof(T)};
  }
  std::string_view text(const Section& section) const {
    const auto characters = numbers<char>(section);
    return {characters.data(), characters.size()};
  }
  NgramDescription description() const;
  /// Compares the checksums of all sections. Throws DataError naming the first section that is damaged.
  void check_sums() const;
  /// See Mapping::release.
  void release() const { mapping_.release(); }

 private:
  Mapping mapping_;
  std::span<const std::byte> bytes_;
  std::string name_;
};

/// Writes an image, section by section. An image in a file takes only a few MB of memory at a time, if its
/// sections are written from front to back and passed() is called on the way.
class ImageWriter {
 public:
  explicit ImageWriter(Mapping mapping);

  Header& header() { return *reinterpret_cast<Header*>(mapping_.bytes().data()); }
  void describe(const NgramDescription& description, NgramLayout layout);
  /// Adds a section of zeros after the last one. Invalidates all spans.
  template <class T, class... Which>
  std::span<T> add(std::uint64_t count, Which... which) {
    const std::uint64_t offset = reserve(count * sizeof(T));
    header().part(which...) = {offset, count * sizeof(T), 0, 0};
    return numbers<T>(header().part(which...));
  }
  /// Adds a section of these numbers after the last one. Invalidates all spans.
  template <class Numbers, class... Which>
  void put(const Numbers& content, Which... which) {
    std::ranges::copy(content,
                      add<std::ranges::range_value_t<Numbers>>(std::size(content), which...).begin());
  }
  /// Makes the last section longer, by zeros, or shorter. Invalidates all spans.
  template <class T, class... Which>
  void resize_last(std::uint64_t count, Which... which) {
    Section section = header().part(which...);
    section.size = count * sizeof(T);
    resize(section);
    header().part(which...) = section;
  }
  template <class T>
  std::span<T> numbers(const Section& section) {
    return {reinterpret_cast<T*>(mapping_.bytes().data() + section.offset), section.size / sizeof(T)};
  }
  /// To be called after `bytes` more bytes have been used that will hardly be used again soon: every few MB,
  /// memory is released. No other thread may be using the sections.
  void passed(std::uint64_t bytes) {
    constexpr std::uint64_t most = std::uint64_t{2} << 20;
    if ((passed_ += bytes) >= most) release();
  }
  void release() {
    mapping_.release();
    passed_ = 0;
  }
  /// Writes the checksums and sizes, and returns the finished image.
  Mapping finish();

 private:
  std::uint64_t reserve(std::uint64_t size);
  void resize(Section& last);

  Mapping mapping_;
  std::uint64_t passed_ = 0;
};

}  // namespace gradus::models::ngram
