#include "models/checkpoint.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "models/mixture.hpp"
#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/store/writer.hpp"
#include "models/pretrained.hpp"
#include "models/run/folder.hpp"
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
  visit("input_dropout", o.input_dropout, false);
  visit("layer_dropout", o.layer_dropout, false);
  visit("output_dropout", o.output_dropout, false);
  visit("word_dropout", o.word_dropout, false);
  visit("weight_dropout", o.weight_dropout, false);
  visit("locked_dropout", o.locked_dropout, false);
  visit("cutoffs", o.cutoffs, false);
}

template <class T>
void put(json& out, const char* key, const T& value) {
  out[key] = value;
}
template <class T>
void put(json& out, const char* key, const std::optional<T>& value) {
  if (value) out[key] = *value;
}
template <class T>
void take(const json& from, T& value) {
  from.get_to(value);
}
template <class T>
void take(const json& from, std::optional<T>& value) {
  value = from.get<T>();
}

json to_json(const NetworkOptions& options) {
  json out;
  visit_options(options,
                [&](const char* key, const auto& value, bool /*required*/) { put(out, key, value); });
  return out;
}

NetworkOptions options_from(const json& from) {
  NetworkOptions out;
  visit_options(out, [&](const char* key, auto& value, bool required) {
    if (required || from.contains(key)) take(from.at(key), value);
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

LoadedNetwork read_network(const std::string& file, std::string_view bytes) {
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
  // Files of versions before recurrent networks could be tied call all of them so.
  if (content.tensors.contains("head.weight") && content.tensors.contains("recurrent.weight_hh_l0"))
    options.tied.reset();
  check_sizes(file, *kind, options, vocabulary, content);
  try {
    Rng rng(0);
    std::unique_ptr<ErasedNetwork> network = kind->make(rng, options);
    network->set_weights(content, file);
    return {std::move(vocabulary), std::move(network)};
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
LoadedNetwork pretrained(const std::filesystem::path& folder) {
  const PretrainedConfig config = read_config(folder);
  Vocabulary vocabulary = Vocabulary::of(load_subwords(folder));
  if (vocabulary.size() > config.options.vocab) {
    fail<DataError>("{}: its tokenizer has {} tokens, and the model only {}", folder.string(),
                    vocabulary.size(), config.options.vocab);
  }
  Rng rng(0);
  std::unique_ptr<ErasedNetwork> network = find_network_kind(config.kind)->make(rng, config.options);
  network->set_weights(config.kind == "gpt" ? nn::weights(load_gpt(folder)) : nn::weights(load_llama(folder)),
                       folder.string());
  return {std::move(vocabulary), std::move(network)};
}

/// The model in the folder of a run, or nothing where it is no such folder.
std::optional<std::filesystem::path> model_of_run(const std::filesystem::path& folder) {
  if (!RunFolder::is_run(folder)) return std::nullopt;
  const std::filesystem::path file = folder / "model.safetensors";
  std::error_code none;
  if (!std::filesystem::exists(file, none)) {
    fail<DataError>("{}: the run in this folder has kept no model yet; train on by --resume {}",
                    folder.string(), folder.string());
  }
  return file;
}

LoadedNetwork network_of(std::string_view bytes, const std::string& file) {
  // A safetensors file begins with eight bytes of length and the brace of its head.
  if (bytes.size() < 9 || bytes[8] != '{') {
    fail<DataError>(
        "{}: {} bytes, but no model: they begin neither as an n-gram model nor as ARPA text or a checkpoint "
        "(safetensors)",
        file, bytes.size());
  }
  return read_network(file, bytes);
}

TrainedModel model_of(LoadedNetwork loaded) {
  return {std::move(loaded.vocabulary), loaded.network->model(), std::string(loaded.network->kind().name),
          false, loaded.network->options().document_end};
}

}  // namespace

LoadedNetwork load_network(const std::filesystem::path& file) {
  std::error_code none;
  if (std::filesystem::is_directory(file, none)) {
    if (const auto model = model_of_run(file)) return load_network(*model);
    return pretrained(file);
  }
  const bool special = is_standard_input(file) || is_special(file);
  const std::string bytes = special ? read_stream(file) : read_file(file);
  if (NgramModel::is_binary(bytes) ||
      looks_like_arpa(std::string_view(bytes).substr(0, std::size_t{1} << 14)))
    fail<DataError>("{}: an n-gram model has no weights to train; build it again with more text",
                    file.string());
  return network_of(bytes, file.string());
}

TrainedModel parse_model(std::string_view bytes, const std::string& name, const ArpaOptions& options) {
  constexpr std::size_t head = std::size_t{1} << 14;
  if (is_mixture(bytes)) return parse_mixture(bytes, name);
  if (NgramModel::is_binary(bytes)) return model_of(NgramModel::from_bytes(bytes, name));
  if (looks_like_arpa(bytes.substr(0, head))) return model_of(ArpaFile(std::string(bytes), name, options));
  return model_of(network_of(bytes, name));
}

TrainedModel load_model(const std::filesystem::path& file, const ArpaOptions& options) {
  constexpr std::size_t head = std::size_t{1} << 14;
  std::error_code none;  // a name that no file can have is refused below
  if (std::filesystem::is_directory(file, none)) {
    if (const auto model = model_of_run(file)) return load_model(*model, options);
    return model_of(pretrained(file));
  }
  const bool standard = is_standard_input(file);
  if (standard || is_special(file)) {
    return parse_model(read_stream(file), standard ? "standard input" : file.string(), options);
  }
  std::string first(head, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(first.data(), static_cast<std::streamsize>(first.size()));
  first.resize(static_cast<std::size_t>(in.gcount()));
  if (NgramModel::is_binary(first)) return model_of(NgramModel::open(file));
  if (is_mixture(first)) return parse_mixture(read_file(file), file.string());
  if (looks_like_arpa(first)) return model_of(ArpaFile(file, options));
  return parse_model(read_file(file), file.string(), options);
}

}  // namespace gradus::models
