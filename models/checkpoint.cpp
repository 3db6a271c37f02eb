#include "models/checkpoint.hpp"

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "models/ngram/arpa.hpp"
#include "tensor/write_file.hpp"

namespace gradus::models {

namespace {

using nlohmann::json;

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    fail<DataError>("{}: cannot be read; is it a model that `gradus train` wrote?", file.string());
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

json describe(const std::string& kind, const NetworkOptions& o, const Vocabulary& vocabulary) {
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

const char* dtype_name(Dtype dtype) {
  return dtype == Dtype::f32 ? "F32" : "F64";
}

/// A safetensors file split into its header and its numbers.
struct Parts {
  json header;
  std::string_view numbers;
};
Parts split_safetensors(const std::filesystem::path& file, std::string_view bytes) {
  std::uint64_t length = 0;
  if (bytes.size() >= 8) {
    for (std::size_t i = 0; i < 8; ++i)
      length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  if (bytes.size() < 8 || length > bytes.size() - 8) {
    fail<DataError>("{}: {} bytes, neither an ARPA file nor a whole safetensors file; write it again",
                    file.string(), bytes.size());
  }
  json header = json::parse(bytes.substr(8, length), nullptr, false);
  if (!header.is_object())
    fail<DataError>("{}: its safetensors header is not JSON; write it again", file.string());
  return {std::move(header), bytes.substr(8 + length)};
}

Tensor read_tensor(const std::string& file, const std::string& name, const Parts& parts, const Shape& shape) {
  if (!parts.header.contains(name)) fail<DataError>("{}: the tensor {} is missing", file, name);
  const json& entry = parts.header[name];
  const auto dims = entry.at("shape").get<std::vector<std::int64_t>>();
  const auto place = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
  if (entry.at("dtype") != "F32" || Shape(dims) != shape) {
    fail<DataError>("{}: the tensor {} is {} of shape {}; F32 of shape {} is needed", file, name,
                    entry.at("dtype").get<std::string>(), Shape(dims), shape);
  }
  const auto bytes = static_cast<std::uint64_t>(shape.size()) * 4;
  if (place.size() != 2 || place[0] > place[1] || place[1] - place[0] != bytes ||
      place[1] > parts.numbers.size()) {
    fail<DataError>("{}: the tensor {} reaches past the end of the file, which was cut short", file, name);
  }
  Tensor out = Tensor::uninitialized(shape);
  if (bytes > 0) std::memcpy(out.mutable_data<float>(), parts.numbers.data() + place[0], bytes);
  return out;
}

/// The header's sizes must be those of the numbers that are there, before memory is taken for them.
void check_sizes(const std::string& file, const NetworkOptions& options, const Vocabulary& vocabulary,
                 std::size_t bytes) {
  const auto most = static_cast<std::int64_t>(bytes / sizeof(float));
  const auto holds = [&](std::int64_t a, std::int64_t b) { return a >= 1 && b >= 1 && a <= most / b; };
  const bool fits = options.vocab == vocabulary.size() && holds(options.embedding, options.vocab) &&
                    holds(options.width, options.width) &&
                    holds(options.layers, options.width * options.width) && options.order >= 2 &&
                    options.order <= 1000 && options.dropout >= 0 && options.dropout < 1;
  if (!fits) fail<DataError>("{}: the header's sizes contradict the file; write it again", file);
}

template <class Network>
NeuralModel<Network> read_network(const std::string& file, const Parts& parts,
                                  const NetworkOptions& options) {
  Rng rng(0);
  NeuralModel<Network> model{Network(rng, options)};
  for_each_parameter(model.network, [&](const std::string& name, Parameter& parameter) {
    parameter.mutable_value() = read_tensor(file, name, parts, parameter.shape());
  });
  return model;
}

TrainedModel read_safetensors(const std::string& file, std::string_view bytes) {
  const Parts parts = split_safetensors(file, bytes);
  try {
    const json& about = parts.header.at("__metadata__");
    Vocabulary vocabulary =
        Vocabulary::parse(about.at("vocabulary").get<std::string>(), file + ", its vocabulary");
    const json n = json::parse(about.at("network").get<std::string>());
    const NetworkOptions options{.vocab = n.at("vocab"),
                                 .embedding = n.at("embedding"),
                                 .width = n.at("width"),
                                 .layers = n.at("layers"),
                                 .dropout = n.at("dropout"),
                                 .order = n.at("order")};
    check_sizes(file, options, vocabulary, parts.numbers.size());
    const std::string kind = about.at("kind");
    if (kind == "feed-forward")
      return {std::move(vocabulary), read_network<FeedForwardNetwork>(file, parts, options)};
    if (kind == "rnn") return {std::move(vocabulary), read_network<RnnNetwork>(file, parts, options)};
    if (kind == "lstm") return {std::move(vocabulary), read_network<LstmNetwork>(file, parts, options)};
    fail<DataError>("{}: a model of the unknown kind '{}'", file, kind);
  } catch (const json::exception& error) {
    fail<DataError>("{}: its header lacks what a gradus model needs ({})", file, error.what());
  }
}

}  // namespace

template <class Network>
void save_network(const std::filesystem::path& file, const std::string& kind, const Network& network,
                  const Vocabulary& vocabulary) {
  json header;
  header["__metadata__"] = describe(kind, network.options, vocabulary);
  std::string numbers;
  for_each_parameter(network, [&](const std::string& name, const Parameter& parameter) {
    const Tensor value = parameter.value().to(Dtype::f32);
    const std::size_t begin = numbers.size();
    const std::span<const float> values = value.values<float>();
    numbers.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    std::vector<std::int64_t> dims;
    for (int i = 0; i < value.rank(); ++i) dims.push_back(value.dim(i));
    header[name] = {
        {"dtype", dtype_name(Dtype::f32)}, {"shape", dims}, {"data_offsets", {begin, numbers.size()}}};
  });
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the numbers are aligned
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 255);
  write_file(file, bytes + text + numbers);
}
template void save_network(const std::filesystem::path&, const std::string&, const FeedForwardNetwork&,
                           const Vocabulary&);
template void save_network(const std::filesystem::path&, const std::string&, const RnnNetwork&,
                           const Vocabulary&);
template void save_network(const std::filesystem::path&, const std::string&, const LstmNetwork&,
                           const Vocabulary&);

void save_ngram(const std::filesystem::path& file, const NgramModel& model, const Vocabulary& vocabulary) {
  write_file(file, to_arpa(model, vocabulary));
}

TrainedModel load_model(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  if (bytes.find("\\data\\") < 64 || bytes.starts_with(arpa_head)) {
    ArpaModel read = from_arpa(bytes, file.string());
    return {std::move(read.vocabulary), std::move(read.model)};
  }
  return read_safetensors(file.string(), bytes);
}

}  // namespace gradus::models
