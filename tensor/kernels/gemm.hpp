#pragma once

#include <cstdint>
#include <span>

#include "tensor/support/function_ref.hpp"
#include "tensor/tensor.hpp"

/// Products of matrices, split among threads. T is float or double.
namespace gradus::kernels {

/// C = alpha * op(A) op(B) + beta * C (beta = 0 writes C without reading it), + bias along each row when
/// given. op(A) is (m, k), op(B) is (k, n), C is (m, n), row-major with leading dimensions; transposed
/// operands are read in place. The same bits for any number of threads: split over m and n only.
template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::int64_t lda = 0;
  bool a_transposed = false;
  const T* b = nullptr;
  std::int64_t ldb = 0;
  bool b_transposed = false;
  T* c = nullptr;
  std::int64_t ldc = 0;
  T alpha = 1;
  T beta = 0;
  const T* bias = nullptr;  // (n)
};
template <class T>
void gemm(const Gemm<T>& call);

/// The right-hand side of a product, laid out for the kernel once and used many times: op(B) is (k, n).
template <class T>
class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(const T* b, std::int64_t ldb, bool transposed, std::int64_t k, std::int64_t n);
  std::int64_t k() const { return k_; }
  std::int64_t n() const { return n_; }
  std::int64_t tile_cols() const { return tile_cols_; }
  const T* data() const { return data_.data<T>(); }

 private:
  std::int64_t k_ = 0, n_ = 0, tile_cols_ = 0;
  Tensor data_;  // from the pool, so that packing once a step takes nothing from the heap
};
/// C = A B + beta C (+ bias), with A (m, k) row-major and B packed. Throws ArgumentError when the instruction
/// set has changed since.
template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, const PackedMatrix<T>& b, T* c,
                 std::int64_t ldc, T beta, const T* bias = nullptr);
/// The same by several matrices of one size, whose results stand side by side in C, each n wide. Then calls
/// done(begin, end) for columns that are ready in all of the results, on the thread that made them.
template <class T>
void gemm_packed(std::int64_t m, const T* a, std::int64_t lda, std::span<const PackedMatrix<T>> bs, T* c,
                 std::int64_t ldc, T beta, FunctionRef<void(std::int64_t, std::int64_t)> done);

}  // namespace gradus::kernels
