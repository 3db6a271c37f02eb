#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/freeze.hpp"
#include "nn/linear.hpp"
#include "tensor/safetensors.hpp"

/// Low-rank adaptation (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv
/// 2106.09685) of the linear layers of any model: a trained weight W stays as it is, and what is learned is a
/// product of low rank that is added to it,
///   y = x (W + alpha / rank B A)^T + b,   A: (rank, in), B: (out, rank)
///
///   nn::add_lora(rng, model, {"*.c_attn", "*.c_proj"}, {.rank = 8, .alpha = 16});
///   models::train(model, tokens, options);           // nothing but A and B of these layers
///   nn::save_lora("adapters.safetensors", model);    // A and B alone
///   nn::merge_lora(model);                           // an ordinary model, as fast as before
///
/// What it computes and what things are called is as in Hugging Face's PEFT, whose files of adapters are read
/// too.
namespace gradus::nn {

struct LoraOptions {
  std::int64_t rank = 8;
  /// The product is multiplied by alpha / rank.
  double alpha = 16;
  /// The rate at which an adapter drops elements of its input in training (LoraDropout in
  /// nn/lora_adapter.hpp).
  double dropout = 0;
  /// Whether all other parameters of the model become constants (autograd/freeze.hpp). Otherwise they stay
  /// what they were.
  bool freeze_rest = true;
};

/// What became of a model.
struct LoraReport {
  std::vector<std::string> layers;  // the paths of those with a new adapter
  std::int64_t trained = 0;         // numbers that are trained now, in the whole model
  std::int64_t parameters = 0;      // and all of them
};

struct LoraFileOptions {
  /// What stands before the names in the file: of PEFT's adapters of a GPT-2
  /// "base_model.model.transformer.", of a Llama "base_model.model.model.".
  std::string prefix{};
  /// In place of the file's, which PEFT keeps in a file of its own.
  std::optional<double> alpha{};
  double dropout = 0;
  bool freeze_rest = true;
};

namespace detail {

/// A linear layer of a model, and its path; const or not.
template <class Layer>
struct LinearAt {
  std::string path;
  Layer* layer;
};
using LinearLayers = std::vector<LinearAt<Linear>>;
using ConstLinearLayers = std::vector<LinearAt<const Linear>>;

/// Collects the linear layers of a model, as a visitor of its parts.
template <class Layer>
struct FindLinears {
  template <class Part>
  static constexpr bool takes_whole = std::derived_from<Part, Linear>;
  std::vector<LinearAt<Layer>>& found;

  template <class Part>
  void operator()(const std::string& path, Part& part) const {
    if constexpr (takes_whole<std::remove_const_t<Part>>) {
      if (part.weight.value().defined()) found.push_back({path, &part});
    }
  }
};
template <class M>
auto linears_of(M& model) {
  using Layer = std::conditional_t<std::is_const_v<M>, const Linear, Linear>;
  std::vector<LinearAt<Layer>> out;
  const FindLinears<Layer> find{out};
  gradus::detail::visit_part(std::string(), model, find);
  return out;
}

/// These do what the functions below say, but for freezing.
std::vector<std::string> add_lora(Rng& rng, const LinearLayers& layers,
                                  const std::vector<std::string>& patterns, const LoraOptions& options);
std::vector<std::string> set_lora(const LinearLayers& layers, const Safetensors& content,
                                  const std::string& name, const LoraFileOptions& options);
Safetensors lora_weights(const ConstLinearLayers& layers, const std::string& prefix);
std::vector<std::string> merge_lora(const LinearLayers& layers);
std::vector<std::string> unmerge_lora(const LinearLayers& layers);
std::vector<std::string> remove_lora(const LinearLayers& layers);

/// Leaves only adapters to be trained where that is wanted, and counts.
template <class M>
LoraReport finish(M& model, std::vector<std::string> adapted, bool freeze_rest) {
  LoraReport out{.layers = std::move(adapted)};
  if (freeze_rest) {
    freeze(model);
    for (const auto& [path, layer] : linears_of(model)) {
      if (!layer->lora) continue;
      layer->lora->a.unfreeze();
      layer->lora->b.unfreeze();
    }
  }
  for_each_unnamed_parameter(model, [&](const Parameter& parameter) {
    out.parameters += parameter.size();
    if (!parameter.is_frozen()) out.trained += parameter.size();
  });
  return out;
}

}  // namespace detail

/// Gives adapters to the linear layers whose paths, such as "h.0.attn.c_attn", match one of the patterns, as
/// `freeze` takes them, and freezes all other parameters; `unfreeze(model.head)` then trains a new head as
/// well. A is drawn from U(-1/sqrt(in), 1/sqrt(in)) and B is 0, so the model says at first what it said
/// before. Another call with other patterns may add adapters of another rank. What is no nn::Linear has none:
/// embeddings, output layers tied to them, recurrent weights, in_proj_weight of nn::MultiHeadAttention. Code
/// that reads the weight of a layer itself takes `effective_weight()` of it; `unreached` names adapters that
/// it goes around.
///
/// Throws ArgumentError, before anything is changed: when no layer matches, for one that has an adapter
/// already or compact weights (nn/quantize.hpp), and for a rank below 1, an alpha that is not above 0 or a
/// dropout outside of [0, 1).
template <class M>
LoraReport add_lora(Rng& rng, M& model, const std::vector<std::string>& patterns,
                    const LoraOptions& options = {}) {
  return detail::finish(model, detail::add_lora(rng, detail::linears_of(model), patterns, options),
                        options.freeze_rest);
}

/// Adds the product to each weight, alpha / rank B A, rounded once. The model then is an ordinary one: its
/// parts are those that it had without adapters, it is saved as such, and costs what it did. Throws
/// ArgumentError when the model has no adapters, or for weights that were quantized since; those that are
/// merged stay so.
template <class M>
void merge_lora(M& model) {
  detail::merge_lora(detail::linears_of(model));
}
/// Takes that back: the weights are what they were before, to the bit (they are kept), converted to the dtype
/// that the model has now. What else was done to them since is lost.
template <class M>
void unmerge_lora(M& model) {
  detail::unmerge_lora(detail::linears_of(model));
}
/// Takes the adapters away: of a merged model for good, of another one with what they had learned. What is
/// frozen stays so. Throws ArgumentError when there are none.
template <class M>
void remove_lora(M& model) {
  detail::remove_lora(detail::linears_of(model));
}

/// A and B of all adapters, merged or not, by their paths, "h.0.attn.c_attn.lora_A.weight"; each alpha is in
/// the metadata. Throws ArgumentError when there are none.
template <class M>
Safetensors lora_weights(const M& model, const std::string& prefix = {}) {
  return detail::lora_weights(detail::linears_of(model), prefix);
}
/// Writes them to a safetensors file. Throws as save_safetensors too.
template <class M>
void save_lora(const std::filesystem::path& file, const M& model, const std::string& prefix = {}) {
  save_safetensors(file, lora_weights(model, prefix));
}

/// Throws ArgumentError where a model's weights have adapters of their own, which a file of the model has no
/// place for; `function` is what refuses them.
void refuse_adapters(const char* function, const Safetensors& weights);

/// Gives a model the adapters of a file, in place of those that it has, and freezes the rest as add_lora
/// does. Throws DataError, which calls the content `name`, before anything is changed: for tensors that are
/// no adapter of one of the model's linear layers or do not fit it, and when alpha is not known;
/// ArgumentError for a layer that is merged or quantized.
template <class M>
LoraReport set_lora(M& model, const Safetensors& content, const std::string& name = "the adapters",
                    const LoraFileOptions& options = {}) {
  return detail::finish(model, detail::set_lora(detail::linears_of(model), content, name, options),
                        options.freeze_rest);
}
/// The same of a file, as load_safetensors reads it.
template <class M>
LoraReport load_lora(const std::filesystem::path& file, M& model, const LoraFileOptions& options = {}) {
  return set_lora(model, load_safetensors(file), file.string(), options);
}

}  // namespace gradus::nn
