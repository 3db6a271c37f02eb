#pragma once

// Internal: the order of numbers that sorting, quantiles and searches share.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace gradus::detail {

/// An unsigned integer whose order is that of the numbers: NaN is above infinity, and both zeros are equal.
template <class T>
auto sort_key(T value) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  if (std::isnan(value)) return std::numeric_limits<Bits>::max();
  constexpr Bits sign = Bits{1} << (8 * sizeof(T) - 1);
  const Bits bits = std::bit_cast<Bits>(value == T{0} ? T{0} : value);
  // The bits of negative numbers increase as the numbers decrease.
  return (bits & sign) != 0 ? static_cast<Bits>(~bits) : static_cast<Bits>(bits | sign);
}

}  // namespace gradus::detail
