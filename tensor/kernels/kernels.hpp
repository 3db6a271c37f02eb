#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/support/function_ref.hpp"
#include "tensor/tensor.hpp"

/// Kernels over raw, contiguous memory: SIMD by xsimd, compiled once for each instruction set and chosen when
/// the program starts; threaded inside where the work is large enough. T is float or double. Inputs and
/// output may be the same array but must not overlap otherwise. Results do not depend on the number of
/// threads.
namespace gradus::kernels {

/// At NaN, infinities, zeros of either sign and the edges of their domains the values are PyTorch's (but
/// sign(NaN) is NaN here and 0 there).
enum class Unary {
  neg,
  abs,
  sign,  // 1, -1, or 0; NaN stays
  square,
  sqrt,
  rsqrt,  // 1 / sqrt(x)
  reciprocal,
  exp,
  expm1,
  log,
  log1p,
  log2,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  erfc,
  lgamma,   // log |Gamma(x)|
  sigmoid,  // 1 / (1 + exp(-x))
  relu,     // NaN stays
  floor,
  ceil,
  round,  // halves to even
};
/// Comparisons give 1 or 0.
enum class Binary {
  add,
  sub,
  mul,
  div,
  maximum,  // NaN on either side wins
  minimum,
  pow,
  atan2,  // the angle of (x = b, y = a)
  fmod,   // the sign of a
  less,
  less_equal,
  equal,
  not_equal,
  polygamma,  // the a-th derivative of digamma at b; a = 0, 1, 2, ...
};
enum class Ternary {
  fma,      // a * b + c; one rounding where the processor has it, always with AVX2 and AVX-512
  where,    // a != 0 ? b : c; what is not chosen has no influence
  product,  // a * b * c: what traced programs make of two products, so that rows are read and written less
};

/// The work of one element in scalar operations, as parallel::for_range takes it.
std::int64_t cost(Unary op);
std::int64_t cost(Binary op);
std::int64_t cost(Ternary op);

/// y[i] = op(x[i])
template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n);
/// y[i] = op(a[i], b[i]); a scalar operand is one value used for every i.
template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n);
/// y[i] = op(a[i], b[i], c[i]); a scalar operand is one value used for every i.
template <class T>
void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
             T* y, std::int64_t n);
/// y[i] += scale * x[i]
template <class T>
void add_scaled(T scale, const T* x, T* y, std::int64_t n);
/// y[i] = value
template <class T>
void fill(T value, T* y, std::int64_t n);

/// The sum of squares in double.
template <class T>
double sum_squares(const T* x, std::int64_t n);
/// True when no element is NaN or infinite.
template <class T>
bool all_finite(const T* x, std::int64_t n);

/// Per row: losses[r] = logsumexp(x[r]) - x[r, targets[r]] and log_totals[r] = logsumexp(x[r] - max(x[r])),
/// for the gradient, unless null. Targets are in range (checked by the caller), or negative: then the loss
/// and its gradient are 0.
template <class T>
void cross_entropy(const T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T* losses,
                   T* log_totals);
/// The same losses, and their gradient in x's place:
/// x[r, c] = g * (exp(x[r, c] - logsumexp(x[r])) - [c = targets[r]])
template <class T>
void cross_entropy_in_place(T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T g,
                            T* losses);
/// dx[r, c] = g[r] * (exp(x[r, c] - logsumexp(x[r])) - [c = targets[r]])
template <class T>
void cross_entropy_backward(const T* x, const std::int32_t* targets, const T* log_totals, const T* g,
                            std::int64_t rows, std::int64_t cols, T* dx);

/// Some rows and columns of matrices that are `width` wide.
struct Part {
  std::int64_t rows, width, begin, end;  // all rows, the columns from begin to end
};

/// The pointwise part of an LSTM step, on one thread. gates: (rows, 4 * width), pre-activations i, f, g, o
/// side by side (PyTorch's order), overwritten by the activations; c_before, c, h, tanh_c: (rows, width).
///   c = sigmoid(f) * c_before + sigmoid(i) * tanh(g);  tanh_c = tanh(c);  h = sigmoid(o) * tanh_c
template <class T>
void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h);
/// Its gradient. dh, dc: (rows, width), the gradients of h and c; writes d_gates (rows, 4 * width) with
/// respect to the pre-activations and turns dc into the gradient of c_before. d_gates may be `gates`.
template <class T>
void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc,
                   T* d_gates);

/// The pointwise part of a step of a gated recurrent unit, on one thread. gates: (rows, 3 * width), the
/// inputs' parts of r, z, n side by side (PyTorch's order), overwritten by the activations; from_h: the same
/// of h_before; h_before, h: (rows, width).
///   r, z = sigmoid(gates + from_h);  n = tanh(gates + r * from_h);  h = (1 - z) * n + z * h_before
template <class T>
void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h);
/// Its gradient: writes d_gates and d_from_h, with respect to the pre-activations, and turns dh, the gradient
/// of h, into the part of h_before's that does not go through from_h.
template <class T>
void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates,
                  T* d_from_h);

/// The pointwise parts of a simple recurrent step, h = f(pre), f being tanh or relu, in place; and
/// d_pre = (g + dh) * f'(pre). All (rows, width).
template <class T>
void rnn_forward(const Part& part, Unary f, T* h);
template <class T>
void rnn_backward(const Part& part, Unary f, const T* h, const T* g, const T* dh, T* d_pre);

/// One step of stochastic gradient descent over a parameter p with the gradient scale * g and the velocity v,
/// null without momentum, on one thread:
///   g' = scale * g + weight_decay * p;  v = momentum * v + g'
///   p = p - lr * v,   or with Nesterov's momentum   p = p - lr * (g' + momentum * v)
struct SgdStep {
  double lr, momentum, weight_decay;
  bool nesterov;
};
template <class T>
void sgd(const SgdStep& step, T scale, const T* g, T* p, T* v, std::int64_t n);

/// One step of Adam (Kingma and Ba 2015, algorithm 1) over a parameter p with the gradient scale * g and the
/// moments m, v, on one thread. decay: AdamW's decoupled weight decay times lr (Loshchilov and Hutter 2019);
/// coupled: added to the gradient first.
struct AdamStep {
  double lr, beta1, beta2, eps, decay, coupled_decay, correction1, correction2;  // corrections: 1 - beta^t
};
template <class T>
void adam(const AdamStep& step, T scale, const T* g, T* p, T* m, T* v, std::int64_t n);

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

/// "avx512", "avx2", "sse2" or "neon": the instruction set in use.
const char* instruction_set();
/// A test's way to run every kernel set the machine has: throws ArgumentError for one it has not.
void use_instruction_set(const char* name);
std::vector<const char*> available_instruction_sets();

}  // namespace gradus::kernels
