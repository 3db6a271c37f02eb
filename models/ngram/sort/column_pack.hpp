#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gradus::models::ngram {

/// Records of `width` words in fewer bytes: of each column the numbers less the least of them, in as many
/// bits as the largest difference has, without the low bits in which none differs. Records of one range share
/// most of their high bits, and keys and counts leave low and high ones unused, so that this halves them at
/// the speed of memory.
void pack_columns(std::span<const std::uint64_t> records, std::size_t width, std::vector<unsigned char>& out);

/// Fills `records` with what pack_columns made of as many. False when the bytes cannot be that.
bool unpack_columns(std::span<const unsigned char> bytes, std::size_t width,
                    std::span<std::uint64_t> records);

}  // namespace gradus::models::ngram
