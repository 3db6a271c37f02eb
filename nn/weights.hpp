#pragma once

#include "autograd/members.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::nn {

namespace detail {
/// Throws DataError for a parameter without a tensor, and says so where tensors of the same name stand under
/// another prefix, as those of a whole model do for a part of it.
[[noreturn]] void fail_missing(const Safetensors& content, const std::string& name, const std::string& path);
/// Throws DataError naming the first tensor that the module has no parameter for.
template <class M>
[[noreturn]] void fail_left_over(const M& module, const Safetensors& content, const std::string& name) {
  for (const auto& entry : content.tensors) {
    bool known = false;
    for_each_parameter(module,
                       [&](const std::string& path, const Parameter&) { known |= path == entry.first; });
    if (!known) fail<DataError>("{}: the model has no parameter {}", name, entry.first);
  }
  fail<DataError>("{}: the model lists a parameter twice", name);
}
}  // namespace detail

/// The values of a module's parameters under their paths, such as "lstm.weight_ih_l0".
template <class M>
Safetensors weights(const M& module) {
  Safetensors out;
  for_each_parameter(module, [&](const std::string& path, const Parameter& parameter) {
    out.tensors.emplace(path, parameter.value());
  });
  return out;
}

/// Sets a module's parameters to the tensors under their paths, converted to the parameters' dtype. When one
/// is missing, has another shape, or belongs to no parameter, throws DataError, which names it and `name`,
/// before anything is changed.
template <class M>
void set_weights(M& module, const Safetensors& content, const std::string& name = "the weights") {
  std::size_t used = 0;
  for_each_parameter(module, [&](const std::string& path, const Parameter& parameter) {
    const auto found = content.tensors.find(path);
    if (found == content.tensors.end()) detail::fail_missing(content, name, path);
    if (found->second.shape() != parameter.shape()) {
      fail<DataError>("{}: the parameter {} has shape {}; the model's is {}", name, path,
                      found->second.shape(), parameter.shape());
    }
    ++used;
  });
  if (used != content.tensors.size()) detail::fail_left_over(module, content, name);
  for_each_parameter(module, [&](const std::string& path, Parameter& parameter) {
    parameter.mutable_value() = content.tensors.at(path).to(parameter.dtype());
  });
}

/// Writes a module's parameters to a safetensors file, which PyTorch can read, with the same names. On an
/// error throws DataError naming the file, and leaves no partial file.
template <class M>
void save_weights(const std::filesystem::path& file, const M& module) {
  save_safetensors(file, weights(module));
}
/// Reads them into a module with the same parameters. Throws what load_safetensors and set_weights throw; the
/// module is then unchanged.
template <class M>
void load_weights(const std::filesystem::path& file, M& module) {
  set_weights(module, load_safetensors(file), file.string());
}

}  // namespace gradus::nn
