#pragma once

#include <optional>
#include <unordered_map>

#include "autograd/members.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::optim {

namespace detail {
/// average + (value - average) * share, in one pass.
Tensor averaged(const Tensor& average, const Tensor& value, double share);
}  // namespace detail

/// An average of a model's weights over training, which often generalises better than the last ones:
///
///   WeightAverage average({.decay = 0.999});
///   ... after each step:   average.update(model);
///   ... to evaluate:       average.swap(model);  evaluate(model);  average.swap(model);
///
/// With a decay it is exponential, average = decay * average + (1 - decay) * weights. Without one it is the
/// mean of all updates: Polyak's (1992) when it is updated after each step, stochastic weight averaging
/// (Izmailov et al. 2018) when after some epochs. PyTorch's swa_utils.
class WeightAverage {
 public:
  struct Options {
    std::optional<double> decay = {};
  };

  /// The mean.
  WeightAverage() = default;
  /// Throws ArgumentError unless a decay is at least 0 and below 1.
  explicit WeightAverage(const Options& options);

  /// Takes in the weights as they are. Throws ShapeError, before anything changes, for a parameter that
  /// changed its shape or dtype.
  template <class M>
  void update(const M& model) {
    for_each_parameter(model,
                       [&](const std::string& path, const Parameter& parameter) { check(path, parameter); });
    for_each_unnamed_parameter(model, [&](const Parameter& parameter) { add(parameter); });
  }
  /// Exchanges the averages and the model's weights; a second call gives them back. Throws ArgumentError for
  /// a parameter without an average.
  template <class M>
  void swap(M& model) {
    for_each_parameter(
        model, [&](const std::string& path, const Parameter& parameter) { require(path, parameter); });
    for_each_unnamed_parameter(model, [&](Parameter& parameter) {
      std::swap(parameter.mutable_value(), averages_.at(parameter.id()).value);
    });
  }

  /// The averages by the parameters' paths, and the number of updates of each as "hidden.weight.updates".
  template <class M>
  Safetensors state(const M& model) const {
    Safetensors out;
    for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
      const auto found = averages_.find(parameter.id());
      if (found == averages_.end()) return;
      out.tensors.emplace(path, found->second.value);
      out.tensors.emplace(path + ".updates",
                          Tensor::scalar(static_cast<double>(found->second.updates), Dtype::f64));
    });
    return out;
  }
  /// Takes them back. Throws DataError, which calls it `name`, before anything changes, for a tensor that is
  /// missing, has another shape or belongs to no parameter.
  template <class M>
  void set_state(const M& model, const Safetensors& content,
                 const std::string& name = "the average's state") {
    std::unordered_map<std::uint32_t, Average> taken;
    for_each_parameter(model, [&](const std::string& path, const Parameter& parameter) {
      if (content.tensors.contains(path)) taken.emplace(parameter.id(), take(content, path, parameter, name));
    });
    if (2 * taken.size() != content.tensors.size())
      fail_left_over(name, taken.size(), content.tensors.size());
    for (auto& [id, average] : taken) averages_[id] = std::move(average);
  }

 private:
  struct Average {
    Tensor value;
    std::int64_t updates = 0;
  };
  void check(const std::string& path, const Parameter& parameter) const;
  void require(const std::string& path, const Parameter& parameter) const;
  void add(const Parameter& parameter);
  static Average take(const Safetensors& from, const std::string& path, const Parameter& parameter,
                      const std::string& name);
  [[noreturn]] static void fail_left_over(const std::string& name, std::size_t known, std::size_t found);

  Options options_;
  std::unordered_map<std::uint32_t, Average> averages_;  // by parameter id
};

}  // namespace gradus::optim
