#include "tensor/kernels/reduction.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <tuple>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/tensor.hpp"

namespace gradus::kernels {

namespace {

// A run is folded in blocks of this many elements, columns in tiles of this width and strips of this height.
constexpr std::int64_t block = 4096, tile = 2048, strip = 16;
// With fewer columns than this, several rows are folded as if they were one.
constexpr std::int64_t narrow = 16, narrow_tile = 256;
// Runs shorter than this are folded one element after another: several are under way at a time.
constexpr std::int64_t short_run = 32;
// Elements of the chunk of rows that one thread folds, and the most chunks.
constexpr std::int64_t chunk_elements = 1 << 16, most_chunks = 32;

double start_of(Fold op) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr std::array starts{0.0, -infinity, infinity};
  return starts[static_cast<std::size_t>(op)];
}

/// Calls run with the function of two numbers that folds.
template <class Run>
void with_function(Fold op, const Run& run) {
  switch (op) {
    case Fold::sum:
      return run([](double a, double b) { return a + b; });
    case Fold::max:
      return run([](double a, double b) { return b > a || b != b ? b : a; });
    case Fold::min:
      return run([](double a, double b) { return b < a || b != b ? b : a; });
  }
}
/// to[i] = to[i] op x[i]
template <class T>
void combine(Fold op, double* to, const T* x, std::int64_t n) {
  with_function(op, [&](auto f) {
    std::int64_t i = 0;
    // With a known number of elements the compiler uses vector instructions.
    for (constexpr int known = 8; i + known <= n; i += known) {
      for (int j = 0; j < known; ++j) to[i + j] = f(to[i + j], static_cast<double>(x[i + j]));
    }
    for (; i < n; ++i) to[i] = f(to[i], static_cast<double>(x[i]));
  });
}
/// y[r] = the fold, in order, of x[r, c] over c, x being (rows, cols)
template <class From, class T>
void fold_in_order(Fold op, const From* x, std::int64_t rows, std::int64_t cols, T* y) {
  with_function(op, [&](auto f) {
    for (std::int64_t r = 0; r < rows; ++r, x += cols) {
      double total = start_of(op);
      for (std::int64_t c = 0; c < cols; ++c) total = f(total, static_cast<double>(x[c]));
      y[r] = static_cast<T>(total);
    }
  });
}

Tensor scratch(std::int64_t n) {
  return Tensor::uninitialized({n}, Dtype::f64);
}

/// The folds of up to `tile` columns, in double.
template <class T>
void fold_tile(Fold op, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols, double* to) {
  std::fill(to, to + cols, start_of(op));
  std::array<T, tile> part;
  for (std::int64_t r = 0; r < rows; r += strip) {
    selected<T>().fold_rows(op, x + r * stride, stride, std::min(strip, rows - r), cols, part.data());
    combine(op, to, part.data(), cols);
  }
}

/// The same for a few columns, several rows taken as one.
template <class T>
void fold_narrow(Fold op, const T* x, std::int64_t rows, std::int64_t cols, double* to) {
  const std::int64_t together = narrow_tile / cols, wide = rows / together;
  std::array<double, narrow_tile> part;
  fold_tile(op, x, together * cols, wide, together * cols, part.data());
  std::fill(to, to + cols, start_of(op));
  for (std::int64_t r = 0; r < together; ++r) combine(op, to, part.data() + r * cols, cols);
  for (std::int64_t r = wide * together; r < rows; ++r) combine(op, to, x + r * cols, cols);
}

template <class T>
void fold_chunk(Fold op, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols, double* to) {
  if (stride == cols && cols < narrow && rows * cols >= 4 * narrow_tile)
    return fold_narrow(op, x, rows, cols, to);
  fold_tile(op, x, stride, rows, cols, to);
}

/// For many rows: chunks of them are folded by themselves, to (outer, chunks, inner), and then together.
template <class T>
void fold_chunks(Fold op, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                 std::int64_t chunks, T* y) {
  Tensor partial = scratch(outer * chunks * inner);
  double* const parts = partial.mutable_data<double>();
  const std::int64_t height = (length + chunks - 1) / chunks;
  parallel::for_tiles(
      outer * chunks, inner, tile, height, [&](std::int64_t at, std::int64_t c, std::int64_t cols) {
        const std::int64_t o = at / chunks, r = at % chunks * height;
        fold_chunk(op, x + (o * length + r) * inner + c, inner,
                   std::clamp(length - r, std::int64_t{0}, height), cols, parts + at * inner + c);
      });
  for (std::int64_t o = 0; o < outer; ++o) {
    double* const first = parts + o * chunks * inner;
    for (std::int64_t chunk = 1; chunk < chunks; ++chunk) combine(op, first, first + chunk * inner, inner);
    for (std::int64_t i = 0; i < inner; ++i) y[o * inner + i] = static_cast<T>(first[i]);
  }
}

/// The first position of the extreme of a run. The block that holds it is found first, by vector
/// instructions.
template <class T>
std::int32_t find_in_run(bool largest, const T* x, std::int64_t n) {
  const Fold op = largest ? Fold::max : Fold::min;
  std::int64_t best_begin = 0;
  double best = start_of(op);
  for (std::int64_t begin = 0; begin < n && best == best; begin += block) {
    const double here = selected<T>().fold(op, x + begin, std::min(block, n - begin));
    if (here != here || (largest ? here > best : here < best)) {
      best = here;
      best_begin = begin;
    }
  }
  for (std::int64_t i = best_begin; i < n; ++i) {
    if (best != best ? x[i] != x[i] : static_cast<double>(x[i]) == best) return static_cast<std::int32_t>(i);
  }
  return 0;
}

/// The same for each of up to `tile` columns.
template <class T>
void find_in_columns(bool largest, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                     std::int32_t* y) {
  std::array<T, tile> best;
  std::copy_n(x, cols, best.data());
  std::fill(y, y + cols, 0);
  for (std::int64_t r = 1; r < rows; ++r) {
    for (std::int64_t c = 0; c < cols; ++c) {
      const T v = x[r * stride + c];
      T& held = best[static_cast<std::size_t>(c)];
      const bool better = (largest ? v > held : v < held) || (v != v && held == held);
      held = better ? v : held;
      y[c] = better ? static_cast<std::int32_t>(r) : y[c];
    }
  }
}

/// The sums of blocks, added up in their order.
template <class T, class F>
double sum_blocks(const T* x, std::int64_t n, F&& sum_block) {
  if (n <= block) return sum_block(x, n);
  const std::int64_t blocks = (n + block - 1) / block;
  storage::PoolVector<double> sums(static_cast<std::size_t>(blocks));
  parallel::for_each(blocks, block, [&](std::int64_t i) {
    sums[static_cast<std::size_t>(i)] = sum_block(x + i * block, std::min(block, n - i * block));
  });
  double total = 0;
  for (const double part : sums) total += part;
  return total;
}

/// In double, with eight independent sums.
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

/// y[r] = the fold over c of x[r, c], x being (rows, cols)
template <class T>
void fold_rows(Fold op, const T* x, std::int64_t rows, std::int64_t cols, T* y) {
  const std::int64_t blocks = (cols + block - 1) / block;
  if (blocks > 1) {
    Tensor partial = scratch(rows * blocks);
    double* const parts = partial.mutable_data<double>();
    parallel::for_each(rows * blocks, block, [&](std::int64_t i) {
      const std::int64_t r = i / blocks, c = i % blocks * block;
      parts[i] = selected<T>().fold(op, x + r * cols + c, std::min(block, cols - c));
    });
    fold_in_order(op, parts, rows, blocks, y);
    return;
  }
  parallel::for_range(rows, cols, [&](std::int64_t begin, std::int64_t end) {
    if (cols < short_run) return fold_in_order(op, x + begin * cols, end - begin, cols, y + begin);
    for (std::int64_t r = begin; r < end; ++r)
      y[r] = static_cast<T>(selected<T>().fold(op, x + r * cols, cols));
  });
}

}  // namespace

template <class T>
void fold_columns(Fold op, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner, T* y) {
  if (inner == 1) return fold_rows(op, x, outer, length, y);
  const std::int64_t chunks = std::clamp(length * inner / chunk_elements, std::int64_t{1},
                                         std::min(most_chunks, std::max(std::int64_t{1}, length / strip)));
  if (chunks > 1) return fold_chunks(op, x, outer, length, inner, chunks, y);
  parallel::for_tiles(outer, inner, tile, length, [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
    const T* const from = x + o * length * inner + c;
    T* const to = y + o * inner + c;
    if (length <= strip) return selected<T>().fold_rows(op, from, inner, length, cols, to);
    std::array<double, tile> totals;
    fold_chunk(op, from, inner, length, cols, totals.data());
    for (std::int64_t k = 0; k < cols; ++k) to[k] = static_cast<T>(totals[static_cast<std::size_t>(k)]);
  });
}

template <class T>
void find_extreme(bool largest, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                  std::int32_t* y) {
  parallel::for_tiles(outer, inner, tile, length, [&](std::int64_t o, std::int64_t c, std::int64_t cols) {
    const T* const from = x + o * length * inner + c;
    if (inner == 1) {
      y[o] = find_in_run(largest, from, length);
    } else {
      find_in_columns(largest, from, inner, length, cols, y + o * inner + c);
    }
  });
}

template <class T>
double sum_squares(const T* x, std::int64_t n) {
  return sum_blocks(x, n, [](const T* from, std::int64_t count) {
    const double fast = selected<T>().sum_squares(from, count);
    if (sizeof(T) == 8 || (fast > 1e-30 && fast < 1e30)) return fast;
    // The squares overflow or underflow f32, or are NaN.
    return sum_squares_wide(from, count);
  });
}
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  std::atomic<bool> finite{true};
  parallel::for_range(n, 1, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t begin = from; begin < to && finite.load(std::memory_order_relaxed); begin += block) {
      if (!selected<T>().all_finite(x + begin, std::min(block, to - begin))) finite = false;
    }
  });
  return finite;
}

template <class T>
double sum_exponents(const T* x, std::int64_t n) {
  return selected<T>().sum_exponents(x, n);
}
template <class T>
double total_product(const T* x, std::int64_t n) {
  return selected<T>().total_product(x, n);
}

template <class T>
struct InstantiateReduction {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&fold_columns<T>, &find_extreme<T>, &sum_squares<T>, &all_finite<T>, &sum_exponents<T>,
                 &total_product<T>);
};
template struct InstantiateReduction<float>;
template struct InstantiateReduction<double>;

}  // namespace gradus::kernels
