#include "tensor/kernels/attention.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <tuple>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/blocks.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::kernels {

using gradus::detail::balanced;
using gradus::detail::round_up;

namespace {

constexpr std::int64_t most_queries = 70, most_keys = 256;  // of a block
constexpr std::int64_t few_queries = 4;  // up to here packing the keys costs more than it saves

/// The left side of a product: element (i, p) stands at data[i * row + p * col].
template <class T>
struct Left {
  const T* data;
  std::int64_t row, col;
};
/// The right side: rows ld apart, and the columns of the next register tile `panel` further on.
template <class T>
struct Right {
  const T* data;
  std::int64_t ld, panel;
};

/// What there is to do for the rows of one register tile: the others of its columns are not wanted, and what
/// it would multiply of the rest of the depth is 0.
struct Extent {
  std::int64_t col, col_end, first, last;
};

/// C = A B, or C += A B; each element is summed in the order of the depth. extent(i, tall) is called for each
/// tile of rows in order; its col is a multiple of a tile's columns.
template <class T, class ExtentOf>
void multiply(std::int64_t rows, std::int64_t cols, const Left<T>& a, const Right<T>& b, T* c,
              std::int64_t ldc, bool add, ExtentOf extent) {
  const Tiles<T>& tiles = selected<T>().tiles();
  const std::int64_t height = balanced(rows, tiles.rows);
  std::array<Extent, most_keys / 2> extents;
  for (std::int64_t i = 0; i < rows; i += height)
    extents[static_cast<std::size_t>(i / height)] = extent(i, std::min(height, rows - i));
  for (std::int64_t j = 0; j < cols; j += tiles.cols) {
    const std::int64_t width = std::min(tiles.cols, cols - j);
    const auto& column = width <= tiles.lanes ? tiles.in_place_narrow : tiles.in_place;
    for (std::int64_t i = 0; i < rows; i += height) {
      const auto [col, col_end, first, last] = extents[static_cast<std::size_t>(i / height)];
      if (j < col || j >= col_end || (add && first >= last)) continue;
      const std::int64_t tall = std::min(height, rows - i);
      column[static_cast<std::size_t>(tall - 1)]({.k = std::max<std::int64_t>(last - first, 0),
                                                  .a = a.data + i * a.row + first * a.col,
                                                  .a_row = a.row,
                                                  .a_col = a.col,
                                                  .b = b.data + j / tiles.cols * b.panel + first * b.ld,
                                                  .ldb = b.ld,
                                                  .c = c + i * ldc + j,
                                                  .ldc = ldc,
                                                  .cols = width,
                                                  .alpha = T{1},
                                                  .beta = add ? T{1} : T{0},
                                                  .bias = nullptr});
    }
  }
}

/// Calls f(j) for each key. With a known number of them at once the compiler uses vector instructions.
template <class F>
[[gnu::always_inline]] inline void for_each_key(std::int64_t begin, std::int64_t end, F f) {
  constexpr int at_once = 8;
  std::int64_t j = begin;
  for (; j + at_once <= end; j += at_once) {
    for (int i = 0; i < at_once; ++i) f(j + i);
  }
  for (; j < end; ++j) f(j);
}

/// Some queries of a head beside some keys.
struct Block {
  std::int64_t b, h, query, rows, key, cols;

  /// A number of keys from the block's first on.
  std::int64_t within(std::int64_t to_key) const { return std::clamp<std::int64_t>(to_key - key, 0, cols); }
};

/// The smallest and the largest of some ids.
struct Span {
  std::int32_t least, most;
  Span(const std::int32_t* ids, std::int64_t n) {
    const auto [low, high] = std::minmax_element(ids, ids + n);
    least = *low;
    most = *high;
  }
};

/// One thread's buffers, and the keys and values that it has packed.
template <class T>
class Worker {
 public:
  Worker(const Attention<T>& attention, bool backward)
      : a_(attention), kernel_(selected<T>()), panel_(kernel_.tiles().cols) {
    const std::int64_t keys = round_up(std::min(a_.keys, most_keys), panel_);
    const std::int64_t rows = std::min(a_.queries, most_queries);
    ld_ = keys + 64 / static_cast<std::int64_t>(sizeof(T));  // no multiple of a large power of two
    const std::int64_t scores = rows * ld_, packed = round_up(a_.keys, panel_);
    std::int64_t size = rows * a_.width + scores + 2 * rows;
    if (a_.queries > few_queries || backward) size += packed * a_.width;
    if (backward) size += scores + packed * a_.value_width;
    if (a_.keep < 1) size += scores;
    memory_ = Tensor::uninitialized({size}, dtype_of<T>());
    T* at = memory_.template mutable_data<T>();
    const auto take = [&](std::int64_t count) { return std::exchange(at, at + count); };
    scores_ = take(scores);
    if (backward) slopes_ = take(scores);
    if (a_.keep < 1) kept_ = take(scores);
    if (a_.queries > few_queries || backward) keys_ = take(packed * a_.width);
    if (backward) values_ = take(packed * a_.value_width);
    queries_ = take(rows * a_.width);
    factor_ = take(rows);
    total_.resize(static_cast<std::size_t>(rows));
    begin_.resize(static_cast<std::size_t>(rows));
    end_.resize(static_cast<std::size_t>(rows));
  }

  /// The results of `rows` queries.
  void forward(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows,
               const HeadMatrices<T>& out, T* largest, T* inverse);
  /// What a block of keys, from `key` on, adds to the gradients.
  void backward(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows, std::int64_t key,
                const HeadMatrices<const T>& g, const T* largest, const T* inverse, const T* delta,
                const AttentionGradients<T>& to);

 private:
  std::int64_t row_of(const Block& at) const { return (at.b * a_.heads + at.h) * a_.queries + at.query; }
  std::int64_t kv_head(const Block& at) const { return at.h / (a_.heads / a_.kv_heads); }
  std::optional<Block> seen(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows,
                            std::int64_t key) const;
  bool segments_meet(const Block& at) const;
  bool mask_shows(const Block& at) const;
  void pack(std::int64_t b, std::int64_t kv);
  void take_queries(const Block& at);
  void compute_scores(const Block& at);
  void adjust(const Block& at, std::int64_t r);
  void drop(const Block& at, T* of) const;
  void take_ranges(const Block& at);

  // The extents of products. Where the ranges of keys do not go backwards from one query to the next, those
  // of a tile of queries lie between the first's begin and the last's end.

  /// (queries, keys)
  auto of_scores(const Block& at, std::int64_t depth) const {
    return [this, &at, depth](std::int64_t i, std::int64_t tall) -> Extent {
      if (!limited_) return {0, round_up(at.cols, panel_), 0, depth};
      return {begin_at(i) / panel_ * panel_, end_at(i + tall - 1), 0, depth};
    };
  }
  /// (queries, cols), over the keys
  auto over_keys(const Block& at, std::int64_t cols) const {
    return [this, &at, cols](std::int64_t i, std::int64_t tall) -> Extent {
      if (!limited_) return {0, cols, 0, at.cols};
      return {0, cols, begin_at(i), end_at(i + tall - 1)};
    };
  }
  /// (keys, cols), over the queries
  auto over_queries(const Block& at, std::int64_t cols) const {
    return [this, rows = at.rows, cols, first = std::int64_t{0}, last = std::int64_t{0}](
               std::int64_t i, std::int64_t tall) mutable -> Extent {
      if (!limited_) return {0, cols, 0, rows};
      while (first < rows && end_at(first) <= i) ++first;
      while (last < rows && begin_at(last) < i + tall) ++last;
      return {0, cols, first, last};
    };
  }
  std::int64_t begin_at(std::int64_t row) const { return begin_[static_cast<std::size_t>(row)]; }
  std::int64_t end_at(std::int64_t row) const { return end_[static_cast<std::size_t>(row)]; }
  ScoreRows<T> score_rows(const Block& at) const {
    return {scores_, ld_, at.rows, at.cols, begin_.data(), end_.data()};
  }

  const Attention<T>& a_;
  const Kernels<T>& kernel_;
  const std::int64_t panel_;
  std::int64_t ld_ = 0, packed_ = -1;
  bool limited_ = false;  // the ranges of keys of the block hide some, and follow each other
  Tensor memory_;
  T *scores_ = nullptr, *slopes_ = nullptr, *kept_ = nullptr;  // (rows, ld)
  T *keys_ = nullptr, *values_ = nullptr;                      // transposed, in panels: (width, keys)
  T *queries_ = nullptr, *factor_ = nullptr;                   // (rows, width), times the scale; (rows)
  storage::PoolVector<double> total_;                          // (rows)
  storage::PoolVector<std::int32_t> begin_, end_;              // (rows)
};

/// The keys from `key` on that some of the queries see, by their places, segments and mask, if any.
template <class T>
std::optional<Block> Worker<T>::seen(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows,
                                     std::int64_t key) const {
  const KeyRange top = a_.sight.range(b, query), bottom = a_.sight.range(b, query + rows - 1);
  const std::int64_t beyond = std::min(key + most_keys, a_.keys);
  const bool sinks = bottom.sinks > key;
  const std::int64_t first = sinks ? key : std::max(key, top.first) / panel_ * panel_;
  const std::int64_t end = std::max(std::min(beyond, bottom.end), sinks ? std::min(beyond, bottom.sinks) : 0);
  const Block at{b, h, query, rows, first, end - first};
  if (first >= end || !segments_meet(at) || !mask_shows(at)) return {};
  return at;
}
template <class T>
bool Worker<T>::segments_meet(const Block& at) const {
  if (a_.sight.q_segments == nullptr) return true;
  const Span of_queries(a_.sight.q_segments + at.b * a_.queries + at.query, at.rows);
  const Span of_keys(a_.sight.k_segments + at.b * a_.keys + at.key, at.cols);
  return of_queries.least <= of_keys.most && of_keys.least <= of_queries.most;
}
template <class T>
bool Worker<T>::mask_shows(const Block& at) const {
  if (a_.mask.data == nullptr) return true;
  const std::int64_t rows = a_.mask.query_step == 0 ? 1 : at.rows, cols = a_.mask.key_step == 0 ? 1 : at.cols;
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* const row = a_.mask.at(at.b, at.h, at.query + r, at.key);
    for (std::int64_t j = 0; j < cols; ++j) {
      if (row[j * a_.mask.key_step] != 0) return true;
    }
  }
  return false;
}

template <class T>
void Worker<T>::pack(std::int64_t b, std::int64_t kv) {
  const std::int64_t wanted = b * a_.kv_heads + kv;
  if (packed_ == wanted) return;
  packed_ = wanted;
  kernel_.pack(Side::right, a_.k.at(b, kv, 0), a_.k.row_step, 1, a_.keys, a_.width, panel_, keys_);
  if (values_ != nullptr)
    kernel_.pack(Side::right, a_.v.at(b, kv, 0), a_.v.row_step, 1, a_.keys, a_.value_width, panel_, values_);
}
template <class T>
void Worker<T>::take_queries(const Block& at) {
  for (std::int64_t r = 0; r < at.rows; ++r)
    std::copy_n(a_.q.at(at.b, at.h, at.query + r), a_.width, queries_ + r * a_.width);
  kernel_.scale(a_.scale, queries_, at.rows * a_.width);
}

/// The scores of a block, -infinity between begin and end where a key is hidden.
template <class T>
void Worker<T>::compute_scores(const Block& at) {
  take_ranges(at);
  if (keys_ == nullptr) {
    kernel_.dots(queries_, a_.width, at.rows, a_.k.at(at.b, kv_head(at), at.key), a_.k.row_step, at.cols,
                 a_.width, scores_, ld_);
  } else {
    pack(at.b, kv_head(at));
    multiply<T>(at.rows, round_up(at.cols, panel_), {queries_, a_.width, 1},
                {keys_ + at.key * a_.width, panel_, panel_ * a_.width}, scores_, ld_, false,
                of_scores(at, a_.width));
  }
  for (std::int64_t r = 0; r < at.rows; ++r) adjust(at, r);
}

/// Which keys the rows of a block see, from the first to the last.
template <class T>
void Worker<T>::take_ranges(const Block& at) {
  limited_ = false;
  bool in_order = true;
  for (std::int64_t r = 0; r < at.rows; ++r) {
    const auto row = static_cast<std::size_t>(r);
    const KeyRange range = a_.sight.range(at.b, at.query + r);
    std::int64_t begin = at.within(range.first), end = at.within(range.end);
    if (const std::int64_t sinks = at.within(range.sinks); sinks > 0) {
      if (begin >= end || sinks > end) end = sinks;
      begin = 0;
    }
    begin_[row] = static_cast<std::int32_t>(begin);
    end_[row] = static_cast<std::int32_t>(end);
    limited_ |= end - begin < at.cols;
    in_order &= r == 0 || (begin_[row] >= begin_[row - 1] && end_[row] >= end_[row - 1]);
  }
  limited_ &= in_order;
}

/// What is added to the scores of row r, which are -infinity then where a key is hidden.
template <class T>
void Worker<T>::adjust(const Block& at, std::int64_t r) {
  static constexpr T hidden = -std::numeric_limits<T>::infinity();
  const std::int64_t query = at.query + r, begin = begin_[static_cast<std::size_t>(r)],
                     end = end_[static_cast<std::size_t>(r)];
  T* const s = scores_ + r * ld_;
  if (begin >= end) return;
  const KeyRange range = a_.sight.range(at.b, query);
  if (range.sinks > at.key && range.sinks < range.first) {  // behind them, up to the window or the end
    const std::int64_t first = at.within(range.sinks), last = std::min(at.within(range.first), end);
    if (first < last) std::fill(s + first, s + last, hidden);
  }
  if (a_.bias.data != nullptr) {
    const T* const bias = a_.bias.at(at.b, at.h, query, at.key);
    if (a_.bias.key_step == 1) {
      kernel_.add_scaled(T{1}, bias + begin, s + begin, end - begin);
    } else {
      for_each_key(begin, end, [&](std::int64_t j) { s[j] += *bias; });
    }
  }
  if (a_.slopes != nullptr) {
    const T slope = a_.slopes[at.h], own = static_cast<T>(a_.sight.place(at.b, query) - at.key);
    for_each_key(begin, end, [&](std::int64_t j) { s[j] -= slope * std::abs(own - static_cast<T>(j)); });
  }
  if (a_.sight.q_segments != nullptr) {
    const std::int32_t own = a_.sight.q_segments[at.b * a_.queries + query];
    const std::int32_t* const of_keys = a_.sight.k_segments + at.b * a_.keys + at.key;
    for_each_key(begin, end, [&](std::int64_t j) { s[j] = of_keys[j] == own ? s[j] : hidden; });
  }
  if (a_.mask.data != nullptr) {
    const T* const mask = a_.mask.at(at.b, at.h, query, at.key);
    if (a_.mask.key_step == 1) {
      T* const first = s + begin;
      kernel_.ternary(Ternary::where, mask + begin, false, first, false, &hidden, true, first, end - begin);
    } else if (*mask == 0) {
      std::fill(s + begin, s + end, hidden);
    }
  }
}

/// Multiplies a block by what dropout multiplies the probabilities by, which `kept_` holds.
template <class T>
void Worker<T>::drop(const Block& at, T* of) const {
  for (std::int64_t r = 0; r < at.rows; ++r) {
    const T* const kept = kept_ + r * ld_;
    T* const row = of + r * ld_;
    for_each_key(0, at.cols, [&](std::int64_t j) { row[j] *= kept[j]; });
  }
}

template <class T>
void Worker<T>::forward(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows,
                        const HeadMatrices<T>& out, T* largest, T* inverse) {
  const std::int64_t width = a_.value_width, kv = h / (a_.heads / a_.kv_heads);
  const Block all{b, h, query, rows, 0, a_.keys};
  const std::int64_t place = row_of(all);
  largest += place;
  inverse += place;
  std::fill_n(largest, rows, -std::numeric_limits<T>::infinity());
  std::fill_n(total_.begin(), rows, 0.0);
  take_queries(all);
  bool any = false;
  for (std::int64_t key = 0; key < a_.keys; key += most_keys) {
    const std::optional<Block> at = seen(b, h, query, rows, key);
    if (!at) continue;
    compute_scores(*at);
    kernel_.exponentials(score_rows(*at), {largest, total_.data(), factor_});
    for (std::int64_t r = 0; any && r < rows; ++r) {
      if (factor_[r] != T{1}) kernel_.scale(factor_[r], out.at(b, h, query + r), width);
    }
    if (a_.keep < 1) {
      for (std::int64_t r = 0; r < rows; ++r)
        dropout_factors(a_, place + r, at->key, at->cols, kept_ + r * ld_);
      drop(*at, scores_);
    }
    const T* const values = a_.v.at(b, kv, at->key);
    if (keys_ == nullptr) {
      for (std::int64_t r = 0; r < rows; ++r) {
        T* const to = out.at(b, h, query + r);
        if (!any) std::fill_n(to, width, T{0});
        kernel_.add_rows(scores_ + r * ld_, values, a_.v.row_step, at->cols, to, width);
      }
    } else {
      multiply<T>(rows, width, {scores_, ld_, 1}, {values, a_.v.row_step, panel_}, out.at(b, h, query),
                  out.row_step, any, over_keys(*at, width));
    }
    any = true;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const double total = total_[static_cast<std::size_t>(r)];
    T* const to = out.at(b, h, query + r);
    inverse[r] = total == 0 ? T{0} : static_cast<T>(1 / total);
    if (!(largest[r] - largest[r] == 0)) largest[r] = T{0};
    if (total == 0) {
      std::fill_n(to, width, T{0});
    } else {
      kernel_.scale(inverse[r], to, width);
    }
  }
}

template <class T>
void Worker<T>::backward(std::int64_t b, std::int64_t h, std::int64_t query, std::int64_t rows,
                         std::int64_t key, const HeadMatrices<const T>& g, const T* largest, const T* inverse,
                         const T* delta, const AttentionGradients<T>& to) {
  const std::optional<Block> seen_block = seen(b, h, query, rows, key);
  if (!seen_block) return;
  const Block at = *seen_block;
  const std::int64_t kv = kv_head(at), place = row_of(at);
  take_queries(at);
  compute_scores(at);
  multiply<T>(rows, round_up(at.cols, panel_), {g.at(b, h, query), g.row_step, 1},
              {values_ + at.key * a_.value_width, panel_, panel_ * a_.value_width}, slopes_, ld_, false,
              of_scores(at, a_.value_width));
  if (a_.keep < 1) {
    for (std::int64_t r = 0; r < rows; ++r) dropout_factors(a_, place + r, at.key, at.cols, kept_ + r * ld_);
    drop(at, slopes_);
  }
  // The gradient of a bias is that of the scores without their scale.
  const T scale = to.bias_apart ? T{1} : a_.scale;
  kernel_.score_gradients(score_rows(at), largest + place, inverse + place, delta + place, scale, slopes_);
  for (std::int64_t r = 0; to.bias_apart && r < rows; ++r) {
    if (to.bias != nullptr) std::copy_n(slopes_ + r * ld_, at.cols, to.bias + (place + r) * a_.keys + at.key);
    kernel_.scale(a_.scale, slopes_ + r * ld_, at.cols);
  }
  if (a_.keep < 1) drop(at, scores_);
  if (to.v.data != nullptr) {
    multiply<T>(at.cols, a_.value_width, {scores_, 1, ld_}, {g.at(b, h, query), g.row_step, panel_},
                to.v.at(b, kv, at.key), to.v.row_step, true, over_queries(at, a_.value_width));
  }
  if (to.k.data != nullptr) {
    multiply<T>(at.cols, a_.width, {slopes_, 1, ld_}, {a_.q.at(b, h, query), a_.q.row_step, panel_},
                to.k.at(b, kv, at.key), to.k.row_step, true, over_queries(at, a_.width));
  }
  if (to.q.data != nullptr) {
    multiply<T>(rows, a_.width, {slopes_, ld_, 1}, {a_.k.at(b, kv, at.key), a_.k.row_step, panel_},
                to.q.at(b, h, query), to.q.row_step, true, over_keys(at, a_.width));
  }
}

/// Runs f(worker, i) for each i below `items`, each of which takes so many multiply-adds.
template <class T, class F>
void for_items(const Attention<T>& a, std::int64_t items, std::int64_t work, bool backward, const F& f) {
  // Where keys are hidden some items take longer, so there are more chunks than threads.
  const std::int64_t most = threads() == 1 || items * work < 8 * parallel::grain ? 1 : 4 * threads();
  const std::int64_t chunks = std::min(items, most);
  parallel::for_chunks(chunks, [&](std::int64_t chunk) {
    Worker<T> worker(a, backward);
    for (std::int64_t i = items * chunk / chunks; i < items * (chunk + 1) / chunks; ++i) f(worker, i);
  });
}

}  // namespace

KeyRange Sight::range(std::int64_t b, std::int64_t query) const {
  const std::int64_t there = lengths == nullptr ? keys : lengths[b], own = place(b, query);
  const std::int64_t end = causal ? std::min(there, std::max<std::int64_t>(own + 1, 0)) : there;
  const std::int64_t start = starts == nullptr ? 0 : starts[b * queries + query];
  if (window == 0) return {start, end, 0};
  return {std::max<std::int64_t>(own - window + 1, start), std::clamp<std::int64_t>(own + window, 0, end),
          std::min(sinks, end)};
}

template <class T>
void dropout_factors(const Attention<T>& a, std::int64_t row, std::int64_t first, std::int64_t count,
                     T* out) {
  constexpr std::int64_t at_once = 64;           // places
  std::array<std::uint64_t, at_once> low, high;  // two words of 32 bits each
  const double bound = a.keep * 0x1p32;
  const T kept = static_cast<T>(1 / a.keep);
  const auto start = a.random.counter + static_cast<std::uint64_t>(row * dropout_places(a.keys));
  for (std::int64_t j = first; j < first + count;) {
    const std::int64_t place = j / 4, places = std::min(at_once, (first + count - 1) / 4 - place + 1);
    selected<T>().philox(a.random.seed, a.random.stream, start + static_cast<std::uint64_t>(place), places,
                         low.data(), high.data());
    for (const std::int64_t end = std::min(first + count, 4 * (place + places)); j < end; ++j) {
      const auto at = static_cast<std::size_t>(j / 4 - place);
      const auto word = static_cast<std::uint32_t>((j % 4 < 2 ? low : high)[at] >> (j % 2 * 32));
      *out++ = word < bound ? kept : T{0};
    }
  }
}

template <class T>
void attention(const Attention<T>& a, const HeadMatrices<T>& out, T* largest, T* inverse) {
  const std::int64_t block = balanced(a.queries, most_queries), blocks = (a.queries + block - 1) / block;
  for_items(a, a.batch * a.heads * blocks, block * a.keys * (a.width + a.value_width), false,
            [&](Worker<T>& worker, std::int64_t i) {
              const std::int64_t head = i / blocks, query = i % blocks * block;
              worker.forward(head / a.heads, head % a.heads, query, std::min(block, a.queries - query), out,
                             largest, inverse);
            });
}

template <class T>
void attention_backward(const Attention<T>& a, const HeadMatrices<const T>& g,
                        const HeadMatrices<const T>& out, const T* largest, const T* inverse,
                        const AttentionGradients<T>& gradients) {
  const std::int64_t block = balanced(a.queries, most_queries), blocks = (a.queries + block - 1) / block;
  const std::int64_t key_blocks = (a.keys + most_keys - 1) / most_keys, group = a.heads / a.kv_heads;
  const bool apart = gradients.bias_apart;
  const std::int64_t pairs = a.batch * a.kv_heads, rows = a.batch * a.heads * a.queries;
  Tensor deltas = Tensor::uninitialized({rows}, dtype_of<T>());  // of each row the sum of g out
  T* const delta = deltas.template mutable_data<T>();
  parallel::for_each(rows, a.value_width, [&](std::int64_t row) {
    const std::int64_t b = row / (a.heads * a.queries), h = row / a.queries % a.heads, i = row % a.queries;
    selected<T>().dots(g.at(b, h, i), 0, 1, out.at(b, h, i), 0, 1, a.value_width, delta + row, 1);
  });
  const auto run = [&](Worker<T>& worker, std::int64_t head, std::int64_t query_block, std::int64_t key_block,
                       const AttentionGradients<T>& to) {
    const std::int64_t query = query_block * block;
    worker.backward(head / a.heads, head % a.heads, query, std::min(block, a.queries - query),
                    key_block * most_keys, g, largest, inverse, delta, to);
  };
  // All queries that see the keys of one block.
  const auto by_keys = [&](Worker<T>& worker, std::int64_t pair, std::int64_t key_block,
                           const AttentionGradients<T>& to) {
    for (std::int64_t i = 0; i < group * blocks; ++i)
      run(worker, pair * group + i / blocks, i % blocks, key_block, to);
  };
  const std::int64_t work = 3 * block * a.keys * (a.width + a.value_width);
  if (pairs >= threads()) {
    for_items(a, pairs, work * group * blocks, true, [&](Worker<T>& worker, std::int64_t pair) {
      for (std::int64_t key_block = 0; key_block < key_blocks; ++key_block)
        by_keys(worker, pair, key_block, gradients);
    });
    return;
  }
  // With fewer heads than threads the scores are computed twice, and every sum runs in the same order.
  if (gradients.q.data != nullptr || gradients.bias != nullptr) {
    for_items(a, a.batch * a.heads * blocks, work, true, [&](Worker<T>& worker, std::int64_t i) {
      for (std::int64_t key_block = 0; key_block < key_blocks; ++key_block)
        run(worker, i / blocks, i % blocks, key_block,
            {.q = gradients.q, .bias = gradients.bias, .bias_apart = apart});
    });
  }
  if (gradients.k.data != nullptr || gradients.v.data != nullptr) {
    for_items(a, pairs * key_blocks, work * group * blocks / std::max<std::int64_t>(key_blocks, 1), true,
              [&](Worker<T>& worker, std::int64_t i) {
                by_keys(worker, i / key_blocks, i % key_blocks,
                        {.k = gradients.k, .v = gradients.v, .bias_apart = apart});
              });
  }
}

template <class T>
struct InstantiateAttention {
  [[maybe_unused]] static constexpr auto all =
      std::tuple(&dropout_factors<T>, &attention<T>, &attention_backward<T>);
};
template struct InstantiateAttention<float>;
template struct InstantiateAttention<double>;

}  // namespace gradus::kernels
