#include "nn/key_values.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <utility>

#include "autograd/ops/attention.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "tensor/kernels/cached_attention.hpp"
#include "tensor/ops.hpp"
#include "tensor/storage.hpp"

namespace gradus::nn {

namespace {

constexpr std::int64_t few_queries = 8;  // up to here the blocks are read where they lie

/// Copies tokens of (batch, time, heads, width) to (batch, heads, block_tokens, width), or back.
template <class From, class To>
void move_tokens(const From& from, const To& to, const Shape& tokens) {
  const std::int64_t width = tokens[3];
  for (std::int64_t b = 0; b < tokens[0]; ++b) {
    for (std::int64_t t = 0; t < tokens[1]; ++t) {
      for (std::int64_t h = 0; h < tokens[2]; ++h) std::copy_n(from(b, t, h), width, to(b, t, h));
    }
  }
}

}  // namespace

/// (batch, heads, block_tokens, width) each: the tokens of a head side by side, as attention reads them.
struct KeyValues::Block {
  Tensor keys, values;
  /// How many tokens somebody has written. Who has all of them may write behind them; others take a copy.
  std::atomic<std::int64_t> filled{0};

  explicit Block(const Shape& token, Dtype dtype)
      : keys(Tensor::uninitialized({token[0], token[2], block_tokens, token[3]}, dtype)),
        values(Tensor::uninitialized_like(keys)) {}
  /// A copy of the first `count` tokens.
  Block(const Block& other, std::int64_t count)
      : keys(Tensor::uninitialized_like(other.keys)), values(Tensor::uninitialized_like(other.keys)) {
    visit_dtype(keys.dtype(), [&](auto tag) {
      using T = decltype(tag);
      for (const auto& [from, to] : {std::pair{&other.keys, &keys}, {&other.values, &values}}) {
        const T* const source = from->template data<T>();
        T* const target = to->template mutable_data<T>();
        for (std::int64_t head = 0; head < keys.dim(0) * keys.dim(1); ++head)
          std::copy_n(source + head * head_step(), count * keys.dim(3), target + head * head_step());
      }
    });
  }

  std::int64_t batch_step() const { return keys.dim(1) * head_step(); }
  std::int64_t head_step() const { return block_tokens * keys.dim(3); }
  /// Where a token stands.
  std::int64_t place(std::int64_t b, std::int64_t h, std::int64_t token) const {
    return b * batch_step() + h * head_step() + token * keys.dim(3);
  }
};

std::int64_t KeyValues::size() const {
  if (keys_.value().defined()) return keys_.dim(1);
  std::int64_t count = 0;
  for (const Part& part : parts_) count += part.end - part.begin;
  return count;
}

Variable KeyValues::keys() const {
  return keys_.value().defined() ? keys_ : Variable(together(true));
}
Variable KeyValues::values() const {
  return values_.value().defined() ? values_ : Variable(together(false));
}

void KeyValues::append(const Variable& keys, const Variable& values) {
  if (recording()) {
    const bool first = size() == 0;
    Variable all_keys = first ? keys : concat({this->keys(), keys}, 1);
    values_ = first ? values : concat({this->values(), values}, 1);
    keys_ = std::move(all_keys);
    parts_.clear();
    return;
  }
  if (keys_.value().defined()) {
    append_blocks(keys_.value(), values_.value());
    keys_ = values_ = Variable();
  }
  append_blocks(keys.value(), values.value());
}

/// Takes room for up to `count` tokens behind the last part, whose number it gives.
std::int64_t KeyValues::take_room(const Tensor& like, std::int64_t count) {
  if (parts_.empty() || parts_.back().end == block_tokens)
    parts_.push_back({std::make_shared<Block>(like.shape(), like.dtype()), 0, 0});
  Part& part = parts_.back();
  const std::int64_t before = part.end;
  part.end = std::min(before + count, block_tokens);
  std::int64_t expected = before;
  if (!part.block->filled.compare_exchange_strong(expected, part.end)) {
    // Another copy has gone on from here.
    part.block = std::make_shared<Block>(*part.block, before);
    part.block->filled = part.end;
  }
  return part.end - before;
}

void KeyValues::append_blocks(const Tensor& keys, const Tensor& values) {
  if (!parts_.empty()) {
    const Tensor& last = parts_.back().block->keys;
    const Shape wanted{last.dim(0), keys.dim(1), last.dim(1), last.dim(3)};
    if (keys.shape() != wanted || values.shape() != wanted || keys.dtype() != last.dtype()) {
      fail<ShapeError>("KeyValues: keys of shape {} and values of shape {}; they must be {}", keys.shape(),
                       values.shape(), wanted);
    }
  }
  const std::int64_t count = keys.dim(1);
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t some = take_room(keys, count - done);
    const Part& part = parts_.back();
    const std::int64_t before = part.end - some;
    visit_dtype(keys.dtype(), [&](auto tag) {
      using T = decltype(tag);
      for (const auto& [from, to] : {std::pair{&keys, &part.block->keys}, {&values, &part.block->values}}) {
        const T* const source = from->template data<T>();
        T* const target = to->template mutable_data<T>();
        const std::int64_t heads = keys.dim(2), width = keys.dim(3);
        move_tokens([&](std::int64_t b, std::int64_t t,
                        std::int64_t h) { return source + ((b * count + done + t) * heads + h) * width; },
                    [&](std::int64_t b, std::int64_t t, std::int64_t h) {
                      return target + part.block->place(b, h, before + t);
                    },
                    {keys.dim(0), some, heads, width});
      }
    });
    done += some;
  }
}

/// (batch, time, heads, width)
Tensor KeyValues::together(bool of_keys) const {
  if (parts_.empty()) return {};
  const Tensor& like = parts_.front().block->keys;
  const std::int64_t batch = like.dim(0), heads = like.dim(1), width = like.dim(3), count = size();
  Tensor out = Tensor::uninitialized({batch, count, heads, width}, like.dtype());
  visit_dtype(like.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* const target = out.mutable_data<T>();
    std::int64_t done = 0;
    for (const Part& part : parts_) {
      const Block& block = *part.block;
      const T* const source = (of_keys ? block.keys : block.values).template data<T>();
      move_tokens([&](std::int64_t b, std::int64_t t,
                      std::int64_t h) { return source + block.place(b, h, part.begin + t); },
                  [&](std::int64_t b, std::int64_t t, std::int64_t h) {
                    return target + ((b * count + done + t) * heads + h) * width;
                  },
                  {batch, part.end - part.begin, heads, width});
      done += part.end - part.begin;
    }
  });
  return out;
}

/// Calls of cached_attention over one tensor of queries, with the pieces that they read.
template <class T>
class KeyValues::Calls {
 public:
  /// `count` queries for each of so many entries.
  Calls(const Variable& queries, const CacheSight& sight, std::int64_t count, std::size_t calls, T* to)
      : queries_(queries.value()), sight_(sight), count_(count), to_(to), pieces_(calls) {
    all_.reserve(calls);
  }
  /// Of the entries from `first` on.
  void add(const KeyValues& of, std::int64_t first) {
    const Tensor& like = of.parts_.front().block->keys;
    const std::int64_t heads = queries_.dim(2), width = queries_.dim(3), step = count_ * heads * width;
    auto& pieces = pieces_[all_.size()];
    pieces.reserve(of.parts_.size());
    for (const Part& part : of.parts_) {
      const Block& block = *part.block;
      const std::int64_t skipped = part.begin * width;
      pieces.push_back({block.keys.template data<T>() + skipped, block.values.template data<T>() + skipped,
                        block.batch_step(), block.head_step(), part.end - part.begin});
    }
    const auto in = [&]<class U>(U* data) {
      return kernels::HeadMatrices<U>{data + first * step, step, width, heads * width};
    };
    const Tensor& for_sinks = sight_.sink_queries.value();
    all_.push_back(
        {.batch = like.dim(0),
         .heads = heads,
         .kv_heads = like.dim(1),
         .queries = count_,
         .width = width,
         .q = in(queries_.data<T>()),
         .out = in(to_),
         .pieces = pieces,
         .scale = static_cast<T>(1 / std::sqrt(static_cast<double>(width))),
         .window = sight_.window,
         .sinks = sight_.sinks,
         .sink_q = for_sinks.defined() ? in(for_sinks.data<T>()) : decltype(in(queries_.data<T>())){}});
  }
  void run() const { kernels::cached_attention<T>(all_); }

 private:
  const Tensor& queries_;
  const CacheSight& sight_;
  std::int64_t count_;
  T* to_;
  storage::PoolVector<storage::PoolVector<kernels::CachedPiece<T>>> pieces_;
  storage::PoolVector<kernels::CachedAttention<T>> all_;
};

void KeyValues::check_queries(const Variable& queries, std::int64_t batch, std::int64_t count) const {
  const Tensor& like = parts_.front().block->keys;
  if (batch != like.dim(0) || queries.dim(2) % like.dim(1) != 0 || queries.dim(3) != like.dim(3) ||
      count > size() || queries.dtype() != like.dtype()) {
    fail<ShapeError>("KeyValues: queries of shape {} for keys of shape {}", queries.shape(),
                     Shape{like.dim(0), size(), like.dim(1), like.dim(3)});
  }
}

/// By keys side by side. Queries for sinks stand beside the others, and the keys of each in columns of their
/// own, so that one product takes each key by its own.
Variable KeyValues::attend_together(const Variable& queries, const CacheSight& sight) const {
  AttentionOptions how{.causal = true,
                       .window = sight.window,
                       .sinks = sight.window == 0 ? 0 : sight.sinks,
                       .time_first = true};
  const Variable all = keys();
  const std::int64_t sinks = all.value().defined() ? std::min(how.sinks, all.dim(1)) : 0;
  if (!sight.sink_queries.value().defined() || sinks == 0) return attention(queries, all, values(), how);
  how.scale = 1 / std::sqrt(static_cast<double>(queries.dim(3)));
  const std::int64_t count = all.dim(1);
  const auto hidden = [&](std::int64_t tokens) {
    return Variable(zeros(all.shape().with(1, tokens), all.dtype()));
  };
  const Variable by_place = concat({hidden(sinks), slice(all, 1, sinks, count)}, 1),
                 by_sinks = concat({slice(all, 1, 0, sinks), hidden(count - sinks)}, 1);
  return attention(concat({queries, sight.sink_queries}, 3), concat({by_place, by_sinks}, 3), values(), how);
}

Variable KeyValues::attend(const Variable& queries, const CacheSight& sight) const {
  const std::int64_t count = queries.dim(1);
  if (parts_.empty() || recording() || count > few_queries) return attend_together(queries, sight);
  check_queries(queries, queries.dim(0), count);
  Tensor out = Tensor::uninitialized_like(queries.value());
  visit_dtype(out.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Calls<T> calls(queries, sight, count, 1, out.mutable_data<T>());
    calls.add(*this, 0);
    calls.run();
  });
  return Variable(std::move(out));
}

void KeyValues::append_each(std::span<KeyValues> texts, const Variable& keys, const Variable& values) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    texts[i].append(slice(keys, 1, at, at + 1), slice(values, 1, at, at + 1));
  }
}

Variable KeyValues::attend_each(std::span<const KeyValues> texts, const Variable& queries,
                                const CacheSight& sight) {
  if (queries.rank() != 4 || queries.dim(0) != 1 || queries.dim(1) != std::ssize(texts))
    fail<ShapeError>("KeyValues: queries of shape {} for {} texts", queries.shape(), texts.size());
  const bool in_blocks =
      !recording() && std::ranges::none_of(texts, [](const KeyValues& text) { return text.parts_.empty(); });
  if (!in_blocks) {
    std::vector<Variable> parts;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto own = [&](const Variable& x) {
        return x.value().defined()
                   ? slice(x, 1, static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1)
                   : Variable();
      };
      parts.push_back(texts[i].attend(own(queries), {sight.window, sight.sinks, own(sight.sink_queries)}));
    }
    return concat(parts, 1);
  }
  Tensor out = Tensor::uninitialized_like(queries.value());
  visit_dtype(out.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Calls<T> calls(queries, sight, 1, texts.size(), out.mutable_data<T>());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      texts[i].check_queries(queries, 1, 1);
      calls.add(texts[i], static_cast<std::int64_t>(i));
    }
    calls.run();
  });
  return Variable(std::move(out));
}

void KeyValues::keep_last(std::int64_t count, std::int64_t sinks) {
  const std::int64_t all = size();
  if (all <= count + sinks) return;
  if (keys_.value().defined()) {
    const auto kept = [&](const Variable& x) {
      const Variable last = slice(x, 1, all - count, all);
      return sinks == 0 ? last : concat({slice(x, 1, 0, sinks), last}, 1);
    };
    keys_ = kept(keys_);
    values_ = kept(values_);
    return;
  }
  std::vector<Part> kept;
  std::int64_t place = 0;
  const auto take = [&](const Part& part, std::int64_t from, std::int64_t to) {  // of all places
    const std::int64_t begin = std::max(from - place, std::int64_t{0}) + part.begin;
    const std::int64_t end = std::min(to - place, part.end - part.begin) + part.begin;
    if (begin < end) kept.push_back({part.block, begin, end});
  };
  for (const Part& part : parts_) {
    take(part, 0, sinks);
    take(part, all - count, all);
    place += part.end - part.begin;
  }
  parts_ = std::move(kept);
}

KeyValues KeyValues::detached() const {
  KeyValues out = *this;
  if (keys_.value().defined()) {
    out.keys_ = detach(keys_);
    out.values_ = detach(values_);
  }
  return out;
}

}  // namespace gradus::nn
