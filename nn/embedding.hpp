#pragma once

#include <optional>

#include "autograd/module_path.hpp"
#include "autograd/ops/indexing.hpp"
#include "nn/init.hpp"

namespace gradus::nn {

struct EmbeddingOptions {
  /// The id of padding: its vector is 0 at first, and looking it up gives it no gradient. The row is not
  /// among the gradient's rows, so a step does not change it, by decay or momentum either; but one does where
  /// the table is an output's too (TiedLinear), or the rule takes a parameter as a whole (Adafactor, Muon). A
  /// negative one counts from the end.
  std::optional<std::int64_t> padding = {};
  /// The standard deviation of the initial values.
  double deviation = 1;
};

/// A vector for each id: ids of any shape to (ids' shape, width). Initial values are normal with standard
/// deviation 1, as PyTorch's. The gradient is row-sparse.
///
/// An output layer that shares the table (Press and Wolf 2017) is `linear(h, embed.weight, bias)`, or a
/// TiedLinear. The module that holds the embedding lists it once, so it is counted and saved once, and its
/// gradients of both uses add up.
struct Embedding {
  Parameter weight;                     // (count, width)
  std::optional<std::int64_t> padding;  // from 0

  /// Throws ArgumentError for sizes below 1, a padding that is no id, or a deviation that is negative or not
  /// finite.
  Embedding(Rng& rng, std::int64_t count, std::int64_t width, const EmbeddingOptions& options = {});

  /// Throws ShapeError naming an id out of range.
  Variable operator()(const Indices& ids, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) { visit("weight", self.weight); }
};

/// The embedding with whole rows of its table dropped, the same at every place of an id, and the others
/// multiplied by 1 / (1 - rate) (Gal and Ghahramani 2016; Merity, Keskar and Socher 2018, section 4.3). The
/// gradient is row-sparse. See nn/dropout.hpp.
Variable embedding_dropout(const Embedding& embedding, const Indices& ids, double rate, Rng* rng,
                           Where where = Where::here());

/// The output layer that shares an embedding's table: x E^T + b, (..., width) to (..., count). It has the
/// bias alone:
///
///   visit("embed", self.embed);
///   visit("head", self.head);                   // made as head(rng, embed)
///   ...
///   return head(h, embed);
struct TiedLinear {
  Parameter bias;  // (count)

  /// The bias is uniform within 1/sqrt(width), as Linear's.
  TiedLinear(Rng& rng, const Embedding& embedding);
  /// Throws ShapeError for an embedding of another number of ids, or as linear does.
  Variable operator()(const Variable& x, const Embedding& embedding, Where where = Where::here()) const;

  static void members(auto& self, auto&& visit) { visit("bias", self.bias); }
};

}  // namespace gradus::nn
