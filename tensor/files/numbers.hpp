#pragma once

// Internal: the numbers of files as C++ types, and their conversions.

#include <bit>
#include <cmath>
#include <cstdint>

#include "tensor/files/number_type.hpp"

namespace gradus::files {

struct Half {
  std::uint16_t bits;
};
struct Bfloat16 {
  std::uint16_t bits;
};
struct Boolean {
  std::uint8_t bits;
};

/// Calls f with a value of the C++ type that stands for a type of numbers.
template <class F>
decltype(auto) visit_number(NumberType type, F&& f) {
  switch (type) {
    case NumberType::f64:
      return f(double{});
    case NumberType::f32:
      return f(float{});
    case NumberType::f16:
      return f(Half{});
    case NumberType::bf16:
      return f(Bfloat16{});
    case NumberType::i64:
      return f(std::int64_t{});
    case NumberType::i32:
      return f(std::int32_t{});
    case NumberType::i16:
      return f(std::int16_t{});
    case NumberType::i8:
      return f(std::int8_t{});
    case NumberType::u64:
      return f(std::uint64_t{});
    case NumberType::u32:
      return f(std::uint32_t{});
    case NumberType::u16:
      return f(std::uint16_t{});
    case NumberType::u8:
      return f(std::uint8_t{});
    case NumberType::boolean:
      break;
  }
  return f(Boolean{});
}

inline float widened(Half half) {
  const std::uint32_t sign = std::uint32_t{half.bits & 0x8000U} << 16, exponent = half.bits >> 10 & 31U,
                      fraction = half.bits & 1023U;
  if (exponent == 0) {  // a zero or a subnormal number
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(sign | (exponent == 31 ? 255U : exponent + 112) << 23 | fraction << 13);
}
inline float widened(Bfloat16 x) {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

/// The nearest half-precision number, of two the even one; beyond 65504 infinity.
inline Half to_half(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t out = 0;
  if (magnitude > 0x7F800000U) {
    out = 0x7E00U;  // NaN
  } else if (magnitude >= 0x477FF000U) {
    out = 0x7C00U;  // from 65520 on
  } else if (magnitude < 0x38800000U) {
    // Below 2^-14 halves are multiples of 2^-24, as are floats from 0.5 to 1: the addition rounds.
    out = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  } else {
    out = (magnitude + 0xC8000FFFU + (magnitude >> 13 & 1U)) >> 13;  // another bias of the exponent
  }
  return {static_cast<std::uint16_t>(sign | out)};
}
/// The nearest number of bf16, of two the even one.
inline Bfloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return {static_cast<std::uint16_t>(bits >> 16 | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}
/// A float that a double rounds to so that rounding once more, to fewer digits, gives what rounding the
/// double would: where digits are lost, the last one left is odd.
inline float rounded_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  if (std::isnan(x) || static_cast<double>(nearest) == x) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(x)) --bits;
  return std::bit_cast<float>(bits | 1U);
}

}  // namespace gradus::files
