#pragma once

// Internal: what the readers and writers of Hugging Face's folders share. nlohmann's JSON is included here,
// so no public header may include this one.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "nn/lora.hpp"
#include "nn/weights.hpp"
#include "tensor/random.hpp"
#include "tensor/support/read_file.hpp"

namespace gradus::models::detail {

/// A config.json, whose keys are asked for by type.
class Config {
 public:
  explicit Config(const std::filesystem::path& folder) : file_((folder / "config.json").string()) {
    try {
      content_ = nlohmann::json::parse(read_file(file_));
    } catch (const nlohmann::json::exception& error) {
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
    const nlohmann::json& value = content_[key];
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
                      nlohmann::json(value).dump());
    }
  }

 private:
  std::string file_;
  nlohmann::json content_;
};

/// The files of a model without its output layer have no prefix.
inline std::string without_prefix(const std::string& name, std::string_view prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

/// The weights that are there, in several parts or in one.
StoredArrays open_weights(const std::filesystem::path& folder);

/// What is written of a network. Throws ArgumentError for one with adapters, which other programs do not
/// know.
template <class Network>
Safetensors weights_of(const Network& network) {
  Safetensors out = nn::weights(network);
  nn::refuse_adapters("save_pretrained", out);
  return out;
}

/// A network of the sizes that config.json says. They must be those of the numbers that are there, before
/// memory is taken for them.
template <class Network, class Options>
Network made(const Options& options, const std::filesystem::path& folder, const StoredArrays& content) {
  double elements = 0;
  for (const auto& entry : content.arrays) elements += static_cast<double>(entry.second.shape().size());
  if (Network::fewest_parameters(options) > elements) {
    fail<DataError>("{}: its sizes ask for more numbers than the {:.0f} of the weights beside it",
                    (folder / "config.json").string(), elements);
  }
  Rng rng(0);
  try {
    return Network(rng, options);
  } catch (const ArgumentError& error) {
    fail<DataError>("{}: {}", (folder / "config.json").string(), error.what());
  }
}

/// Throws DataError naming the folder.
void make_folder(const std::filesystem::path& folder);
void write_json(const std::filesystem::path& file, const nlohmann::json& content);

}  // namespace gradus::models::detail
