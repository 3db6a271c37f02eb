#include "models/pretrained.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "tensor/ops.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A config.json, whose keys are asked for by type.
class Config {
 public:
  explicit Config(const fs::path& folder) : file_((folder / "config.json").string()) {
    try {
      content_ = json::parse(read_file(file_));
    } catch (const json::exception& error) {
      fail<DataError>("{}: not JSON ({})", file_, error.what());
    }
    if (!content_.is_object()) fail<DataError>("{}: not an object of keys", file_);
  }

  const std::string& file() const { return file_; }
  bool has(const char* key) const { return content_.contains(key) && !content_[key].is_null(); }
  /// The value of a key. Throws DataError where it is missing or of another type.
  template <class T>
  T get(const char* key) const {
    if (!has(key)) fail<DataError>("{}: the key \"{}\" is missing", file_, key);
    const json& value = content_[key];
    const bool fits = std::is_same_v<T, bool>          ? value.is_boolean()
                      : std::is_same_v<T, std::string> ? value.is_string()
                      : std::is_integral_v<T>          ? value.is_number_integer()
                                                       : value.is_number();
    if (!fits) fail<DataError>("{}: the key \"{}\" is {}", file_, key, value.dump());
    return value.get<T>();
  }
  template <class T>
  T get(const char* key, T otherwise) const {
    return has(key) ? get<T>(key) : otherwise;
  }
  std::int64_t size(const char* key) const {
    const auto value = get<std::int64_t>(key);
    constexpr std::int64_t most = std::int64_t{1} << 31;
    if (value < 1 || value >= most) fail<DataError>("{}: the key \"{}\" is {}", file_, key, value);
    return value;
  }
  /// Throws DataError where a key is there with another value than the one that is computed here.
  template <class T>
  void require(const char* key, const T& value) const {
    if (has(key) && get<T>(key) != value) {
      fail<DataError>("{}: the key \"{}\" is {}; only {} is supported", file_, key, content_[key].dump(),
                      json(value).dump());
    }
  }

 private:
  std::string file_;
  json content_;
};

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

/// The files of a model without its output layer have no prefix.
std::string without_prefix(const std::string& name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// The weights that are there, in several parts or in one.
StoredArrays open_weights(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  return open_arrays(fs::exists(index) ? index : folder / "model.safetensors");
}

/// A network of the sizes that config.json says. They must be those of the numbers that are there, before
/// memory is taken for them.
template <class Network>
Network made(const PretrainedConfig& config, const char* kind, const fs::path& folder,
             const StoredArrays& content) {
  if (config.kind != kind) {
    fail<DataError>("{}: a model of the kind {}, not {}", (folder / "config.json").string(), config.kind,
                    kind);
  }
  double elements = 0;
  for (const auto& entry : content.arrays) elements += static_cast<double>(entry.second.shape().size());
  if (Network::fewest_parameters(config.options) > elements) {
    fail<DataError>("{}: its sizes ask for more numbers than the {:.0f} of the weights beside it",
                    (folder / "config.json").string(), elements);
  }
  Rng rng(0);
  try {
    return Network(rng, config.options);
  } catch (const ArgumentError& error) {
    fail<DataError>("{}: {}", (folder / "config.json").string(), error.what());
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail<DataError>("{}: cannot be made a folder ({})", folder.string(), error.message());
}

void write_json(const fs::path& file, const json& content) {
  write_file(file, content.dump(2) + "\n");
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
  const bool tied = network.options.tied;
  const auto rename = [tied](const std::string& name) -> std::string {
    const bool is_table = name.ends_with("rotary_emb.inv_freq");
    return is_table || (tied && name == "lm_head.weight") ? "" : without_prefix(name, "model.");
  };
  nn::set_weights(network, content, folder.string(), {.rename = rename});
  return network;
}

void save_pretrained(const fs::path& folder, const GptNetwork& network, const SaveOptions& options) {
  make_folder(folder);
  StoredArrays content;
  for (const auto& [name, tensor] : nn::weights(network).tensors)
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
  write_json(folder / "config.json", config);
}

void save_pretrained(const fs::path& folder, const LlamaNetwork& network, const SaveOptions& options) {
  make_folder(folder);
  StoredArrays content;
  for (const auto& [name, tensor] : nn::weights(network).tensors)
    content.arrays.emplace(name.starts_with("lm_head.") ? name : "model." + name, tensor);
  content.metadata = {{"format", "pt"}};
  save_arrays(folder / "model.safetensors", content, options);
  const NetworkOptions& o = network.options;
  write_json(folder / "config.json", {{"model_type", "llama"},
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
                                      {"tie_word_embeddings", o.tied}});
}

}  // namespace gradus::models
