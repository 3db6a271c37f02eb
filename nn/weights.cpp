#include "nn/weights.hpp"

namespace gradus::nn::detail {

void fail_missing(const Safetensors& content, const std::string& name, const std::string& path) {
  for (const auto& entry : content.tensors) {
    const std::string& other = entry.first;
    const bool of_whole = other.ends_with("." + path);
    if (!of_whole && !path.ends_with("." + other)) continue;
    const std::string& longer = of_whole ? other : path;
    const std::string prefix = longer.substr(0, longer.size() - (of_whole ? path : other).size());
    const std::string part = prefix.substr(0, prefix.size() - 1);
    fail<DataError>("{}: the parameter {} is missing, but {} is there: {}", name, path, other,
                    of_whole
                        ? fmt::format("the file is of a model that has this one as its part {}; load it "
                                      "into that model, or take the prefix \"{}\" off the names",
                                      part, prefix)
                        : fmt::format("the file is of the part {} of this model; load it into that part, "
                                      "or put the prefix \"{}\" before the names",
                                      part, prefix));
  }
  fail<DataError>("{}: the parameter {} is missing", name, path);
}

}  // namespace gradus::nn::detail
