#include "nn/recurrent.hpp"

#include <cmath>

namespace gradus::nn {

RecurrentWeights::RecurrentWeights(Rng& rng, std::int64_t gates, std::int64_t in, std::int64_t width) {
  const double bound = 1 / std::sqrt(static_cast<double>(width));
  weight_ih = Parameter(uniform(rng, {gates * width, in}, bound));
  weight_hh = Parameter(uniform(rng, {gates * width, width}, bound));
  bias_ih = Parameter(uniform(rng, {gates * width}, bound));
  bias_hh = Parameter(uniform(rng, {gates * width}, bound));
}

std::vector<RecurrentWeights> recurrent_layers(const char* module, Rng& rng, std::int64_t gates,
                                               std::int64_t in, std::int64_t width,
                                               const RecurrentOptions& options) {
  if (in < 1 || width < 1 || options.layers < 1) {
    fail<ArgumentError>("{}: {} layers of width {} over inputs of width {}; all must be at least 1", module,
                        options.layers, width, in);
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    fail<ArgumentError>("{}: dropout of {}; it must be at least 0 and below 1", module, options.dropout);
  }
  std::vector<RecurrentWeights> layers;
  for (int i = 0; i < options.layers; ++i) layers.emplace_back(rng, gates, i == 0 ? in : width, width);
  return layers;
}

void check_sequence(const char* module, const Variable& x, std::int64_t in, const Variable& state,
                    std::int64_t layers, std::int64_t width, Where where) {
  if (x.rank() != 3 || x.dim(0) < 1 || x.dim(2) != in) {
    fail<ShapeError>("{} at {}: the input has shape {}; it must be (time, batch, {}) with at least one step",
                     module, where.text(), x.shape(), in);
  }
  const Shape wanted{layers, x.dim(1), width};
  if (state.shape() != wanted) {
    fail<ShapeError>("{} at {}: a state of shape {}; it must be (layers, batch, width), here {}", module,
                     where.text(), state.shape(), wanted);
  }
}

void check_tokens(const char* module, const Embedding& embedding, const Indices& ids, std::int64_t in,
                  const Variable& state, std::int64_t layers, std::int64_t width, Where where) {
  if (ids.rank() != 2 || ids.dim(0) < 1 || embedding.weight.dim(1) != in) {
    fail<ShapeError>(
        "{} at {}: ids of shape {} with embeddings of width {}; they must be (time, batch) with at least one "
        "step, and the width {}",
        module, where.text(), ids.shape(), embedding.weight.dim(1), in);
  }
  const Shape wanted{layers, ids.dim(1), width};
  if (state.shape() != wanted) {
    fail<ShapeError>("{} at {}: a state of shape {}; it must be (layers, batch, width), here {}", module,
                     where.text(), state.shape(), wanted);
  }
}

bool projects_table(const Embedding& embedding, const Indices& ids) {
  return embedding.weight.dim(0) < ids.size();
}

}  // namespace gradus::nn
