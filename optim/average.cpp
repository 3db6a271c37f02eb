#include "optim/average.hpp"

#include <cmath>

#include "autograd/elementwise.hpp"

namespace gradus::optim {

Tensor detail::averaged(const Tensor& average, const Tensor& value, double share) {
  return elementwise([share](const auto& a, const auto& v) { return a + (v - a) * share; }, average, value);
}

WeightAverage::WeightAverage(const Options& options) : options_(options) {
  const double decay = options.decay.value_or(0);
  if (!(decay >= 0 && decay < 1))
    fail<ArgumentError>("WeightAverage: decay is {}; it must be at least 0 and below 1", decay);
}

void WeightAverage::check(const std::string& path, const Parameter& parameter) const {
  const auto found = averages_.find(parameter.id());
  if (found == averages_.end()) return;
  const Tensor& average = found->second.value;
  if (average.dtype() != parameter.dtype() || !average.same_shape(parameter.value())) {
    fail<ShapeError>(
        "WeightAverage: parameter {} is {} of shape {}, its average {} of shape {}; begin a new one", path,
        name_of(parameter.dtype()), parameter.shape(), name_of(average.dtype()), average.shape());
  }
}

void WeightAverage::require(const std::string& path, const Parameter& parameter) const {
  if (!averages_.contains(parameter.id()))
    fail<ArgumentError>("WeightAverage: there is no average of parameter {} yet; update(model) first", path);
  check(path, parameter);
}

void WeightAverage::add(const Parameter& parameter) {
  Average& average = averages_[parameter.id()];
  const std::int64_t before = average.updates++;
  if (before == 0) {
    average.value = parameter.value();
    return;
  }
  const double share = options_.decay ? 1 - *options_.decay : 1 / static_cast<double>(before + 1);
  average.value = detail::averaged(average.value, parameter.value(), share);
}

WeightAverage::Average WeightAverage::take(const Safetensors& from, const std::string& path,
                                           const Parameter& parameter, const std::string& name) {
  const Tensor& value = from.tensors.at(path);
  if (!value.same_shape(parameter.value())) {
    fail<DataError>("{}: the average of {} has shape {}, the parameter {}", name, path, value.shape(),
                    parameter.shape());
  }
  const auto updates = from.tensors.find(path + ".updates");
  const double n = updates == from.tensors.end() || updates->second.size() != 1 ? 0 : updates->second.item();
  if (!(n >= 1 && n < 0x1p53 && n == std::floor(n)))
    fail<DataError>("{}: {}.updates is missing or not a number of updates", name, path);
  return {value.to(parameter.dtype()), static_cast<std::int64_t>(n)};
}

void WeightAverage::fail_left_over(const std::string& name, std::size_t known, std::size_t found) {
  fail<DataError>(
      "{}: it holds {} tensors, of which {} are averages of this model's parameters, with their "
      "numbers of updates; is it another model's?",
      name, found, 2 * known);
}

}  // namespace gradus::optim
