#include "models/ngram/sort/temporary_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gradus::models::ngram {

namespace {

/// Precedes the bits of each column.
struct Head {
  std::uint64_t least;
  std::uint8_t shift, bits;  // of the difference from the least: low bits left out, and bits stored
};
constexpr std::size_t head_size = 10;
/// Numbers are written and read as whole words at any byte, so there are more bytes after the last.
constexpr std::size_t beyond = 8;
/// The largest number of bits that fits in a word after up to 7 bits of an unfinished byte.
constexpr int most = 56;

std::size_t bytes_for(std::size_t count, int bits) {
  return (count * static_cast<std::size_t>(bits) + 7) / 8;
}

Head measure(const std::uint64_t* column, std::size_t width, std::size_t count) {
  std::uint64_t least = column[0], greatest = column[0], differ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t word = column[i * width];
    least = std::min(least, word);
    greatest = std::max(greatest, word);
    differ |= word ^ column[0];
  }
  if (differ == 0) return {least, 0, 0};
  const int shift = std::countr_zero(differ);
  return {least, static_cast<std::uint8_t>(shift),
          static_cast<std::uint8_t>(std::bit_width((greatest - least) >> shift))};
}

/// number(i): of at most `most` bits.
template <class Number>
unsigned char* write_numbers(unsigned char* to, std::size_t count, int bits, Number&& number) {
  std::uint64_t word = 0;  // begins at `to`
  int used = 0;            // bits of it, fewer than 8
  for (std::size_t i = 0; i < count; ++i) {
    word |= number(i) << used;
    std::memcpy(to, &word, sizeof word);
    used += bits;
    to += used / 8;
    word >>= used & ~7;
    used %= 8;
  }
  return to + (used > 0 ? 1 : 0);
}

template <class Take>
void read_numbers(const unsigned char* from, std::size_t count, int bits, Take&& take) {
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::size_t bit = 0;
  for (std::size_t i = 0; i < count; ++i, bit += static_cast<std::size_t>(bits)) {
    std::uint64_t word = 0;
    std::memcpy(&word, from + bit / 8, sizeof word);
    take(i, word >> (bit % 8) & mask);
  }
}

}  // namespace

void pack_columns(std::span<const std::uint64_t> records, std::size_t width,
                  std::vector<unsigned char>& out) {
  const std::size_t count = records.size() / width;
  out.resize(width * (head_size + 8 * count + 2) + beyond);
  unsigned char* to = out.data();
  for (std::size_t c = 0; c < width && count > 0; ++c) {
    const std::uint64_t* const column = records.data() + c;
    const Head head = measure(column, width, count);
    std::memcpy(to, &head.least, 8);
    to[8] = head.shift;
    to[9] = head.bits;
    to += head_size;
    const auto number = [&](std::size_t i) { return (column[i * width] - head.least) >> head.shift; };
    if (head.bits == 0) continue;
    if (head.bits <= most) {
      to = write_numbers(to, count, head.bits, number);
    } else {
      to = write_numbers(to, count, 32, [&](std::size_t i) { return number(i) & 0xFFFFFFFFU; });
      to = write_numbers(to, count, head.bits - 32, [&](std::size_t i) { return number(i) >> 32; });
    }
  }
  out.resize(static_cast<std::size_t>(to - out.data()) + beyond);
}

bool unpack_columns(std::span<const unsigned char> bytes, std::size_t width,
                    std::span<std::uint64_t> records) {
  const std::size_t count = records.size() / width;
  std::size_t at = 0;
  for (std::size_t c = 0; c < width && count > 0; ++c) {
    if (bytes.size() < at + head_size + beyond) return false;
    Head head{};
    std::memcpy(&head.least, &bytes[at], 8);
    head.shift = bytes[at + 8];
    head.bits = bytes[at + 9];
    at += head_size;
    if (head.bits + head.shift > 64) return false;
    const int low = head.bits <= most ? head.bits : 32, high = head.bits - low;
    const std::size_t low_size = bytes_for(count, low), high_size = bytes_for(count, high);
    if (bytes.size() < at + low_size + high_size + beyond) return false;
    std::uint64_t* const column = records.data() + c;
    if (head.bits == 0) {
      for (std::size_t i = 0; i < count; ++i) column[i * width] = head.least;
      continue;
    }
    read_numbers(&bytes[at], count, low, [&](std::size_t i, std::uint64_t number) {
      column[i * width] = head.least + (number << head.shift);
    });
    if (high > 0) {
      read_numbers(&bytes[at + low_size], count, high, [&](std::size_t i, std::uint64_t number) {
        column[i * width] += number << 32 << head.shift;
      });
    }
    at += low_size + high_size;
  }
  return at + beyond == bytes.size();
}

}  // namespace gradus::models::ngram
