#include "tensor/kernels/gemm.hpp"
#include "tensor/ops.hpp"
#include "tensor/ops/batches.hpp"
#include "tensor/ops/compact.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus {

namespace {

using detail::batch_place;
using detail::leading;
using detail::with_matrix;

/// The lengths of a product of matrices.
struct Lengths {
  std::int64_t m, n, k;
};

Lengths lengths_of(const Shape& a, const Shape& b, MatmulOptions t) {
  const std::int64_t m = a[t.transpose_a ? -1 : -2], k = a[t.transpose_a ? -2 : -1];
  const std::int64_t k_right = b[t.transpose_b ? -1 : -2], n = b[t.transpose_b ? -2 : -1];
  if (k != k_right) {
    fail<ShapeError>(
        "matmul: {}{} by {}{}: the inner lengths are {} and {}, which must be equal; should one side be "
        "transposed?",
        a, t.transpose_a ? " transposed" : "", b, t.transpose_b ? " transposed" : "", k, k_right);
  }
  return {m, n, k};
}

template <class T>
void multiply(const T* a, const T* b, T* c, Lengths s, MatmulOptions t, T beta, MatmulPrecision precision) {
  kernels::gemm(kernels::Gemm<T>{.m = s.m,
                                 .n = s.n,
                                 .k = s.k,
                                 .a = a,
                                 .lda = t.transpose_a ? s.m : s.k,
                                 .a_transposed = t.transpose_a,
                                 .b = b,
                                 .ldb = t.transpose_b ? s.k : s.n,
                                 .b_transposed = t.transpose_b,
                                 .c = c,
                                 .ldc = s.n,
                                 .beta = beta,
                                 .precision = precision});
}

/// From this many multiply-adds on, gemm splits each product of a batch among threads.
constexpr std::int64_t split_from = std::int64_t{1} << 20;

/// out = beta * out + a b over broadcast batches.
void multiply_batches(const Tensor& a, const Tensor& b, Tensor& out, MatmulOptions t, bool add) {
  Lengths s = lengths_of(a.shape(), b.shape(), t);
  const MatmulPrecision precision = matmul_precision();  // of this thread: another may multiply
  const auto run = [&]<class T>(T* to, const T* p, const T* q) {
    const T beta = add ? T{1} : T{0};
    const Shape batches = leading(out.shape()), left = leading(a.shape()), right = leading(b.shape());
    if (right.size() == 1 && left == batches && !t.transpose_a) {  // one product with all rows of a
      s.m *= batches.size();
      return multiply(p, q, to, s, t, beta, precision);
    }
    const auto range = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        multiply(p + batch_place(i, batches, left) * s.m * s.k,
                 q + batch_place(i, batches, right) * s.k * s.n, to + i * s.m * s.n, s, t, beta, precision);
      }
    };
    const std::int64_t work = s.m * s.n * s.k;
    if (work >= split_from) return range(0, batches.size());
    parallel::for_range(batches.size(), work + 1, range);
  };
  visit_elements(run, out, a, b);
}

void check_operands(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined())
    fail<ArgumentError>("matmul: the {} operand is undefined; give it a value first",
                        a.defined() ? "right" : "left");
  if (a.dtype() != b.dtype()) {
    fail<DtypeError>("matmul: {} of shape {} by {} of shape {}; convert one with to()", name_of(a.dtype()),
                     a.shape(), name_of(b.dtype()), b.shape());
  }
  if (a.rank() == 0 || b.rank() == 0)
    fail<ShapeError>("matmul: {} by {}: a scalar is not a matrix; use *", a.shape(), b.shape());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options) {
  check_operands(a, b);
  if (a.rank() == 1 || b.rank() == 1) {
    const Tensor left = a.rank() == 1 ? a.reshape({1, a.dim(0)}) : a;
    const Tensor right = b.rank() == 1 ? b.reshape({b.dim(0), 1}) : b;
    const Tensor full = matmul(left, right,
                               {.transpose_a = a.rank() > 1 && options.transpose_a,
                                .transpose_b = b.rank() > 1 && options.transpose_b});
    Shape shape = full.shape();
    if (b.rank() == 1) shape = shape.erased(-1);
    if (a.rank() == 1) shape = shape.erased(b.rank() == 1 ? -1 : -2);
    return full.reshape(shape);
  }
  const Lengths s = lengths_of(a.shape(), b.shape(), options);
  const Shape batches = broadcast_shapes("matmul", leading(a.shape()), leading(b.shape()));
  Tensor out = Tensor::uninitialized(with_matrix(batches, s.m, s.n), a.dtype());
  multiply_batches(a, b, out, options, false);
  return out;
}

void add_matmul(Tensor& sum, const Tensor& a, const Tensor& b, MatmulOptions options) {
  check_operands(a, b);
  if (a.rank() < 2 || b.rank() < 2)
    fail<ShapeError>("add_matmul: {} by {}: matrices are needed", a.shape(), b.shape());
  const Lengths s = lengths_of(a.shape(), b.shape(), options);
  const Shape batches = broadcast_shapes("matmul", leading(a.shape()), leading(b.shape()));
  const Shape shape = with_matrix(batches, s.m, s.n);
  if (sum.shape() != shape || sum.dtype() != a.dtype()) {
    fail<ShapeError>("add_matmul: a product of shape {} into a sum of shape {}", shape, sum.shape());
  }
  multiply_batches(a, b, sum, options, true);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (weight.rank() != 2 || x.rank() == 0 || x.dim(-1) != weight.dim(1) ||
      (bias.defined() && bias.shape() != Shape{weight.dim(0)})) {
    fail<ShapeError>(
        "linear: x {}, weight {}, bias {}; x must end in the weight's second length, the bias have its first",
        x.shape(), weight.shape(), bias.defined() ? bias.shape().text() : "none");
  }
  if (x.dtype() != computing_dtype(weight.dtype()) || (bias.defined() && bias.dtype() != x.dtype())) {
    fail<DtypeError>("linear: x is {}, the weight {}, the bias {}; convert with to() what differs",
                     name_of(x.dtype()), name_of(weight.dtype()),
                     bias.defined() ? name_of(bias.dtype()) : "none");
  }
  const std::int64_t in = weight.dim(1), out_width = weight.dim(0);
  Tensor out = Tensor::uninitialized(x.shape().with(-1, out_width), x.dtype());
  if (is_compact(weight.dtype())) {
    detail::multiply_compact(detail::compact_matrix(weight), x.data<float>(), out.size() / out_width,
                             bias.defined() ? bias.data<float>() : nullptr, false, out.mutable_data<float>());
    return out;
  }
  visit_dtype(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    kernels::gemm(kernels::Gemm<T>{.m = out_width == 0 ? 0 : out.size() / out_width,
                                   .n = out_width,
                                   .k = in,
                                   .a = x.data<T>(),
                                   .lda = in,
                                   .b = weight.data<T>(),
                                   .ldb = in,
                                   .b_transposed = true,
                                   .c = out.mutable_data<T>(),
                                   .ldc = out_width,
                                   .bias = bias.defined() ? bias.data<T>() : nullptr,
                                   .precision = matmul_precision()});
  });
  return out;
}

}  // namespace gradus
