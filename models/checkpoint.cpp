#include "models/checkpoint.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "models/ngram/arpa/arpa.hpp"
#include "models/ngram/store/writer.hpp"
#include "nn/weights.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

namespace {

using nlohmann::json;

std::map<std::string, std::string> describe(const std::string& kind, const NetworkOptions& o,
                                            const Vocabulary& vocabulary) {
  return {{"format", "gradus"},
          {"kind", kind},
          {"network", json{{"vocab", o.vocab},
                           {"embedding", o.embedding},
                           {"width", o.width},
                           {"layers", o.layers},
                           {"dropout", o.dropout},
                           {"order", o.order}}
                          .dump()},
          {"vocabulary", vocabulary.serialize()}};
}

/// The header's sizes must be those of the numbers that are there, before memory is taken for them.
void check_sizes(const std::string& file, const NetworkOptions& options, const Vocabulary& vocabulary,
                 const Safetensors& content) {
  std::int64_t most = 0;
  for (const auto& entry : content.tensors) most += entry.second.size();
  const auto holds = [&](std::int64_t a, std::int64_t b) { return a >= 1 && b >= 1 && a <= most / b; };
  const bool fits = options.vocab == vocabulary.size() && holds(options.embedding, options.vocab) &&
                    holds(options.width, options.width) &&
                    holds(options.layers, options.width * options.width) &&
                    holds(options.width, options.embedding) && options.order >= 2 && options.order <= 1000 &&
                    options.dropout >= 0 && options.dropout < 1;
  if (!fits) fail<DataError>("{}: the header's sizes contradict the file; write it again", file);
}

template <class Network>
NeuralModel<Network> read_network(const std::string& file, const Safetensors& content,
                                  const NetworkOptions& options) {
  Rng rng(0);
  NeuralModel<Network> model{Network(rng, options)};
  nn::set_weights(model.network, content, file);
  return model;
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
    const json n = json::parse(about("network"));
    options = {.vocab = n.at("vocab"),
               .embedding = n.at("embedding"),
               .width = n.at("width"),
               .layers = n.at("layers"),
               .dropout = n.at("dropout"),
               .order = n.at("order")};
  } catch (const json::exception& error) {
    fail<DataError>("{}: its header lacks what a gradus model needs ({})", file, error.what());
  }
  check_sizes(file, options, vocabulary, content);
  const std::string kind = about("kind");
  if (kind == "feed-forward")
    return {std::move(vocabulary), read_network<FeedForwardNetwork>(file, content, options)};
  if (kind == "rnn") return {std::move(vocabulary), read_network<RnnNetwork>(file, content, options)};
  if (kind == "gru") return {std::move(vocabulary), read_network<GruNetwork>(file, content, options)};
  if (kind == "lstm") return {std::move(vocabulary), read_network<LstmNetwork>(file, content, options)};
  fail<DataError>("{}: a model of the unknown kind '{}'", file, kind);
}

}  // namespace

template <class Network>
void save_network(const std::filesystem::path& file, const std::string& kind, const Network& network,
                  const Vocabulary& vocabulary) {
  Safetensors content = nn::weights(network);
  content.metadata = describe(kind, network.options, vocabulary);
  save_safetensors(file, content);
}
template void save_network(const std::filesystem::path&, const std::string&, const FeedForwardNetwork&,
                           const Vocabulary&);
template void save_network(const std::filesystem::path&, const std::string&, const RnnNetwork&,
                           const Vocabulary&);
template void save_network(const std::filesystem::path&, const std::string&, const GruNetwork&,
                           const Vocabulary&);
template void save_network(const std::filesystem::path&, const std::string&, const LstmNetwork&,
                           const Vocabulary&);

void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  write_arpa(file, model, vocabulary);
}

void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary,
                NgramStorage storage) {
  NgramWriter writer(file, vocabulary, storage);
  model.write_to(writer);
}

TrainedModel load_model(const std::filesystem::path& file) {
  if (is_special(file))
    fail<DataError>(
        "{}: a model is read more than once, which a pipe or a device cannot be; copy it to a file",
        file.string());
  std::string first(1 << 14, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(first.data(), static_cast<std::streamsize>(first.size()));
  first.resize(static_cast<std::size_t>(in.gcount()));
  if (NgramModel::is_binary(first)) {
    NgramModel model = NgramModel::open(file);
    return {model.vocabulary(), std::move(model)};
  }
  if (looks_like_arpa(first)) {
    const ArpaFile read(file);
    NgramWriter writer;
    read.write_to(writer);
    return {read.vocabulary(), writer.model()};
  }
  const std::string bytes = read_file(file);
  // A safetensors file begins with eight bytes of length and the brace of its head.
  if (bytes.size() < 9 || bytes[8] != '{') {
    fail<DataError>(
        "{}: {} bytes, which are no model: no n-gram model, ARPA text or checkpoint (safetensors) begins so",
        file.string(), bytes.size());
  }
  return read_model(file.string(), bytes);
}

}  // namespace gradus::models
