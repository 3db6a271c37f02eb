#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "autograd/members.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::nn {

/// How names in a file become those of a module's parameters, and what happens where they do not fit.
struct LoadOptions {
  /// Whether every parameter must be in the file, everything in the file be a parameter, and all shapes the
  /// same. Otherwise what fits is loaded, and the report lists the rest.
  bool strict = true;
  /// What is taken off the names in the file; those that do not begin with it are left alone.
  std::string prefix{};
  /// What makes the name of a parameter of a name in the file, without its prefix. An empty text leaves it
  /// out.
  std::function<std::string(const std::string&)> rename{};
};

/// What came of loading weights.
struct LoadReport {
  struct Misshapen {
    std::string name;
    Shape in_file, in_model;
  };
  std::vector<std::string> loaded, missing;  // by the module's names
  std::vector<std::string> unexpected;       // by the file's names
  std::vector<Misshapen> misshapen;

  /// True when everything in the file and every parameter found each other. PyTorch counts the batches of a
  /// normalisation in "num_batches_tracked"; where the module does not, it is no fault that the file does.
  bool complete() const;
  /// "missing: a, b; unexpected: c; of another shape: d ((2, 3) in the file, (3, 2) in the model)", with at
  /// most ten names of each kind; "4 loaded" when it is complete.
  std::string text() const;
};

namespace detail {

/// A tensor of a module that is saved with it, and its path.
struct SavedTensor {
  std::string path;
  Tensor* value;
};

/// Calls visit(path, tensor) for all that is saved and loaded: parameters and buffers that have a value.
template <class M, class Visit>
void for_each_saved(M& module, Visit&& visit) {
  const auto with_value = [&](const std::string& path, auto& leaf) {
    if (!leaf.value().defined()) return;
    if constexpr (std::is_const_v<M>) {
      visit(path, leaf.value());
    } else {
      visit(path, leaf.mutable_value());
    }
  };
  gradus::detail::visit_part(std::string(), module, with_value);
}

/// What load_weights does once the tensors are known.
LoadReport load_saved(const std::vector<SavedTensor>& tensors, const StoredArrays& content,
                      const std::string& name, const LoadOptions& options);

}  // namespace detail

/// The values of a module's parameters and buffers under their paths, such as "lstm.weight_ih_l0".
template <class M>
Safetensors weights(const M& module) {
  Safetensors out;
  detail::for_each_saved(
      module, [&](const std::string& path, const Tensor& value) { out.tensors.emplace(path, value); });
  return out;
}

/// Sets a module's parameters and buffers to the arrays under their paths, converted to their dtype. Throws
/// DataError, which calls the arrays `name`, before anything is changed: with LoadOptions::strict when they
/// do not fit, listing the missing, the unexpected and the misshapen; always when a number has no place in
/// the dtype or the module lists two parameters under one path.
template <class M>
LoadReport set_weights(M& module, const StoredArrays& content, const std::string& name = "the weights",
                       const LoadOptions& options = {}) {
  std::vector<detail::SavedTensor> tensors;
  detail::for_each_saved(module, [&](const std::string& path, Tensor& value) {
    tensors.push_back({path, &value});
  });
  return detail::load_saved(tensors, content, name, options);
}
template <class M>
LoadReport set_weights(M& module, const Safetensors& content, const std::string& name = "the weights",
                       const LoadOptions& options = {}) {
  return set_weights(module, stored(content), name, options);
}

/// Writes a module's parameters and buffers with the names that PyTorch gives them: to a safetensors file,
/// or, by the end of the file's name, to one of PyTorch's (".pt") or NumPy's (".npz"). The types of numbers,
/// parts of bounded size and the path returned are save_arrays' (tensor/files/stored_array.hpp), as is what
/// it throws; an error leaves no partial file.
template <class M>
std::filesystem::path save_weights(const std::filesystem::path& file, const M& module,
                                   const SaveOptions& options = {}) {
  return save_arrays(file, stored(weights(module)), options);
}

/// Reads weights into a module from a file of any format that open_arrays reads: safetensors, in several
/// parts too, PyTorch's .pt, NumPy's .npz. Only what the module asks for is read.
///
///   nn::load_weights("model.pt", encoder, {.strict = false, .prefix = "encoder."});
///
/// Throws what open_arrays and set_weights throw; the module is then unchanged.
template <class M>
LoadReport load_weights(const std::filesystem::path& file, M& module, const LoadOptions& options = {}) {
  return set_weights(module, open_arrays(file), file.string(), options);
}

}  // namespace gradus::nn
