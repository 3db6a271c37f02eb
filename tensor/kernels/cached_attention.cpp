#include "tensor/kernels/cached_attention.hpp"

#include <algorithm>
#include <limits>

#include "tensor/kernels/kernels.hpp"
#include "tensor/support/blocks.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::kernels {

namespace {

/// The queries of the heads that share a head of keys and values: `group` heads of them, one below the other.
template <class T>
class CachedWorker {
 public:
  explicit CachedWorker(const CachedAttention<T>& attention)
      : a_(attention),
        rows_(a_.heads / a_.kv_heads * a_.queries),
        begin_(static_cast<std::size_t>(rows_)),
        end_(begin_.size()),
        total_(begin_.size()) {
    for (const CachedPiece<T>& piece : a_.pieces) keys_ += piece.count;
    ld_ = gradus::detail::round_up(keys_, 16) + 16;  // whole registers, and no multiple of a large power of 2
    const std::int64_t queries = a_.sink_q.data == nullptr ? 1 : 2;
    memory_ = Tensor::uninitialized({rows_ * (ld_ + queries * a_.width + 2)}, dtype_of<T>());
    scores_ = memory_.template mutable_data<T>();
    largest_ = scores_ + rows_ * ld_;
    factor_ = largest_ + rows_;
    queries_ = factor_ + rows_;
    if (queries == 2) sink_queries_ = queries_ + rows_ * a_.width;
  }

  void run(std::int64_t b, std::int64_t kv) {
    take_queries(a_.q, b, kv, queries_);
    if (sink_queries_ != nullptr) take_queries(a_.sink_q, b, kv, sink_queries_);
    std::int64_t key = 0;
    for (const CachedPiece<T>& piece : a_.pieces) {
      const std::int64_t sinks =
          sink_queries_ == nullptr ? 0 : std::clamp<std::int64_t>(a_.sinks - key, 0, piece.count);
      const T* const keys = at(piece, piece.keys, b, kv);
      multiply(sink_queries_, keys, sinks, key);
      multiply(queries_, keys + sinks * a_.width, piece.count - sinks, key + sinks);
      key += piece.count;
    }
    for (std::int64_t row = 0; row < rows_; ++row) take_range(row);
    std::fill_n(largest_, rows_, -std::numeric_limits<T>::infinity());
    std::fill(total_.begin(), total_.end(), 0.0);
    kernel_.exponentials({scores_, ld_, rows_, keys_, begin_.data(), end_.data()},
                         {largest_, total_.data(), factor_});
    for (std::int64_t row = 0; row < rows_; ++row) write(b, kv, row);
  }

 private:
  std::int64_t head_of(std::int64_t kv, std::int64_t row) const {
    return kv * (a_.heads / a_.kv_heads) + row / a_.queries;
  }
  const T* at(const CachedPiece<T>& piece, const T* of, std::int64_t b, std::int64_t kv) const {
    return of + b * piece.batch_step + kv * piece.head_step;
  }
  void take_queries(const HeadMatrices<const T>& from, std::int64_t b, std::int64_t kv, T* to) {
    for (std::int64_t row = 0; row < rows_; ++row)
      std::copy_n(from.at(b, head_of(kv, row), row % a_.queries), a_.width, to + row * a_.width);
    kernel_.scale(a_.scale, to, rows_ * a_.width);
  }
  /// The scores of `count` keys, of which the first is number `key` of all.
  void multiply(const T* queries, const T* keys, std::int64_t count, std::int64_t key) {
    if (count == 0) return;
    kernel_.dots(queries, a_.width, rows_, keys, a_.width, count, a_.width, scores_ + key, ld_);
  }
  /// Which keys a row sees; the scores between the sinks and the window become -infinity.
  void take_range(std::int64_t row) {
    const std::int64_t end = keys_ - a_.queries + row % a_.queries + 1;
    const std::int64_t first = a_.window == 0 ? 0 : std::max<std::int64_t>(end - a_.window, 0);
    const std::int64_t sinks = std::min(a_.sinks, first);
    begin_[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(sinks > 0 ? 0 : first);
    end_[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(end);
    T* const scores = scores_ + row * ld_;
    if (sinks > 0) std::fill(scores + sinks, scores + first, -std::numeric_limits<T>::infinity());
  }
  void write(std::int64_t b, std::int64_t kv, std::int64_t row) {
    T* const to = a_.out.at(b, head_of(kv, row), row % a_.queries);
    std::fill_n(to, a_.width, T{0});
    const T* scores = scores_ + row * ld_;
    for (const CachedPiece<T>& piece : a_.pieces) {
      kernel_.add_rows(scores, at(piece, piece.values, b, kv), a_.width, piece.count, to, a_.width);
      scores += piece.count;
    }
    kernel_.scale(static_cast<T>(1 / total_[static_cast<std::size_t>(row)]), to, a_.width);
  }

  const CachedAttention<T>& a_;
  const Kernels<T>& kernel_ = selected<T>();
  std::int64_t rows_, keys_ = 0, ld_ = 0;
  storage::PoolVector<std::int32_t> begin_, end_;  // (rows)
  storage::PoolVector<double> total_;              // (rows)
  Tensor memory_;
  T *scores_ = nullptr, *queries_ = nullptr, *sink_queries_ = nullptr, *largest_ = nullptr,
    *factor_ = nullptr;
};

/// Of a head of keys and values.
template <class T>
std::int64_t work_of(const CachedAttention<T>& a) {
  std::int64_t keys = 0;
  for (const CachedPiece<T>& piece : a.pieces) keys += piece.count;
  return a.heads / a.kv_heads * a.queries * keys * a.width / 4 + 1;
}

}  // namespace

template <class T>
void cached_attention(std::span<const CachedAttention<T>> calls) {
  std::int64_t items = 0, work = 0;
  for (const CachedAttention<T>& a : calls) {
    items += a.batch * a.kv_heads;
    work += a.batch * a.kv_heads * work_of(a);
  }
  parallel::for_range(items, work / std::max<std::int64_t>(items, 1),
                      [&](std::int64_t begin, std::int64_t end) {
                        std::int64_t first = 0;  // item of a call
                        for (const CachedAttention<T>& a : calls) {
                          const std::int64_t behind = first + a.batch * a.kv_heads;
                          if (begin < behind && first < end) {
                            CachedWorker<T> worker(a);
                            for (std::int64_t i = std::max(begin, first); i < std::min(end, behind); ++i)
                              worker.run((i - first) / a.kv_heads, (i - first) % a.kv_heads);
                          }
                          first = behind;
                        }
                      });
}
template void cached_attention(std::span<const CachedAttention<float>>);
template void cached_attention(std::span<const CachedAttention<double>>);

}  // namespace gradus::kernels
