#pragma once

// Internal: not part of the public interface.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gradus::models::ngram {

// Numbers of few bits packed in 64-bit words, the first in the lowest bits. As words are little-endian, their
// bytes are one stream of bits.

/// The number of `width` bits, at most 32, that begins at a bit. Reads 8 bytes, from the one that has the
/// bit.
inline std::uint32_t read_bits(const std::uint64_t* words, std::uint64_t bit, int width) {
  std::uint64_t word = 0;
  std::memcpy(&word, reinterpret_cast<const unsigned char*>(words) + bit / 8, sizeof word);
  return static_cast<std::uint32_t>((word >> (bit % 8)) & ((std::uint64_t{1} << width) - 1));
}

/// Writes a number where all bits are 0. Touches only the words that hold its bits.
inline void write_bits(std::uint64_t* words, std::uint64_t bit, int width, std::uint32_t value) {
  const int shift = static_cast<int>(bit % 64);
  words[bit / 64] |= std::uint64_t{value} << shift;
  if (shift + width > 64) words[bit / 64 + 1] |= std::uint64_t{value} >> (64 - shift);
}

inline std::uint64_t words_for(std::uint64_t bits) {
  return (bits + 63) / 64;
}

inline constexpr std::uint64_t every_byte = 0x0101010101010101u;

/// Each byte has the number of bits set in that byte and in the lower ones; the highest byte has their total.
/// (This needs no instruction for counting bits.)
inline std::uint64_t sums_of_bits(std::uint64_t word) {
  std::uint64_t sums = word - ((word >> 1) & 0x5555555555555555u);
  sums = (sums & 0x3333333333333333u) + ((sums >> 2) & 0x3333333333333333u);
  return ((sums + (sums >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * every_byte;
}

/// The position of the k-th set bit of a byte.
struct BitInByte {
  std::array<std::array<std::uint8_t, 8>, 256> places{};

  constexpr BitInByte() {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      std::size_t k = 0;
      for (std::uint8_t bit = 0; bit < 8; ++bit) {
        if ((byte >> bit & 1) != 0) places[byte][k++] = bit;
      }
    }
  }
};
inline constexpr BitInByte bit_in_byte;

/// The position of the k-th set bit, from 0, of a word with more than k set bits (Vigna 2008, "Broadword
/// implementation of rank/select queries"). `sums`: sums_of_bits(word).
inline int select_bit(std::uint64_t word, std::uint64_t sums, int k) {
  constexpr std::uint64_t top_bits = every_byte << 7;
  // The top bit of each byte says whether the sum up to that byte is at most k.
  const std::uint64_t at_most = ((static_cast<std::uint64_t>(k) * every_byte | top_bits) - sums) & top_bits;
  const int before = static_cast<int>(((at_most >> 7) * every_byte) >> 56) * 8;  // bits before the byte
  const auto left = static_cast<std::size_t>(k - static_cast<int>(((sums << 8) >> before) & 0xFF));
  return before + bit_in_byte.places[(word >> before) & 0xFF][left];
}

}  // namespace gradus::models::ngram
