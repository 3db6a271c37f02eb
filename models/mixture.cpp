#include "models/mixture.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/cache.hpp"
#include "models/interpolate.hpp"
#include "models/ngram/ngram.hpp"
#include "models/run/folder.hpp"
#include "models/shared_vocabulary.hpp"
#include "tensor/files/file_sink.hpp"
#include "tensor/support/checksum.hpp"
#include "tensor/support/read_file.hpp"

namespace gradus::models {

namespace {

using nlohmann::json;

// The file is this line, a line of JSON, and the models' bytes, one after the other.
constexpr std::string_view first_line = "gradus mixture 1\n";
constexpr std::size_t longest_header = std::size_t{1} << 20;
constexpr int deepest =
    16;  // mixtures within mixtures; what is hostile could go on for as long as it has bytes

std::string bytes_of_model(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return read_file(path);
  if (!RunFolder::is_run(path)) {
    fail<DataError>(
        "{}: a mixture keeps models that are one file each, and this is a folder; of Hugging Face's files "
        "`gradus train "
        "--from` makes one",
        path);
  }
  return read_file(std::filesystem::path(path) / "model.safetensors");
}

/// A header that was read, with every member of its type.
struct Header {
  MixtureOptions options;
  struct Part {
    std::string name, checksum;
    std::size_t size = 0;
  };
  std::vector<Part> parts;
};

Header parse_header(const json& from) {
  Header out;
  from.at("weights").get_to(out.options.weights);
  out.options.log_linear = from.at("log_linear").get<bool>();
  out.options.cache = from.at("cache").get<std::int64_t>();
  for (const json& part : from.at("models"))
    out.parts.push_back({part.at("name").get<std::string>(), part.at("checksum").get<std::string>(),
                         part.at("bytes").get<std::size_t>()});
  return out;
}

Header read_header(std::string_view text, const std::string& name) {
  try {
    return parse_header(json::parse(text));
  } catch (const json::exception& error) {
    fail<DataError>("{}: the header of the mixture is damaged ({}); write it again", name, error.what());
  }
}

}  // namespace

UnitedModels united(std::vector<TrainedModel> models, std::span<const std::string> names) {
  UnitedModels out;
  std::vector<Vocabulary> vocabularies;
  bool same = true;
  for (std::size_t i = 0; i < models.size(); ++i) {
    TrainedModel& one = models[i];
    if (i > 0) {
      if (one.vocabulary.unit() != vocabularies.front().unit())
        require_same_vocabulary(vocabularies.front(), names.front(), one.vocabulary, names[i]);
      const bool alike = one.vocabulary.same_symbols(vocabularies.front());
      if (!alike && one.vocabulary.subwords() != nullptr) {
        fail<DataError>(
            "{} and {} cut a text into different subwords, so that their tokens cannot be compared; train "
            "them with one "
            "tokenizer",
            names.front(), names[i]);
      }
      same &= alike;
    }
    const auto* const ngrams = one.model.get_if<NgramModel>();
    if (ngrams != nullptr && gives_scores(ngrams->description()))
      fail<DataError>("{}: stupid backoff gives scores, not probabilities, which cannot be mixed", names[i]);
    out.models.push_back(std::move(one.model));
    vocabularies.push_back(std::move(one.vocabulary));
  }
  out.unlisted.assign(out.models.size(), 0);
  out.same_ids = same;
  if (out.models.empty()) return out;
  out.vocabulary = same ? vocabularies.front() : union_of(vocabularies);
  for (std::size_t i = 0; i < out.models.size() && !same; ++i) {
    WidenedModel widened(std::move(out.models[i]), vocabularies[i], out.vocabulary);
    out.unlisted[i] = widened.unlisted();
    out.models[i] = ErasedModel(std::move(widened));
  }
  return out;
}

TrainedModel mixture(std::vector<TrainedModel> models, std::span<const std::string> names,
                     const MixtureOptions& options) {
  UnitedModels all = united(std::move(models), names);
  if (options.cache > 0)
    all.models.emplace_back(CacheModel(static_cast<std::int32_t>(all.vocabulary.size()), options.cache));
  ModelSet set(std::move(all.models));
  ErasedModel model = options.log_linear
                          ? ErasedModel(LogLinearInterpolation(std::move(set), options.weights))
                          : ErasedModel(LinearInterpolation(std::move(set), options.weights));
  return {std::move(all.vocabulary), std::move(model), "mixture"};
}

void save_mixture(const std::filesystem::path& file, std::span<const std::string> models,
                  const MixtureOptions& options) {
  json header{{"weights", options.weights}, {"log_linear", options.log_linear}, {"cache", options.cache}};
  header["models"] = json::array();
  for (const std::string& model : models) {
    const std::string bytes = bytes_of_model(model);
    header["models"].push_back({{"name", std::filesystem::path(model).filename().string()},
                                {"bytes", bytes.size()},
                                {"checksum", Checksum().add(bytes).text()}});
  }
  files::FileSink out(file);
  out.write(first_line);
  out.write(header.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  // Read again one after the other, so that not all are in memory at once.
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string bytes = bytes_of_model(models[i]);
    if (Checksum().add(bytes).text() != header["models"][i]["checksum"])
      fail<DataError>("{}: the model changed while it was copied", models[i]);
    out.write(bytes);
  }
  out.commit();
}

bool is_mixture(std::string_view first_bytes) {
  return first_bytes.starts_with(first_line);
}

TrainedModel parse_mixture(std::string_view bytes, const std::string& name, int depth) {
  if (depth == deepest) fail<DataError>("{}: more than {} mixtures within one another", name, deepest);
  bytes.remove_prefix(first_line.size());
  const std::size_t end = bytes.substr(0, longest_header).find('\n');
  if (end == bytes.npos) fail<DataError>("{}: the header of the mixture is cut short; write it again", name);
  const Header header = read_header(bytes.substr(0, end), name);
  bytes.remove_prefix(end + 1);
  std::vector<TrainedModel> models;
  std::vector<std::string> names;
  for (const Header::Part& part : header.parts) {
    names.push_back(fmt::format("{}, its part {}", name, part.name));
    if (part.size > bytes.size())
      fail<DataError>("{}: it is cut short: {} of {} bytes; write the mixture again", names.back(),
                      bytes.size(), part.size);
    const std::string_view own = bytes.substr(0, part.size);
    if (Checksum().add(own).text() != part.checksum)
      fail<DataError>("{}: its checksum is not that of its bytes, so it is damaged; write the mixture again",
                      names.back());
    models.push_back(is_mixture(own) ? parse_mixture(own, names.back(), depth + 1)
                                     : parse_model(own, names.back()));
    bytes.remove_prefix(part.size);
  }
  if (!bytes.empty())
    fail<DataError>("{}: {} bytes behind the last model; write the mixture again", name, bytes.size());
  try {
    return mixture(std::move(models), names, header.options);
  } catch (const ArgumentError& error) {
    fail<DataError>("{}: its weights do not fit its models: {}", name, error.what());
  }
}

}  // namespace gradus::models
