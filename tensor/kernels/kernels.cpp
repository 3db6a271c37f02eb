#include "tensor/kernels/kernels.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <tuple>

#include "tensor/kernels/select.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::kernels {

namespace {

// The work of one element, in rough scalar operations, for the grain policy.
constexpr std::int64_t cheap = 1;
constexpr std::int64_t transcendental = 8;
constexpr std::int64_t library_call = 32;
// Sums are taken over blocks of this many elements, and over the blocks in their order.
constexpr std::int64_t block = 4096;

template <class T, class F>
double sum_blocks(const T* x, std::int64_t n, F&& sum_block) {
  if (n <= block) return sum_block(x, n);
  const std::int64_t blocks = (n + block - 1) / block;
  storage::PoolVector<double> sums(static_cast<std::size_t>(blocks));
  parallel::for_range(blocks, block, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      sums[static_cast<std::size_t>(i)] = sum_block(x + i * block, std::min(block, n - i * block));
    }
  });
  double total = 0;
  for (const double part : sums) total += part;
  return total;
}

/// In double, with eight sums that need not wait for each other.
template <class T>
double sum_squares_wide(const T* x, std::int64_t n) {
  double sums[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) {
      const double v = static_cast<double>(x[i + j]);
      sums[j] += v * v;
    }
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  for (; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return total;
}

}  // namespace

std::int64_t cost(Unary op) {
  switch (op) {
    case Unary::neg:
    case Unary::abs:
    case Unary::sign:
    case Unary::square:
    case Unary::sqrt:
    case Unary::rsqrt:
    case Unary::reciprocal:
    case Unary::relu:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
      return cheap;
    case Unary::erfc:
    case Unary::lgamma:
      return library_call;
    default:
      return transcendental;
  }
}

std::int64_t cost(Binary op) {
  switch (op) {
    case Binary::pow:
    case Binary::atan2:
    case Binary::fmod:
      return library_call;
    case Binary::polygamma:
      return 8 * library_call;
    default:
      return cheap;
  }
}

std::int64_t cost(Ternary) {
  return cheap;
}

template <class T>
void unary(Unary op, const T* x, T* y, std::int64_t n) {
  if (n == 1) return table_of<T>().unary(op, x, y, 1);
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    table_of<T>().unary(op, x + begin, y + begin, end - begin);
  });
}

template <class T>
void binary(Binary op, const T* a, bool a_scalar, const T* b, bool b_scalar, T* y, std::int64_t n) {
  if (n == 1) return table_of<T>().binary(op, a, a_scalar, b, b_scalar, y, 1);
  // Copies, as y may be where a scalar stands.
  const T left = n > 0 ? *a : T{}, right = n > 0 ? *b : T{};
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    table_of<T>().binary(op, a_scalar ? &left : a + begin, a_scalar, b_scalar ? &right : b + begin, b_scalar,
                         y + begin, end - begin);
  });
}

template <class T>
void ternary(Ternary op, const T* a, bool a_scalar, const T* b, bool b_scalar, const T* c, bool c_scalar,
             T* y, std::int64_t n) {
  if (n == 1) return table_of<T>().ternary(op, a, a_scalar, b, b_scalar, c, c_scalar, y, 1);
  const T left = n > 0 ? *a : T{}, middle = n > 0 ? *b : T{}, right = n > 0 ? *c : T{};
  parallel::for_range(n, cost(op), [&](std::int64_t begin, std::int64_t end) {
    table_of<T>().ternary(op, a_scalar ? &left : a + begin, a_scalar, b_scalar ? &middle : b + begin,
                          b_scalar, c_scalar ? &right : c + begin, c_scalar, y + begin, end - begin);
  });
}

template <class T>
void add_scaled(T scale, const T* x, T* y, std::int64_t n) {
  parallel::for_range(n, cheap, [&](std::int64_t begin, std::int64_t end) {
    table_of<T>().add_scaled(scale, x + begin, y + begin, end - begin);
  });
}

template <class T>
void fill(T value, T* y, std::int64_t n) {
  parallel::for_range(n, cheap, [&](std::int64_t begin, std::int64_t end) {
    table_of<T>().fill(value, y + begin, end - begin);
  });
}

template <class T>
double sum_squares(const T* x, std::int64_t n) {
  return sum_blocks(x, n, [](const T* from, std::int64_t count) {
    const double fast = table_of<T>().sum_squares(from, count);
    if (sizeof(T) == 8 || (fast > 1e-30 && fast < 1e30)) return fast;
    // Squares that f32 does not hold: too large, too small, or none.
    return sum_squares_wide(from, count);
  });
}
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  std::atomic<bool> finite{true};
  parallel::for_range(n, cheap, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t begin = from; begin < to && finite.load(std::memory_order_relaxed); begin += block) {
      if (!table_of<T>().all_finite(x + begin, std::min(block, to - begin))) finite = false;
    }
  });
  return finite;
}

template <class T>
void cross_entropy(const T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T* losses,
                   T* log_totals) {
  parallel::for_range(rows, cols * transcendental, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      if (targets[r] < 0) {
        losses[r] = 0;
        if (log_totals != nullptr) log_totals[r] = 0;
        continue;
      }
      const LogSum<T> sum = table_of<T>().log_sum_exp(x + r * cols, cols);
      if (log_totals != nullptr) log_totals[r] = static_cast<T>(sum.log_total);
      const double below = static_cast<double>(sum.shift) - static_cast<double>(x[r * cols + targets[r]]);
      losses[r] = static_cast<T>(below + sum.log_total);
    }
  });
}
template <class T>
void cross_entropy_in_place(T* x, const std::int32_t* targets, std::int64_t rows, std::int64_t cols, T g,
                            T* losses) {
  parallel::for_range(rows, cols * transcendental, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* const row = x + r * cols;
      if (targets[r] < 0) {
        losses[r] = 0;
        std::fill_n(row, cols, T{0});
        continue;
      }
      const auto logit = static_cast<double>(row[targets[r]]);
      const LogSum<T> sum = table_of<T>().exp_shifted(row, row, cols);
      losses[r] = static_cast<T>(static_cast<double>(sum.shift) - logit + sum.log_total);
      table_of<T>().scale(static_cast<T>(static_cast<double>(g) * std::exp(-sum.log_total)), row, cols);
      row[targets[r]] -= g;
    }
  });
}
template <class T>
void cross_entropy_backward(const T* x, const std::int32_t* targets, const T* log_totals, const T* g,
                            std::int64_t rows, std::int64_t cols, T* dx) {
  parallel::for_range(rows, cols * transcendental, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      if (targets[r] < 0) {
        std::fill_n(dx + r * cols, cols, T{0});
        continue;
      }
      table_of<T>().softmax_scaled(x + r * cols, log_totals[r], g[r], dx + r * cols, cols);
      dx[r * cols + targets[r]] -= g[r];
    }
  });
}

template <class T>
void lstm_forward(const Part& part, T* gates, const T* c_before, T* c, T* tanh_c, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin;
    table_of<T>().lstm_forward(gates + 4 * r * part.width + part.begin, c_before + at, c + at, tanh_c + at,
                               h + at, part.width, part.end - part.begin);
  }
}
template <class T>
void lstm_backward(const Part& part, const T* gates, const T* c_before, const T* tanh_c, const T* dh, T* dc,
                   T* d_gates) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 4 * r * part.width + part.begin;
    table_of<T>().lstm_backward(gates + gates_at, c_before + at, tanh_c + at, dh + at, dc + at,
                                d_gates + gates_at, part.width, part.end - part.begin);
  }
}

template <class T>
void gru_forward(const Part& part, T* gates, T* from_h, const T* h_before, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 3 * r * part.width + part.begin;
    table_of<T>().gru_forward(gates + gates_at, from_h + gates_at, h_before + at, h + at, part.width,
                              part.end - part.begin);
  }
}
template <class T>
void gru_backward(const Part& part, const T* gates, const T* from_h, const T* h_before, T* dh, T* d_gates,
                  T* d_from_h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin, gates_at = 3 * r * part.width + part.begin;
    table_of<T>().gru_backward(gates + gates_at, from_h + gates_at, h_before + at, dh + at,
                               d_gates + gates_at, d_from_h + gates_at, part.width, part.end - part.begin);
  }
}
template <class T>
void rnn_forward(const Part& part, Unary f, T* h) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    T* const at = h + r * part.width + part.begin;
    table_of<T>().unary(f, at, at, part.end - part.begin);
  }
}
template <class T>
void rnn_backward(const Part& part, Unary f, const T* h, const T* g, const T* dh, T* d_pre) {
  for (std::int64_t r = 0; r < part.rows; ++r) {
    const std::int64_t at = r * part.width + part.begin;
    table_of<T>().rnn_backward(f, h + at, g + at, dh + at, d_pre + at, part.end - part.begin);
  }
}

template <class T>
void sgd(const SgdStep& step, T scale, const T* g, T* p, T* v, std::int64_t n) {
  table_of<T>().sgd(step, scale, g, p, v, n);
}
template <class T>
void adam(const AdamStep& step, T scale, const T* g, T* p, T* m, T* v, std::int64_t n) {
  table_of<T>().adam(step, scale, g, p, m, v, n);
}

template <class T>
struct Instantiate {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&unary<T>, &binary<T>, &ternary<T>, &add_scaled<T>, &fill<T>, &sum_squares<T>,
                 &all_finite<T>, &cross_entropy<T>, &cross_entropy_in_place<T>, &cross_entropy_backward<T>,
                 &lstm_forward<T>, &lstm_backward<T>, &gru_forward<T>, &gru_backward<T>, &rnn_forward<T>,
                 &rnn_backward<T>, &sgd<T>, &adam<T>);
};
template struct Instantiate<float>;
template struct Instantiate<double>;

}  // namespace gradus::kernels
