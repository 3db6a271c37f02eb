#include "tensor/ops/compact.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <utility>

#include "tensor/kernels/compact.hpp"
#include "tensor/kernels/gemm.hpp"
#include "tensor/kernels/kernels.hpp"
#include "tensor/support/blocks.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::detail {

/// The way to what Tensor does not show.
struct CompactAccess {
  static Tensor made(std::unique_ptr<CompactMatrix> matrix) {
    const Dtype dtype = matrix->dtype;
    const Shape shape{matrix->rows, matrix->cols};
    void* const first = matrix->memory.mutable_data<float>();
    return Tensor::over(first, dtype, shape, std::move(matrix));
  }
  static const storage::Keeper* keeper(const Tensor& x) {
    const storage::Block* const block = x.checked();
    return block->kind == storage::Block::Kind::foreign ? block->keeper : nullptr;
  }
};

namespace {

constexpr std::int64_t few_rows = 8;        // of x: up to here weights are widened in registers
constexpr std::int64_t rows_at_once = 256;  // else so many rows of weights in memory

void round_row(const float* x, std::int64_t n, std::int8_t* to, float& scale) {
  float most = 0;
  bool finite = true;
  for (std::int64_t i = 0; i < n; ++i) {
    finite &= std::isfinite(x[i]);
    most = std::max(most, std::abs(x[i]));
  }
  if (!finite) fail<NumericError>("to(Dtype::i8): the matrix has a row with numbers that are not finite");
  scale = most / 127;
  const double factor = most == 0 ? 0 : 127 / static_cast<double>(most);
  for (std::int64_t i = 0; i < n; ++i)
    to[i] = static_cast<std::int8_t>(std::lrint(static_cast<double>(x[i]) * factor));
}
void round_row(const float* x, std::int64_t n, std::uint16_t* to, float& scale) {
  scale = 1;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(x[i]);
    const std::uint32_t half_to_even = 0x7FFFu + (bits >> 16 & 1u);
    // Of NaN the upper half alone might be infinity.
    const std::uint32_t rounded = x[i] != x[i] ? bits | 0x400000u : bits + half_to_even;
    to[i] = static_cast<std::uint16_t>(rounded >> 16);
  }
}

/// The products of a few rows of x, whose rows are padded with zeros to w.ld.
void multiply_few(const CompactMatrix& w, const float* x, std::int64_t m, const float* bias, bool add,
                  float* out) {
  kernels::for_strips(w.rows, m * w.ld / 8 + 1, [&](std::int64_t begin, std::int64_t count) {
    std::array<float, kernels::dots_strip * few_rows> products;
    w.visit([&]<class E>(E) {
      kernels::selected<float>().compact_dots(x, w.ld, m, w.row<E>(begin), w.ld, count, w.ld, products.data(),
                                              kernels::dots_strip);
    });
    const float* const scales = w.scales.data<float>();
    for (std::int64_t i = 0; i < m; ++i) {
      const float* const product = products.data() + i * kernels::dots_strip;
      float* const c = out + i * w.rows + begin;
      for (std::int64_t r = 0; r < count; ++r) {
        const float value = product[r] * scales[begin + r] + (bias == nullptr ? 0.0F : bias[begin + r]);
        c[r] = add ? c[r] + value : value;
      }
    }
  });
}

void widen_rows(const CompactMatrix& w, std::int64_t begin, std::int64_t end, float* to) {
  const float* const scales = w.scales.data<float>();
  parallel::for_each(end - begin, w.cols, [&](std::int64_t r) {
    w.visit([&]<class E>(E) {
      kernels::selected<float>().widen(w.row<E>(begin + r), scales[begin + r], w.cols, to + r * w.cols);
    });
  });
}

}  // namespace

[[noreturn]] void throw_compact(Dtype dtype) {
  fail<DtypeError>(
      "a tensor of {} where numbers are needed: weights that are quantized serve linear and recurrent "
      "layers and embeddings, and are not trained; to(Dtype::f32) makes numbers of them",
      name_of(dtype));
}

const CompactMatrix& compact_matrix(const Tensor& x) {
  if (!is_compact(x.dtype()))
    fail<DtypeError>("a tensor of {} where a compact one is needed", name_of(x.dtype()));
  const storage::Keeper* const keeper = CompactAccess::keeper(x);
  if (keeper == nullptr) throw_compact(x.dtype());
  // Nothing else holds elements of these dtypes.
  return *static_cast<const CompactMatrix*>(keeper);
}

Tensor compacted(const Tensor& x, Dtype dtype) {
  if (x.rank() != 2 || x.size() == 0) {
    fail<ShapeError>("to(Dtype::{}): a tensor of shape {}; only a matrix becomes compact", name_of(dtype),
                     x.shape());
  }
  auto matrix = std::make_unique<CompactMatrix>();
  CompactMatrix& to = *matrix;
  to.dtype = dtype;
  to.rows = x.dim(0);
  to.cols = x.dim(1);
  to.ld = round_up(to.cols, kernels::compact_unit);
  const auto bytes = static_cast<std::int64_t>(bytes_of(dtype));
  to.memory = zeros({to.rows * to.ld * bytes / static_cast<std::int64_t>(sizeof(float))});
  to.scales = Tensor::uninitialized({to.rows});
  float* const scales = to.scales.mutable_data<float>();
  to.visit([&]<class E>(E) {
    E* const first = reinterpret_cast<E*>(to.memory.mutable_data<float>());
    const float* const from = x.data<float>();
    parallel::for_each(to.rows, 4 * to.cols, [&](std::int64_t r) {
      round_row(from + r * to.cols, to.cols, first + r * to.ld, scales[r]);
    });
  });
  return CompactAccess::made(std::move(matrix));
}

Tensor expanded(const Tensor& x) {
  const CompactMatrix& w = compact_matrix(x);
  return compact_rows(w, 0, w.rows);
}

Tensor compact_rows(const CompactMatrix& w, const Indices& ids) {
  Tensor out = Tensor::uninitialized(ids.shape().inserted(ids.rank(), w.cols));
  float* const to = out.mutable_data<float>();
  const float* const scales = w.scales.data<float>();
  parallel::for_each(ids.size(), w.cols, [&](std::int64_t i) {
    const std::int64_t r = ids.data()[i];
    w.visit([&]<class E>(E) {
      kernels::selected<float>().widen(w.row<E>(r), scales[r], w.cols, to + i * w.cols);
    });
  });
  return out;
}

Tensor compact_rows(const CompactMatrix& w, std::int64_t begin, std::int64_t end) {
  Tensor out = Tensor::uninitialized({end - begin, w.cols});
  widen_rows(w, begin, end, out.mutable_data<float>());
  return out;
}

void multiply_compact(const CompactMatrix& w, const float* x, std::int64_t m, const float* bias, bool add,
                      float* out) {
  if (m <= few_rows) {
    if (w.ld == w.cols) return multiply_few(w, x, m, bias, add, out);
    Tensor padded = zeros({m, w.ld});
    float* const to = padded.mutable_data<float>();
    for (std::int64_t i = 0; i < m; ++i) std::copy_n(x + i * w.cols, w.cols, to + i * w.ld);
    return multiply_few(w, to, m, bias, add, out);
  }
  const std::int64_t some = std::min(w.rows, rows_at_once);
  Tensor wide = Tensor::uninitialized({some, w.cols});
  float* const to = wide.mutable_data<float>();
  for (std::int64_t r = 0; r < w.rows; r += some) {
    const std::int64_t count = std::min(some, w.rows - r);
    widen_rows(w, r, r + count, to);
    kernels::gemm(kernels::Gemm<float>{.m = m,
                                       .n = count,
                                       .k = w.cols,
                                       .a = x,
                                       .lda = w.cols,
                                       .b = to,
                                       .ldb = w.cols,
                                       .b_transposed = true,
                                       .c = out + r,
                                       .ldc = w.rows,
                                       .beta = add ? 1.0F : 0.0F,
                                       .bias = bias == nullptr ? nullptr : bias + r});
  }
}

}  // namespace gradus::detail

namespace gradus {

std::size_t stored_bytes(const Tensor& x) {
  if (!is_compact(x.dtype())) return static_cast<std::size_t>(x.size()) * bytes_of(x.dtype());
  const detail::CompactMatrix& w = detail::compact_matrix(x);
  return static_cast<std::size_t>(w.rows * w.ld) * bytes_of(w.dtype) + stored_bytes(w.scales);
}

}  // namespace gradus
