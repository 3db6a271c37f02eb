#include "models/run/extend.hpp"

#include <cmath>

#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

/// Rows of `from`, then as many as are missing: each the row of the unknown token or, without one, those of
/// `fresh`. What stands behind the vocabulary, such as the vector of padding, stays the last.
Tensor extended(const Tensor& from, const Tensor& fresh, std::int64_t vocab, std::int32_t unknown) {
  const std::int64_t added = fresh.dim(0) - from.dim(0);
  std::vector<Tensor> parts{slice(from, 0, 0, vocab)};
  if (unknown < 0) {
    parts.push_back(slice(fresh, 0, vocab, vocab + added));
  } else {
    const Tensor row = slice(from, 0, unknown, unknown + 1);
    for (std::int64_t i = 0; i < added; ++i) parts.push_back(row);
  }
  if (from.dim(0) > vocab) parts.push_back(slice(from, 0, vocab, from.dim(0)));
  return concat(parts, 0);
}

}  // namespace

Safetensors extended_weights(const ErasedNetwork& from, const ErasedNetwork& larger, std::int32_t unknown) {
  const std::int64_t vocab = from.options().vocab, added = larger.options().vocab - vocab;
  if (!from.options().cutoffs.empty())
    fail<ArgumentError>("a network with an adaptive softmax takes no further tokens");
  Safetensors out = from.weights();
  const Safetensors fresh = larger.weights();
  for (auto& [name, value] : out.tensors) {
    const auto found = fresh.tensors.find(name);
    if (found == fresh.tensors.end()) fail<ArgumentError>("the larger network has no parameter {}", name);
    const Tensor& wanted = found->second;
    if (value.shape() == wanted.shape()) continue;
    const bool grows = value.rank() == wanted.rank() && value.rank() >= 1 && value.dim(0) >= vocab &&
                       wanted.dim(0) == value.dim(0) + added;
    if (!grows)
      fail<ArgumentError>("{}: shape {} in one network, {} in the larger one", name, value.shape(),
                          wanted.shape());
    value = extended(value, wanted.to(value.dtype()), vocab, unknown);
    // Of a bias: the probability of the unknown token is divided among it and the new ones.
    if (value.rank() == 1 && unknown >= 0) {
      const double share = std::log(static_cast<double>(added + 1));
      std::vector<double> shift(static_cast<std::size_t>(value.size()), 0);
      shift[static_cast<std::size_t>(unknown)] = share;
      for (std::int64_t i = vocab; i < vocab + added; ++i) shift[static_cast<std::size_t>(i)] = share;
      value = value - Tensor::from(shift, value.shape()).to(value.dtype());
    }
  }
  return out;
}

}  // namespace gradus::models
