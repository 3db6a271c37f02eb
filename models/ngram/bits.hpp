#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace gradus::models::ngram {

// Numbers of few bits side by side in 64-bit words, the first in the lowest bits (little-endian: the words'
// bytes are a stream of bits).

/// `width` bits (at most 32) from a bit on. Reads the 8 bytes from the bit's own.
inline std::uint32_t read_bits(const std::uint64_t* words, std::uint64_t bit, int width) {
  std::uint64_t word = 0;
  std::memcpy(&word, reinterpret_cast<const unsigned char*>(words) + bit / 8, sizeof word);
  return static_cast<std::uint32_t>((word >> (bit % 8)) & ((std::uint64_t{1} << width) - 1));
}

/// Sets bits that are 0. Touches only the words that hold them.
inline void write_bits(std::uint64_t* words, std::uint64_t bit, int width, std::uint32_t value) {
  const int shift = static_cast<int>(bit % 64);
  words[bit / 64] |= std::uint64_t{value} << shift;
  if (shift + width > 64) words[bit / 64 + 1] |= std::uint64_t{value} >> (64 - shift);
}

inline std::uint64_t words_for(std::uint64_t bits) {
  return (bits + 63) / 64;
}

/// The place of the k-th (from 0) bit that is set; there are more than k. By the sums of the bytes' bits
/// (Vigna 2008, "Broadword implementation of rank/select queries").
inline int select_in_word(std::uint64_t word, int k) {
  constexpr std::uint64_t every_byte = 0x0101010101010101u;
  std::uint64_t sums = word - ((word >> 1) & 0x5555555555555555u);
  sums = (sums & 0x3333333333333333u) + ((sums >> 2) & 0x3333333333333333u);
  sums = ((sums + (sums >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * every_byte;  // of all bytes up to this one
  // A byte's top bit: whether the sum up to there is at most k.
  const std::uint64_t at_most =
      ((static_cast<std::uint64_t>(k) * every_byte | 0x8080808080808080u) - sums) & 0x8080808080808080u;
  const int byte = std::popcount(at_most) * 8;
  std::uint64_t rest = word >> byte;
  for (int before = k - static_cast<int>(((sums << 8) >> byte) & 0xFF); before > 0; --before)
    rest &= rest - 1;
  return byte + std::countr_zero(rest);
}

}  // namespace gradus::models::ngram
