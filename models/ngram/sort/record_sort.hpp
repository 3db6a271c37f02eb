#pragma once

// Internal: not part of the public interface.

#include <cstddef>
#include <cstdint>

namespace gradus::models::ngram {

/// Sorts records of `width` words by all their words but the last, the first being the most significant.
/// `spare` has room for as many.
void sort_records(std::uint64_t* records, std::size_t count, std::size_t width, std::uint64_t* spare);

}  // namespace gradus::models::ngram
