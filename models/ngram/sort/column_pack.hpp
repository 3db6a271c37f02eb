#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gradus::models::ngram {

/// Compresses records of `width` words. Each column is stored as differences from its minimum, in as many
/// bits as the largest difference needs, without the low bits that all numbers share. Records of one range
/// share most of their high bits, and keys and counts leave high and low bits unused, so this halves their
/// size, as fast as memory is read.
void pack_columns(std::span<const std::uint64_t> records, std::size_t width, std::vector<unsigned char>& out);

/// Reverses pack_columns for the number of records that was packed. Returns false when the bytes cannot be
/// its output.
bool unpack_columns(std::span<const unsigned char> bytes, std::size_t width,
                    std::span<std::uint64_t> records);

}  // namespace gradus::models::ngram
