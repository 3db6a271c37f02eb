#include "tensor/kernels/elementwise.hpp"

#include <array>
#include <tuple>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::kernels {

namespace {

// The work of one element, in rough scalar operations.
constexpr std::int64_t cheap = 1;
constexpr std::int64_t transcendental = 8;
constexpr std::int64_t library_call = 32;

constexpr std::array unary_functions{
#define GRADUS_UNARY(name, cost, ...) Known{#name, cost},
#include "tensor/kernels/function_rows.hpp"
};
constexpr std::array binary_functions{
#define GRADUS_BINARY(name, cost, ...) Known{#name, cost},
#include "tensor/kernels/function_rows.hpp"
};
constexpr std::array ternary_functions{
#define GRADUS_TERNARY(name, cost, ...) Known{#name, cost},
#include "tensor/kernels/function_rows.hpp"
};

}  // namespace

const Known& known(Unary op) {
  return unary_functions[static_cast<std::size_t>(op)];
}
const Known& known(Binary op) {
  return binary_functions[static_cast<std::size_t>(op)];
}
const Known& known(Ternary op) {
  return ternary_functions[static_cast<std::size_t>(op)];
}

template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n) {
  if (n == 1) return selected<T>().unary(op, x, y, 1);
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    selected<T>().unary(op, x + begin, y + begin, end - begin);
  });
}

template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  if (op == Binary::pow && b_scalar && !a_scalar && n > 0) {
    if (const Power power = power_function(static_cast<double>(*b)); power.found)
      return unary(power.function, a, y, n);
  }
  if (n == 1) return selected<T>().binary(op, a, a_scalar, b, b_scalar, y, 1);
  // Copies, as y may be where a scalar stands.
  const T left = n > 0 ? *a : T{}, right = n > 0 ? *b : T{};
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    selected<T>().binary(op, a_scalar ? &left : a + begin, a_scalar, b_scalar ? &right : b + begin, b_scalar,
                         y + begin, end - begin);
  });
}

template <class T>
void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
             T* y, std::int64_t n) {
  if (n == 1) return selected<T>().ternary(op, a, a_scalar, b, b_scalar, c, c_scalar, y, 1);
  const T left = n > 0 ? *a : T{}, middle = n > 0 ? *b : T{}, right = n > 0 ? *c : T{};
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    selected<T>().ternary(op, a_scalar ? &left : a + begin, a_scalar, b_scalar ? &middle : b + begin,
                          b_scalar, c_scalar ? &right : c + begin, c_scalar, y + begin, end - begin);
  });
}

template <class T>
void add_scaled(T scale, const T* x, T* y, std::int64_t n) {
  parallel::for_range(n, cheap, [&](std::int64_t begin, std::int64_t end) {
    selected<T>().add_scaled(scale, x + begin, y + begin, end - begin);
  });
}

template <class T>
void fill(T value, T* y, std::int64_t n) {
  parallel::for_range(n, cheap, [&](std::int64_t begin, std::int64_t end) {
    selected<T>().fill(value, y + begin, end - begin);
  });
}

template <class T>
struct Instantiate {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&unary<T>, &binary<T>, &ternary<T>, &add_scaled<T>, &fill<T>);
};
template struct Instantiate<float>;
template struct Instantiate<double>;

}  // namespace gradus::kernels
