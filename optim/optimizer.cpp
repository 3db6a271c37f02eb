#include "optim/optimizer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "optim/clip.hpp"
#include "tensor/ops.hpp"
#include "tensor/value_summary.hpp"

namespace gradus::optim::detail {

namespace {
Shape shape_of(const Gradient& gradient) {
  const Shape shape = gradient.values().shape();
  return gradient.is_sparse() ? shape.with(0, gradient.rows.height) : shape;
}

/// Ascending, each once, and in the parameter: threads may then take a row each.
bool has_good_ids(const Rows& rows) {
  const std::span<const std::int32_t> ids = rows.ids.values();
  if (static_cast<std::int64_t>(ids.size()) != rows.values.dim(0)) return false;
  if (ids.empty()) return true;
  if (std::ranges::adjacent_find(ids, std::ranges::greater_equal()) != ids.end()) return false;
  return ids.front() >= 0 && ids.back() < rows.height;
}
}  // namespace

bool fits(const Parameter& parameter, const Gradient& gradient) {
  const Tensor& values = gradient.values();
  if (values.dtype() != parameter.dtype()) return false;
  if (!gradient.is_sparse()) return values.same_shape(parameter.value());
  return shape_of(gradient) == parameter.shape() && has_good_ids(gradient.rows);
}

bool unchanged(State& state, const Parameter& parameter) {
  if (state.t > 0) return state.dtype == parameter.dtype() && state.shape == parameter.shape();
  state.dtype = parameter.dtype();
  state.shape = parameter.shape();
  return true;
}

void make_arrays(State& state, int count, const Tensor& like) {
  for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k)
    if (!state.arrays[k].defined()) state.arrays[k] = zeros_like(like);
}

void make_arrays(State& state, const StateArrays& arrays) {
  if (arrays.size() > most_state) fail_state(static_cast<int>(arrays.size()));
  for (std::size_t k = 0; k < arrays.size(); ++k)
    if (!state.arrays[k].defined()) state.arrays[k] = zeros(arrays[k].shape, state.dtype);
}

Tensor scaled(const Gradient& gradient, double scale) {
  Tensor g = gradient.tensor();
  return scale == 1 ? g : std::move(g) * scale;
}

void fail_unfit(const std::string& path, const Parameter& parameter, const Gradient& gradient) {
  if (shape_of(gradient) == parameter.shape() && gradient.values().dtype() == parameter.dtype()) {
    fail<ShapeError>(
        "the optimizer's step: the rows of the gradient of parameter {} must be ascending, each once, and "
        "below {}, with one id each; Rows::merged makes them so",
        path, gradient.rows.height);
  }
  fail<ShapeError>("the optimizer's step: parameter {} is {} of shape {}, its gradient {} of shape {}", path,
                   name_of(parameter.dtype()), parameter.shape(), name_of(gradient.values().dtype()),
                   shape_of(gradient));
}

void check_finite(const std::string& path, const Gradient& gradient) {
  if (all_finite(gradient.values())) return;
  fail<NumericError>(
      "the optimizer's step: the gradient of parameter {} is not finite: {}; nothing was changed. A Tape of "
      "{{.check_finite = true}} finds the op that made it",
      path, gradus::value_summary(gradient.values()));
}

void fail_changed(const std::string& path, const Parameter& parameter, const State& state) {
  fail<ShapeError>(
      "the optimizer's step: parameter {} is {} of shape {}, but was {} of shape {} at an earlier step; "
      "begin with a new optimizer",
      path, name_of(parameter.dtype()), parameter.shape(), name_of(state.dtype), state.shape);
}

void fail_unlisted(const Gradient& gradient) {
  const std::string use = *gradient.used_by == '\0' ? std::string()
                                                    : fmt::format(", first used by {} at {},",
                                                                  gradient.used_by, gradient.used_at.text());
  fail<TapeError>(
      "the optimizer's step: the loss depends on a parameter of shape {}{} that the model does not list: add "
      "it to the module's members; if a part of the model is stepped, give it its own gradients, as in "
      "step(model.head, gradients.of(model.head)); or, if the model was copied, step the one that computed "
      "the loss",
      shape_of(gradient), use);
}

void fail_listed_twice(const std::vector<std::string>& paths) {
  fail<TapeError>(
      "the optimizer's step: the model lists one parameter twice, as {} and as {}; name each once in its "
      "module's members",
      paths.at(0), paths.at(1));
}

void fail_state(int state) {
  fail<ArgumentError>(
      "Optimizer: the rule's `state` asks for {} values of each element, but none of its `update` functions "
      "takes so many after p and g; at most {} are possible, also of the arrays of a whole rule",
      state, most_state);
}

void put_state(const State& state, const StateArrays& arrays, const char* memory_name,
               const std::string& path, Safetensors& out) {
  for (std::size_t k = 0; k < arrays.size(); ++k)
    out.tensors.emplace(path + "." + arrays[k].name, state.arrays[k]);
  // Doubles hold every number of steps and the memory exactly.
  out.tensors.emplace(path + ".step", Tensor::scalar(static_cast<double>(state.t), Dtype::f64));
  if (memory_name != nullptr)
    out.tensors.emplace(path + "." + memory_name, Tensor::scalar(state.memory, Dtype::f64));
}

State take_state(const Safetensors& from, const StateArrays& arrays, const char* memory_name,
                 const std::string& path, const Parameter& parameter, const std::string& name,
                 std::size_t& taken) {
  const auto find = [&](const std::string& what) -> const Tensor* {
    const auto found = from.tensors.find(path + "." + what);
    if (found == from.tensors.end()) return nullptr;
    ++taken;
    return &found->second;
  };
  State out;
  const Tensor* const steps = find("step");
  if (steps == nullptr) return out;
  const double t = steps->size() == 1 ? steps->item() : -1;
  if (!(t >= 1 && t < 0x1p53 && t == std::floor(t)))
    fail<DataError>("{}: {}.step is not a number of steps", name, path);
  out.t = static_cast<std::int64_t>(t);
  out.shape = parameter.shape();
  out.dtype = parameter.dtype();
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    const auto& [what, shape] = arrays[k];
    const Tensor* const array = find(what);
    if (array == nullptr) {
      fail<DataError>("{}: {}.{} is missing; is it the state of another kind of optimizer?", name, path,
                      what);
    }
    if (array->shape() != shape)
      fail<DataError>("{}: {}.{} has shape {}; it must be {}", name, path, what, array->shape(), shape);
    if (!all_finite(*array)) fail<DataError>("{}: {}.{} holds NaN or infinity", name, path, what);
    out.arrays[k] = array->to(parameter.dtype());
  }
  if (memory_name != nullptr) {
    const Tensor* const memory = find(memory_name);
    if (memory == nullptr || memory->size() != 1 || !std::isfinite(memory->item())) {
      fail<DataError>(
          "{}: {}.{} is missing or not a finite number; is it the state of another kind of optimizer?", name,
          path, memory_name);
    }
    out.memory = memory->item();
  }
  return out;
}

void fail_left_over(const Safetensors& from, const std::vector<std::string>& paths, const std::string& name) {
  for (const auto& [key, tensor] : from.tensors) {
    const std::string owner = key.substr(0, key.rfind('.'));
    if (std::ranges::find(paths, owner) == paths.end())
      fail<DataError>("{}: {} is the state of a parameter that the model does not have", name, key);
  }
  fail<DataError>(
      "{}: it holds more than this optimizer keeps of a parameter; is it the state of another kind?", name);
}

}  // namespace gradus::optim::detail

namespace gradus::optim {

void detail::fail_norm(double norm) {
  fail<NumericError>(
      "the gradients' norm is {}; lower the learning rate, or find the op with a Tape of {{.check_finite = "
      "true}}",
      norm);
}

double detail::clip_scale(double norm, double limit) {
  if (!(limit > 0)) fail<ArgumentError>("clip_norm: a limit of {}; it must be above 0", limit);
  if (!std::isfinite(norm)) fail_norm(norm);
  return std::min(limit / (norm + 1e-6), 1.0);
}

double clip_norm(Gradients& gradients, double limit) {
  const double before = norm(gradients);
  const double scale = detail::clip_scale(before, limit);
  if (scale < 1) gradients *= scale;
  return before;
}

void add_noise(Gradients& gradients, Rng& rng, double deviation) {
  if (!(deviation >= 0 && std::isfinite(deviation)))
    fail<ArgumentError>("add_noise: a deviation of {}; it must be a finite number, 0 or more", deviation);
  for (Gradient& entry : gradients.entries()) {
    Tensor& values = entry.values();
    add_to(values, rng.normal(values.shape(), 0, deviation, values.dtype()));
  }
}

void clip_value(Gradients& gradients, double limit) {
  if (!(limit > 0)) fail<ArgumentError>("clip_value: a limit of {}; it must be above 0", limit);
  for (Gradient& entry : gradients.entries()) {
    Tensor& values = entry.is_sparse() ? entry.rows.values : entry.dense;
    values = minimum(maximum(std::move(values), -limit), limit);
  }
}

}  // namespace gradus::optim
