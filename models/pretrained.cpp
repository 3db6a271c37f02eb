#include "models/pretrained.hpp"

#include "models/pretrained_folder.hpp"
#include "tensor/ops.hpp"

namespace gradus::models {

namespace {

namespace fs = std::filesystem;
using detail::Config;
using detail::open_weights;
using detail::without_prefix;
using nlohmann::json;

/// A network of a kind, of the sizes that config.json says.
template <class Network>
Network made(const PretrainedConfig& config, const char* kind, const fs::path& folder,
             const StoredArrays& content) {
  if (config.kind != kind) {
    fail<DataError>("{}: a model of the kind {}, not {}", (folder / "config.json").string(), config.kind,
                    kind);
  }
  return detail::made<Network>(config.options, folder, content);
}

NetworkOptions gpt_options(const Config& config) {
  config.require<std::string>("activation_function", "gelu_new");
  config.require("scale_attn_weights", true);
  config.require("scale_attn_by_inverse_layer_idx", false);
  config.require("reorder_and_upcast_attn", false);
  config.require("add_cross_attention", false);
  config.require("tie_word_embeddings", true);
  NetworkOptions o;
  o.vocab = config.size("vocab_size");
  o.width = o.embedding = config.size("n_embd");
  o.layers = static_cast<int>(config.size("n_layer"));
  o.heads = config.size("n_head");
  o.context = config.size("n_positions");
  if (config.has("n_inner")) o.inner = config.size("n_inner");
  o.norm_eps = config.get("layer_norm_epsilon", 1e-5);
  return o;
}

NetworkOptions llama_options(const Config& config) {
  config.require<std::string>("hidden_act", "silu");
  config.require("attention_bias", false);
  config.require("mlp_bias", false);
  if (config.has("rope_scaling")) fail<DataError>("{}: \"rope_scaling\" is not supported", config.file());
  NetworkOptions o;
  o.vocab = config.size("vocab_size");
  o.width = o.embedding = config.size("hidden_size");
  o.layers = static_cast<int>(config.size("num_hidden_layers"));
  o.heads = config.size("num_attention_heads");
  o.kv_heads = config.has("num_key_value_heads") ? config.size("num_key_value_heads") : o.heads;
  o.context = config.size("max_position_embeddings");
  o.inner = config.size("intermediate_size");
  o.norm_eps = config.get("rms_norm_eps", 1e-6);
  o.rope_theta = config.get("rope_theta", 10'000.0);
  o.tied = config.get("tie_word_embeddings", false);
  config.require("head_dim", o.width / o.heads);
  return o;
}

/// GPT-2's products are kept as (in, out): all weights of its layers but those of normalisations.
bool is_transposed(const std::string& name) {
  return name.ends_with("c_attn.weight") || name.ends_with("c_proj.weight") || name.ends_with("c_fc.weight");
}

}  // namespace

PretrainedConfig read_config(const fs::path& folder) {
  const Config config(folder);
  const auto type = config.get<std::string>("model_type");
  if (type == "gpt2") return {"gpt", gpt_options(config)};
  if (type == "llama") return {"llama", llama_options(config)};
  fail<DataError>("{}: a model of the type \"{}\"; gpt2 and llama are supported", config.file(), type);
}

GptNetwork load_gpt(const fs::path& folder) {
  const PretrainedConfig config = read_config(folder);
  StoredArrays content = open_weights(folder);
  auto network = made<GptNetwork>(config, "gpt", folder, content);
  for (auto& [name, array] : content.arrays) {
    if (is_transposed(name) && array.shape().rank() == 2) array = StoredArray(transpose(array.tensor()));
  }
  const auto rename = [](const std::string& name) -> std::string {
    // Masks, which older files have, and the output layer, which is the embeddings.
    const bool is_mask = name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    return is_mask || name == "lm_head.weight" ? "" : without_prefix(name, "transformer.");
  };
  nn::set_weights(network, content, folder.string(), {.rename = rename});
  return network;
}

LlamaNetwork load_llama(const fs::path& folder) {
  const PretrainedConfig config = read_config(folder);
  const StoredArrays content = open_weights(folder);
  auto network = made<LlamaNetwork>(config, "llama", folder, content);
  const bool tied = network.options.is_tied(true);
  const auto rename = [tied](const std::string& name) -> std::string {
    const bool is_table = name.ends_with("rotary_emb.inv_freq");
    return is_table || (tied && name == "lm_head.weight") ? "" : without_prefix(name, "model.");
  };
  nn::set_weights(network, content, folder.string(), {.rename = rename});
  return network;
}

void save_pretrained(const fs::path& folder, const GptNetwork& network, const SaveOptions& options) {
  const Safetensors weights = detail::weights_of(network);
  detail::make_folder(folder);
  StoredArrays content;
  for (const auto& [name, tensor] : weights.tensors)
    content.arrays.emplace("transformer." + name, is_transposed(name) ? transpose(tensor) : tensor);
  content.metadata = {{"format", "pt"}};
  save_arrays(folder / "model.safetensors", content, options);
  const NetworkOptions& o = network.options;
  json config{{"model_type", "gpt2"},
              {"architectures", {"GPT2LMHeadModel"}},
              {"vocab_size", o.vocab},
              {"n_embd", o.width},
              {"n_layer", o.layers},
              {"n_head", o.heads},
              {"n_positions", o.context},
              {"n_ctx", o.context},
              {"activation_function", "gelu_new"},
              {"layer_norm_epsilon", o.norm_eps},
              {"tie_word_embeddings", true}};
  if (o.inner > 0) config["n_inner"] = o.inner;
  detail::write_json(folder / "config.json", config);
}

void save_pretrained(const fs::path& folder, const LlamaNetwork& network, const SaveOptions& options) {
  const Safetensors weights = detail::weights_of(network);
  detail::make_folder(folder);
  StoredArrays content;
  for (const auto& [name, tensor] : weights.tensors)
    content.arrays.emplace(name.starts_with("lm_head.") ? name : "model." + name, tensor);
  content.metadata = {{"format", "pt"}};
  save_arrays(folder / "model.safetensors", content, options);
  const NetworkOptions& o = network.options;
  detail::write_json(folder / "config.json",
                     {{"model_type", "llama"},
                      {"architectures", {"LlamaForCausalLM"}},
                      {"vocab_size", o.vocab},
                      {"hidden_size", o.width},
                      {"num_hidden_layers", o.layers},
                      {"num_attention_heads", o.heads},
                      {"num_key_value_heads", o.kv_heads > 0 ? o.kv_heads : o.heads},
                      {"intermediate_size", network.layers.front().mlp.up_proj.weight.dim(0)},
                      {"max_position_embeddings", o.context},
                      {"hidden_act", "silu"},
                      {"rms_norm_eps", o.norm_eps},
                      {"rope_theta", o.rope_theta},
                      {"tie_word_embeddings", o.is_tied(true)}});
}

}  // namespace gradus::models
