#include "nn/weights.hpp"

namespace gradus::nn::detail {

void fail_missing(const Safetensors& content, const std::string& name, const std::string& path) {
  for (const auto& entry : content.tensors) {
    const std::string& other = entry.first;
    if (other.ends_with("." + path)) {
      fail<DataError>(
          "{}: the parameter {} is missing, but {} is there: the file is of a model that has this one as its "
          "part "
          "{}; load it into that model, or take the prefix \"{}\" off the names",
          name, path, other, other.substr(0, other.size() - path.size() - 1),
          other.substr(0, other.size() - path.size()));
    }
    if (path.ends_with("." + other)) {
      fail<DataError>(
          "{}: the parameter {} is missing, but {} is there: the file is of the part {} of this model; load "
          "it into "
          "that part, or put the prefix \"{}\" before the names",
          name, path, other, path.substr(0, path.size() - other.size() - 1),
          path.substr(0, path.size() - other.size()));
    }
  }
  fail<DataError>("{}: the parameter {} is missing", name, path);
}

}  // namespace gradus::nn::detail
