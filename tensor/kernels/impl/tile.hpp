// The register tile of the product of matrices. Part of impl.hpp, and of what multiplies other words than T.

/// One batch of C: alpha * sum + beta * C + bias, of which the first `left` elements exist.
template <class T>
[[gnu::always_inline]] inline void finish_batch(const Batch<T>& sum, T* to, std::int64_t left, T alpha,
                                                T beta, const T* bias) {
  using B = Batch<T>;
  const bool whole = left >= lanes<T>;
  if (left <= 0) return;
  B out = alpha == T{1} ? sum : sum * B(alpha);
  if (beta != T{0}) out = mul_add(B(beta), whole ? B::load_unaligned(to) : load_part<T>(to, left), out);
  if (bias != nullptr) out += whole ? B::load_unaligned(bias) : load_part<T>(bias, left);
  if (whole) {
    out.store_unaligned(to);
  } else {
    store_part<T>(out, to, left);
  }
}

/// Calls f(sum, place in C) for each batch of a tile.
template <class T, int Rows, int Batches, class F>
[[gnu::always_inline]] inline void for_tile(const Tile<T>& t, const Batch<T> (&acc)[Rows][Batches], F f) {
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) f(acc[i][j], t.c + i * t.ldc + j * lanes<T>, j * lanes<T>);
  }
}

/// C = alpha * acc + beta * C + bias. The usual case is stored straight from the registers.
template <class T, int Rows, int Batches>
[[gnu::always_inline]] inline void finish_tile(const Tile<T>& t, const Batch<T> (&acc)[Rows][Batches]) {
  using B = Batch<T>;
  const bool plain = t.cols >= Batches * lanes<T> && t.alpha == T{1} && t.bias == nullptr;
  if (plain && t.beta == T{0}) {
    for_tile<T, Rows, Batches>(t, acc, [](const B& sum, T* to, std::int64_t) { sum.store_unaligned(to); });
  } else if (plain && t.beta == T{1}) {
    for_tile<T, Rows, Batches>(
        t, acc, [](const B& sum, T* to, std::int64_t) { (B::load_unaligned(to) + sum).store_unaligned(to); });
  } else {
    for_tile<T, Rows, Batches>(t, acc, [&t](const B& sum, T* to, std::int64_t at) {
      finish_batch<T>(sum, to, t.cols - at, t.alpha, t.beta, t.bias == nullptr ? nullptr : t.bias + at);
    });
  }
}

// 32 registers hold 28 accumulators, two batches of B and one element of A; 16 hold 12.
constexpr int tile_rows = register_count == 32 ? 14 : 6;
constexpr int tile_batches = 2;
static_assert(tile_rows <= most_tile_rows);

enum class Layout { packed, in_place };

/// How an element of A and a batch of B are added to a batch of sums.
template <class T>
struct MultiplyElements {
  [[gnu::always_inline]] static Batch<T> add(const Batch<T>& a, const Batch<T>& b, const Batch<T>& sum) {
    return mul_add(a, b, sum);
  }
};

// Words of k for each line of the cache that is fetched ahead: a packed row of B is two lines with 32
// registers, one with
// 16. There the loop is short, too, and unrolled it is fast wherever it stands among the lines of code.
constexpr int words_at_once = register_count == 32 ? 1 : 4;

/// acc = A B over k. load_right(b, j) gives the j-th batch of a row of B.
template <class T, int Rows, int Batches, Layout layout, class Multiply, class LoadRight>
[[gnu::always_inline]] inline void multiply_tile(const Tile<T>& t, Batch<T> (&acc)[Rows][Batches],
                                                 LoadRight load_right) {
  using B = Batch<T>;
  const std::int64_t a_row = layout == Layout::packed ? 1 : t.a_row;
  const std::int64_t a_col = layout == Layout::packed ? Rows : t.a_col;
  const std::int64_t b_row = layout == Layout::packed ? tile_batches * lanes<T> : t.ldb;
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) acc[i][j] = B(0);
  }
  const T* a = t.a;
  const T* b = t.b;
  const auto add_word = [&]() __attribute__((always_inline)) {
    B right[Batches];
#pragma GCC unroll 2
    for (int j = 0; j < Batches; ++j) right[j] = load_right(b, j);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const B av(a[i * a_row]);
#pragma GCC unroll 2
      for (int j = 0; j < Batches; ++j) acc[i][j] = Multiply::add(av, right[j], acc[i][j]);
    }
    a += a_col;
    b += b_row;
  };
  std::int64_t p = 0;
  if constexpr (layout == Layout::packed) {
    const char* ahead = t.ahead;
    for (; p + words_at_once <= t.k; p += words_at_once) {
      __builtin_prefetch(ahead);
      ahead += words_at_once * t.ahead_step;
#pragma GCC unroll 4
      for (int word = 0; word < words_at_once; ++word) add_word();
    }
  }
  if constexpr (layout != Layout::packed || words_at_once > 1) {
    for (; p < t.k; ++p) add_word();
  }
}

template <class T, int Rows, int Batches, Layout layout, class Multiply>
void tile(const Tile<T>& t) {
  using B = Batch<T>;
  B acc[Rows][Batches];
  if constexpr (layout == Layout::packed) {
    // C is needed only at the end, and may not be in a cache.
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < Batches; ++j) __builtin_prefetch(t.c + i * t.ldc + j * lanes<T>, 1);
    }
    multiply_tile<T, Rows, Batches, layout, Multiply>(
        t, acc, [](const T* x, int j) { return B::load_aligned(x + j * lanes<T>); });
  } else if (t.cols >= Batches * lanes<T>) {
    multiply_tile<T, Rows, Batches, layout, Multiply>(
        t, acc, [](const T* x, int j) { return B::load_unaligned(x + j * lanes<T>); });
  } else {
    multiply_tile<T, Rows, Batches, layout, Multiply>(t, acc, [&](const T* x, int j) {
      const std::int64_t left = t.cols - j * lanes<T>;
      return left >= lanes<T> ? B::load_unaligned(x + j * lanes<T>)
             : left > 0       ? load_part<T>(x + j * lanes<T>, left)
                              : B(0);
    });
  }
  finish_tile<T, Rows, Batches>(t, acc);
}
template <class T, int Batches, Layout layout, class Multiply = MultiplyElements<T>>
constexpr std::array<TileKernel<T>, most_tile_rows> tiles_of() {
  return []<std::size_t... r>(std::index_sequence<r...>) {
    std::array<TileKernel<T>, most_tile_rows> out{};
    ((out[r] = tile<T, static_cast<int>(r) + 1, Batches, layout, Multiply>), ...);
    return out;
  }
  (std::make_index_sequence<tile_rows>());
}
