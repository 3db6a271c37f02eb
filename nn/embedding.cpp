#include "nn/embedding.hpp"

#include <cmath>
#include <vector>

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/elementwise.hpp"
#include "autograd/ops/matmul.hpp"
#include "autograd/ops/movement.hpp"
#include "autograd/record.hpp"
#include "nn/dropout.hpp"
#include "tensor/ops.hpp"

namespace gradus::nn {

namespace {

/// gather_rows of a table in which one row stays as it is.
Variable gather_but_padding(const Variable& table, const Indices& ids, std::int64_t padding, Where where) {
  const InOp op("embedding", where);
  Tensor value = gather_rows(table.value(), ids);
  const std::int64_t height = table.dim(0), width = table.dim(1);
  const auto scattered = [ids, height, padding](const Variable& g) {
    Tensor mask = zeros(ids.shape().inserted(ids.rank(), 1), g.dtype());  // (ids' shape, 1)
    visit_dtype(g.dtype(), [&](auto tag) {
      using T = decltype(tag);
      T* const to = mask.mutable_data<T>();
      for (std::int64_t i = 0; i < ids.size(); ++i) to[i] = ids.data()[i] == padding ? T{1} : T{0};
    });
    return scatter_rows(masked_fill(g, mask, 0), ids, height);
  };
  const auto rows = [ids, height, width, padding](const Tensor& g) {
    storage::PoolVector<std::int32_t> kept, at;
    for (std::int64_t i = 0; i < ids.size(); ++i) {
      if (ids.data()[i] == padding) continue;
      kept.push_back(ids.data()[i]);
      at.push_back(static_cast<std::int32_t>(i));
    }
    const Tensor values = gather_rows(g.reshape({ids.size(), width}), Indices::from_pool(std::move(at)));
    return Rows{Indices::from_pool(std::move(kept)), values, height};
  };
  return record(op, std::move(value), wrt(table, scattered, rows));
}

}  // namespace

Embedding::Embedding(Rng& rng, std::int64_t count, std::int64_t width, const EmbeddingOptions& options) {
  if (count < 1 || width < 1)
    fail<ArgumentError>("Embedding: {} vectors of width {}; both must be at least 1", count, width);
  if (!(options.deviation >= 0 && std::isfinite(options.deviation)))
    fail<ArgumentError>("Embedding: a deviation of {}; it must be finite and not negative",
                        options.deviation);
  weight = Parameter(normal(rng, {count, width}, options.deviation));
  if (!options.padding) return;
  padding = *options.padding < 0 ? *options.padding + count : *options.padding;
  if (*padding < 0 || *padding >= count)
    fail<ArgumentError>("Embedding: a padding of {} among {} ids", *options.padding, count);
  std::fill_n(weight.mutable_value().mutable_data<float>() + *padding * width, width, 0.0F);
}

Variable Embedding::operator()(const Indices& ids, Where where) const {
  const InModule here(*this);
  return padding ? gather_but_padding(weight, ids, *padding, where) : gather_rows(weight, ids, where);
}

Variable embedding_dropout(const Embedding& embedding, const Indices& ids, double rate, Rng* rng,
                           Where where) {
  detail::check_rate("embedding_dropout", rate);
  Variable out = embedding(ids, where);
  if (rng == nullptr || rate == 0) return out;
  const Tensor mask = rng->bernoulli({embedding.weight.dim(0), 1}, 1 - rate, 1 / (1 - rate), out.dtype());
  return out * gather_rows(mask, ids);
}

TiedLinear::TiedLinear(Rng& rng, const Embedding& embedding)
    : bias(uniform(rng, {embedding.weight.dim(0)},
                   1 / std::sqrt(static_cast<double>(embedding.weight.dim(1))))) {}

Variable TiedLinear::operator()(const Variable& x, const Embedding& embedding, Where where) const {
  const InModule here(*this);
  return linear(x, embedding.weight, bias, where);
}

}  // namespace gradus::nn
