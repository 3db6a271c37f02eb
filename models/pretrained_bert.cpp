#include "models/bert.hpp"
#include "models/pretrained_folder.hpp"

namespace gradus::models {

namespace {

namespace fs = std::filesystem;
using detail::Config;

BertOptions options_of(const Config& config) {
  if (config.get<std::string>("model_type") != "bert")
    fail<DataError>("{}: a model of the type \"{}\", not \"bert\"", config.file(),
                    config.get<std::string>("model_type"));
  config.require<std::string>("hidden_act", "gelu");
  config.require<std::string>("position_embedding_type", "absolute");
  config.require("is_decoder", false);
  config.require("add_cross_attention", false);
  config.require("tie_word_embeddings", true);
  BertOptions o;
  o.vocab = config.size("vocab_size");
  o.width = config.size("hidden_size");
  o.layers = static_cast<int>(config.size("num_hidden_layers"));
  o.heads = config.size("num_attention_heads");
  o.inner = config.size("intermediate_size");
  o.context = config.size("max_position_embeddings");
  o.segments = config.size("type_vocab_size");
  o.dropout = config.get("hidden_dropout_prob", 0.1);
  o.attention_dropout = config.get("attention_probs_dropout_prob", 0.1);
  o.eps = config.get("layer_norm_eps", 1e-12);
  o.deviation = config.get("initializer_range", 0.02);
  return o;
}

/// The network's name of an array in the file, or none for what it has not.
std::string name_of_array(const std::string& name) {
  // The output layer is the embeddings and a bias; the places are counted.
  if (name == "cls.predictions.decoder.weight" || name == "cls.predictions.decoder.bias" ||
      name.ends_with("embeddings.position_ids"))
    return "";
  std::string out = name.starts_with("bert.") || name.starts_with("cls.") ? name : "bert." + name;
  // As the first files were.
  for (const auto& [old, now] :
       {std::pair{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}}) {
    if (out.ends_with(old)) out.replace(out.size() - std::string_view(old).size(), out.npos, now);
  }
  return out;
}

}  // namespace

BertNetwork load_bert(const fs::path& folder) {
  const Config config(folder);
  BertOptions options = options_of(config);
  const StoredArrays content = detail::open_weights(folder);
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(content.arrays,
                               [&](const auto& entry) { return name_of_array(entry.first) == name; });
  };
  options.pooler = has("bert.pooler.dense.weight");
  options.predictions = has("cls.predictions.bias");
  options.next_sentence = has("cls.seq_relationship.weight");
  auto network = detail::made<BertNetwork>(options, folder, content);
  nn::set_weights(network, content, folder.string(), {.rename = name_of_array});
  return network;
}

void save_pretrained(const fs::path& folder, const BertNetwork& network, const SaveOptions& options) {
  const Safetensors weights = detail::weights_of(network);
  detail::make_folder(folder);
  StoredArrays content;
  const BertOptions& o = network.options;
  const bool bare = !o.predictions && !o.next_sentence;  // BertModel has no prefix
  for (const auto& [name, tensor] : weights.tensors)
    content.arrays.emplace(bare ? detail::without_prefix(name, "bert.") : name, tensor);
  content.metadata = {{"format", "pt"}};
  save_arrays(folder / "model.safetensors", content, options);
  detail::write_json(folder / "config.json", {{"model_type", "bert"},
                                              {"architectures",
                                               {bare              ? "BertModel"
                                                : o.next_sentence ? "BertForPreTraining"
                                                                  : "BertForMaskedLM"}},
                                              {"vocab_size", o.vocab},
                                              {"hidden_size", o.width},
                                              {"num_hidden_layers", o.layers},
                                              {"num_attention_heads", o.heads},
                                              {"intermediate_size", o.inner},
                                              {"max_position_embeddings", o.context},
                                              {"type_vocab_size", o.segments},
                                              {"hidden_act", "gelu"},
                                              {"hidden_dropout_prob", o.dropout},
                                              {"attention_probs_dropout_prob", o.attention_dropout},
                                              {"layer_norm_eps", o.eps},
                                              {"initializer_range", o.deviation},
                                              {"tie_word_embeddings", true}});
}

}  // namespace gradus::models
