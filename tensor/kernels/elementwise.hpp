#pragma once

#include <cstddef>
#include <cstdint>

/// Elementwise functions of contiguous arrays, split among threads where the work is large enough. T is float
/// or double. An input may be the output itself but must not overlap it otherwise. The results do not depend
/// on the number of threads.
namespace gradus::kernels {

/// At NaN, infinities, zeros of either sign and the edges of their domains the values are PyTorch's (but
/// sign(NaN) is NaN here and 0 there). What each function is stands in function_rows.hpp.
enum class Unary {
#define GRADUS_UNARY(name, ...) name,
#include "tensor/kernels/function_rows.hpp"
};
/// Comparisons give 1 or 0.
enum class Binary {
#define GRADUS_BINARY(name, ...) name,
#include "tensor/kernels/function_rows.hpp"
};
enum class Ternary {
#define GRADUS_TERNARY(name, ...) name,
#include "tensor/kernels/function_rows.hpp"
};

inline constexpr std::size_t unary_count = 0
#define GRADUS_UNARY(...) +1
#include "tensor/kernels/function_rows.hpp"
    ;
inline constexpr std::size_t binary_count = 0
#define GRADUS_BINARY(...) +1
#include "tensor/kernels/function_rows.hpp"
    ;
inline constexpr std::size_t ternary_count = 0
#define GRADUS_TERNARY(...) +1
#include "tensor/kernels/function_rows.hpp"
    ;

struct Known {
  const char* name;   // "exp", "add", "where"
  std::int64_t cost;  // the work of one element in scalar operations, as parallel::for_range takes it
};
const Known& known(Unary op);
const Known& known(Binary op);
const Known& known(Ternary op);
template <class Op>
const char* name_of(Op op) {
  return known(op).name;
}
template <class Op>
std::int64_t cost(Op op) {
  return known(op).cost;
}

/// The function that pow with this exponent is, where there is a faster one that is as exact. The kernels of
/// pow give the bits of these functions for these exponents, so that it makes no difference who asks.
struct Power {
  bool found = false;
  Unary function = Unary::square;
};
constexpr Power power_function(double exponent) {
  if (exponent == 2) return {true, Unary::square};
  if (exponent == 3) return {true, Unary::cube};
  if (exponent == -1) return {true, Unary::reciprocal};
  return {};
}

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

/// What each instruction set provides of them, on the caller's thread.
template <class T>
struct ElementwiseKernels {
  virtual void unary(Unary op, const T* x, T* y, std::int64_t n) const = 0;
  virtual void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y,
                      std::int64_t n) const = 0;
  virtual void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c,
                       bool c_scalar, T* y, std::int64_t n) const = 0;
  /// (a * b) * c, an instruction of the programs of `elementwise`.
  virtual void product(const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar, T* y,
                       std::int64_t n) const = 0;
  virtual void add_scaled(T scale, const T* x, T* y, std::int64_t n) const = 0;
  virtual void fill(T value, T* y, std::int64_t n) const = 0;
};

}  // namespace gradus::kernels
