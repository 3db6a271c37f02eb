#pragma once

#include <cstdint>

/// Products by weights of 8 bits or of bf16, which are widened to f32 in registers.
namespace gradus::kernels {

/// What each instruction set provides of them, on the caller's thread. A weight is of std::int8_t or, the
/// upper half of a float, of std::uint16_t; k is a multiple of compact_unit.
struct CompactKernels {
  /// out[i][r] = x row i . w row r, without the rows' scales: m rows of x, ldx apart, to rows of out, ldo
  /// apart. The order of a sum depends on k alone, and it is that of each m.
  virtual void compact_dots(const float* x, std::int64_t ldx, std::int64_t m, const std::int8_t* w,
                            std::int64_t ldw, std::int64_t rows, std::int64_t k, float* out,
                            std::int64_t ldo) const = 0;
  virtual void compact_dots(const float* x, std::int64_t ldx, std::int64_t m, const std::uint16_t* w,
                            std::int64_t ldw, std::int64_t rows, std::int64_t k, float* out,
                            std::int64_t ldo) const = 0;
  /// out = scale w, n of them
  virtual void widen(const std::int8_t* w, float scale, std::int64_t n, float* out) const = 0;
  virtual void widen(const std::uint16_t* w, float scale, std::int64_t n, float* out) const = 0;
};

/// Rows of compact weights are padded with zeros to a multiple of so many.
inline constexpr std::int64_t compact_unit = 64;

}  // namespace gradus::kernels
