#include "models/checkpoint.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/store/writer.hpp"
#include "models/pretrained.hpp"
#include "nn/lora.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"
#include "text/byte_source.hpp"

namespace gradus::models {

namespace {

using nlohmann::json;

/// Calls visit(key, value, required) for each option. Those that are not required are not in the files of
/// versions before transformers.
template <class Options, class Visit>
void visit_options(Options& o, const Visit& visit) {
  visit("vocab", o.vocab, true);
  visit("embedding", o.embedding, true);
  visit("width", o.width, true);
  visit("layers", o.layers, true);
  visit("dropout", o.dropout, true);
  visit("order", o.order, true);
  visit("document_end", o.document_end, false);
  visit("heads", o.heads, false);
  visit("kv_heads", o.kv_heads, false);
  visit("context", o.context, false);
  visit("sinks", o.sinks, false);
  visit("inner", o.inner, false);
  visit("rope_theta", o.rope_theta, false);
  visit("norm_eps", o.norm_eps, false);
  visit("tied", o.tied, false);
}

json to_json(const NetworkOptions& options) {
  json out;
  visit_options(options, [&](const char* key, const auto& value, bool /*required*/) { out[key] = value; });
  return out;
}

NetworkOptions options_from(const json& from) {
  NetworkOptions out;
  visit_options(out, [&](const char* key, auto& value, bool required) {
    if (required || from.contains(key)) from.at(key).get_to(value);
  });
  return out;
}

/// The header's sizes must be those of the numbers that are there, before memory is taken for them.
void check_sizes(const std::string& file, const NetworkKind& kind, const NetworkOptions& options,
                 const Vocabulary& vocabulary, const Safetensors& content) {
  double elements = 0;
  for (const auto& entry : content.tensors) elements += static_cast<double>(entry.second.size());
  const bool fits = options.vocab == vocabulary.size() && options.embedding >= 1 && options.width >= 1 &&
                    options.layers >= 1 && options.order >= 1 && options.order <= 1000 &&
                    options.dropout >= 0 && options.dropout < 1 && options.document_end >= -1 &&
                    options.document_end < options.vocab && options.context >= 1 && options.sinks >= 0 &&
                    options.inner >= 0 && options.norm_eps > 0 && options.rope_theta > 0 &&
                    kind.fewest_parameters(options) <= elements;
  if (!fits) fail<DataError>("{}: the header's sizes contradict the file; write it again", file);
}

TrainedModel read_model(const std::string& file, std::string_view bytes) {
  const Safetensors content = parse_safetensors(bytes, file);
  const auto about = [&](const char* key) {
    const auto found = content.metadata.find(key);
    if (found == content.metadata.end())
      fail<DataError>("{}: its header does not name the {}; is it a model that `gradus train` wrote?", file,
                      key);
    return found->second;
  };
  Vocabulary vocabulary = Vocabulary::parse(about("vocabulary"), file + ", its vocabulary");
  NetworkOptions options;
  try {
    options = options_from(json::parse(about("network")));
  } catch (const json::exception& error) {
    fail<DataError>("{}: its header lacks what a gradus model needs ({})", file, error.what());
  }
  const std::string name = about("kind");
  const NetworkKind* const kind = find_network_kind(name);
  if (kind == nullptr) {
    fail<DataError>("{}: a model of the kind '{}', which this version does not know; it knows {}", file, name,
                    network_kind_names());
  }
  check_sizes(file, *kind, options, vocabulary, content);
  try {
    Rng rng(0);
    const std::unique_ptr<ErasedNetwork> network = kind->make(rng, options);
    network->set_weights(content, file);
    return {std::move(vocabulary), network->model(), name, false, network->options().document_end};
  } catch (const ArgumentError& error) {
    fail<DataError>("{}: its header's sizes are not possible: {}", file, error.what());
  }
}

}  // namespace

void save_network(const std::filesystem::path& file, const ErasedNetwork& network,
                  const Vocabulary& vocabulary) {
  save_network(file, network.kind(), network.options(), network.weights(), vocabulary);
}

void save_network(const std::filesystem::path& file, const NetworkKind& kind, const NetworkOptions& options,
                  Safetensors weights, const Vocabulary& vocabulary) {
  nn::refuse_adapters("save_network", weights);
  weights.metadata = {{"format", "gradus"},
                      {"kind", std::string(kind.name)},
                      {"network", to_json(options).dump()},
                      {"vocabulary", vocabulary.serialize()}};
  save_safetensors(file, weights);
}

void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  write_arpa(file, model, vocabulary);
}

void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary,
                NgramStorage storage) {
  NgramWriter writer(file, vocabulary, storage);
  model.write_to(writer);
}

namespace {

/// The bytes of a pipe or a device, decompressed, which can be read only once.
std::string read_stream(const std::filesystem::path& file) {
  ByteSource source(file);
  std::string bytes;
  for (std::size_t room = std::size_t{1} << 20;; room = bytes.size()) {
    const std::size_t start = bytes.size();
    bytes.resize(start + room);
    const std::size_t got = source.read({bytes.data() + start, room});
    bytes.resize(start + got);
    if (got < room) return bytes;
  }
}

TrainedModel model_of(const ArpaFile& read) {
  NgramWriter writer;
  read.write_to(writer);
  return {read.vocabulary(), ErasedModel(writer.model()), "ngram", true};
}

TrainedModel model_of(const NgramModel& model) {
  return {model.vocabulary(), ErasedModel(model), "ngram"};
}

/// A folder of Hugging Face's files.
TrainedModel pretrained(const std::filesystem::path& folder) {
  const PretrainedConfig config = read_config(folder);
  Vocabulary vocabulary = Vocabulary::of(load_subwords(folder));
  if (vocabulary.size() > config.options.vocab) {
    fail<DataError>("{}: its tokenizer has {} tokens, and the model only {}", folder.string(),
                    vocabulary.size(), config.options.vocab);
  }
  ErasedModel model = config.kind == "gpt" ? ErasedModel(NeuralModel<GptNetwork>{load_gpt(folder)})
                                           : ErasedModel(NeuralModel<LlamaNetwork>{load_llama(folder)});
  return {std::move(vocabulary), std::move(model), config.kind};
}

TrainedModel network_of(std::string_view bytes, const std::string& file) {
  // A safetensors file begins with eight bytes of length and the brace of its head.
  if (bytes.size() < 9 || bytes[8] != '{') {
    fail<DataError>(
        "{}: {} bytes, but no model: they begin neither as an n-gram model nor as ARPA text or a checkpoint "
        "(safetensors)",
        file, bytes.size());
  }
  return read_model(file, bytes);
}

}  // namespace

TrainedModel load_model(const std::filesystem::path& file, const ArpaOptions& options) {
  constexpr std::size_t head = std::size_t{1} << 14;
  std::error_code none;  // a name that no file can have is refused below
  if (std::filesystem::is_directory(file, none)) return pretrained(file);
  const bool standard = is_standard_input(file);
  if (standard || is_special(file)) {
    const std::string bytes = read_stream(file), name = standard ? "standard input" : file.string();
    if (NgramModel::is_binary(bytes)) return model_of(NgramModel::from_bytes(bytes, name));
    if (looks_like_arpa(std::string_view(bytes).substr(0, head)))
      return model_of(ArpaFile(bytes, name, options));
    return network_of(bytes, name);
  }
  std::string first(head, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(first.data(), static_cast<std::streamsize>(first.size()));
  first.resize(static_cast<std::size_t>(in.gcount()));
  if (NgramModel::is_binary(first)) return model_of(NgramModel::open(file));
  if (looks_like_arpa(first)) return model_of(ArpaFile(file, options));
  return network_of(read_file(file), file.string());
}

}  // namespace gradus::models
