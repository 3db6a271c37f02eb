#pragma once

#include "autograd/variable.hpp"
#include "tensor/ops/rotary.hpp"

namespace gradus {

struct RotaryLayout {
  RotaryPairs pairs = RotaryPairs::halves;
  /// x is (batch, time, heads, width), as AttentionOptions::time_first.
  bool time_first = false;
};

/// Rotary positions (Su et al. 2021, arXiv 2104.09864): each pair of elements of x, (batch, heads, time,
/// width), is turned by its angle at the position, so that products of queries and keys depend on the
/// distance of their positions. Where the angles have fewer pairs than width / 2, the rest of the width stays
/// as it is. One node, which turns the gradient back.
///
///   const RotaryAngles angles = rotary_angles(context, head_width);     // once for all layers
///   attention(rotary(q, angles), rotary(k, angles), v, {.causal = true});
///
/// Throws ShapeError for shapes that do not fit and DtypeError for angles of another dtype.
Variable rotary(const Variable& x, const RotaryAngles& angles, const RotaryLayout& layout = {},
                Where where = Where::here());

}  // namespace gradus
