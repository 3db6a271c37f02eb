#pragma once

// Internal: compact weights, for the ops that take them.

#include <cstdint>

#include "tensor/compact.hpp"
#include "tensor/indices.hpp"

namespace gradus::detail {

/// What a compact tensor's elements lie in: rows of i8 or bf16, `ld` elements apart, with zeros behind them.
struct CompactMatrix final : storage::Keeper {
  Dtype dtype = Dtype::i8;
  std::int64_t rows = 0, cols = 0, ld = 0;
  Tensor memory, scales;  // f32: as many as hold the elements; (rows)

  /// E is std::int8_t or std::uint16_t, as the dtype says.
  template <class E>
  const E* row(std::int64_t r) const {
    return reinterpret_cast<const E*>(memory.data<float>()) + r * ld;
  }
  /// Calls f with an element of the type.
  template <class F>
  decltype(auto) visit(F&& f) const {
    return dtype == Dtype::i8 ? f(std::int8_t{}) : f(std::uint16_t{});
  }
};
/// Throws DtypeError for what is not compact, or a part of it.
const CompactMatrix& compact_matrix(const Tensor& x);

/// f32 to a compact dtype, and back.
Tensor compacted(const Tensor& x, Dtype dtype);
Tensor expanded(const Tensor& x);
/// The rows that ids name, in f32: (ids' shape, cols).
Tensor compact_rows(const CompactMatrix& w, const Indices& ids);
/// Rows begin..end-1 in f32.
Tensor compact_rows(const CompactMatrix& w, std::int64_t begin, std::int64_t end);
/// out = x W^T + bias, or out += x W^T + bias; x is (m, cols), out (m, rows), the bias (rows) or null. The
/// bits do not depend on the number of threads.
void multiply_compact(const CompactMatrix& w, const float* x, std::int64_t m, const float* bias, bool add,
                      float* out);

}  // namespace gradus::detail
