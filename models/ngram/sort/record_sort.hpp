#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>

namespace gradus::models::ngram {

/// Sorts records of `width` words by all their words except the last; the first word is the most significant.
/// `spare` must have room for as many records.
void sort_records(std::uint64_t* records, std::size_t count, std::size_t width, std::uint64_t* spare);

}  // namespace gradus::models::ngram
