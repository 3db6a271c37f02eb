#pragma once

#include <cstdint>

#include "tensor/indices.hpp"
#include "tensor/tensor.hpp"

/// Numbers that stand for positions in a sequence.
namespace gradus {

/// The cosine and the sine of the angle by which each pair of elements is turned at a position: (time,
/// pairs), or (batch, time, pairs).
struct RotaryAngles {
  Tensor cos, sin;
};
struct RotaryOptions {
  /// Pair i turns by base^(-i / pairs) from one position to the next.
  double base = 10000;
  /// The angle of each pair from one position to the next, in place of those by the base: (pairs).
  Tensor frequencies = {};
  Dtype dtype = Dtype::f32;
};
/// Those of the positions first..first+count-1 for heads of this width, of which pairs = width / 2. They are
/// computed in double, once for all layers. Throws ArgumentError for an odd width, or frequencies of another
/// shape.
RotaryAngles rotary_angles(std::int64_t count, std::int64_t width, const RotaryOptions& options = {},
                           std::int64_t first = 0);
/// The same of any positions: (time) or (batch, time).
RotaryAngles rotary_angles(const Indices& positions, std::int64_t width, const RotaryOptions& options = {});

/// The positions of Vaswani et al. (2017, section 3.5), (count, width): at position p element 2i is sin(p
/// base^(-2i / width)) and element 2i + 1 its cosine.
Tensor sinusoidal_positions(std::int64_t count, std::int64_t width, double base = 10000,
                            Dtype dtype = Dtype::f32);

/// Which elements are a pair.
enum class RotaryPairs {
  halves,       // i and i + pairs, as in Hugging Face's Llama
  interleaved,  // 2i and 2i + 1, as in the paper and in Meta's Llama
};

namespace detail {
/// Turns the pairs at the front of the last axis of x, (batch, heads, time, width) or, with time_first,
/// (batch, time, heads, width), by the angles or, backwards, by their negatives.
Tensor rotate(const Tensor& x, const RotaryAngles& angles, RotaryPairs pairs, bool time_first,
              bool backwards);
}  // namespace detail

}  // namespace gradus
