#pragma once

#include <string>
#include <vector>

#include "autograd/module_path.hpp"
#include "nn/embedding.hpp"
#include "nn/init.hpp"
#include "tensor/support/function_ref.hpp"

/// What the recurrent layers share.
namespace gradus::nn {

struct RecurrentOptions {
  int layers = 1;
  /// Dropout between layers, when a generator is given to the call.
  double dropout = 0;
};

/// The weights of one layer, named and laid out as PyTorch's; `gates` rows of `width` for each gate.
struct RecurrentWeights {
  Parameter weight_ih;  // (gates * width, in)
  Parameter weight_hh;  // (gates * width, width)
  Parameter bias_ih;    // (gates * width)
  Parameter bias_hh;    // (gates * width)

  /// Uniform within 1/sqrt(width), as PyTorch.
  RecurrentWeights(Rng& rng, std::int64_t gates, std::int64_t in, std::int64_t width);
};

/// The weights of all layers; throws ArgumentError for widths or layers below 1.
std::vector<RecurrentWeights> recurrent_layers(const char* module, Rng& rng, std::int64_t gates,
                                               std::int64_t in, std::int64_t width,
                                               const RecurrentOptions& options);

/// Visits the layers' parameters as weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_ih_l1, ...
template <class Layers, class Visit>
void visit_layers(Layers& layers, Visit&& visit) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string suffix = "_l" + std::to_string(i);
    visit("weight_ih" + suffix, layers[i].weight_ih);
    visit("weight_hh" + suffix, layers[i].weight_hh);
    visit("bias_ih" + suffix, layers[i].bias_ih);
    visit("bias_hh" + suffix, layers[i].bias_hh);
  }
}

/// Throws ShapeError unless x is (time, batch, in) with time > 0 and each state (layers, batch, width).
void check_sequence(const char* module, const Variable& x, std::int64_t in, const Variable& state,
                    std::int64_t layers, std::int64_t width, Where where);
/// The same for ids, (time, batch), and their embeddings.
void check_tokens(const char* module, const Embedding& embedding, const Indices& ids, std::int64_t in,
                  const Variable& state, std::int64_t layers, std::int64_t width, Where where);
/// True when projecting every embedding is less work than projecting those of all ids.
bool projects_table(const Embedding& embedding, const Indices& ids);

}  // namespace gradus::nn
