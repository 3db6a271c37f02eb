#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "autograd/variable.hpp"

/// Modules are plain structs with one static function that names their parts:
///
///   static void members(auto& self, auto&& visit) {
///     visit("embed", self.embed);
///     visit("head", self.head);
///   }
///
/// A part is a Parameter, another module, or a std::vector of either. Everything here is generic over that.
namespace gradus {

namespace detail {
struct AnyVisitor {
  template <class Part>
  void operator()(std::string_view, Part&) const {}
};
}  // namespace detail

template <class M>
concept Module = requires(M& module) {
  std::remove_const_t<M>::members(module, detail::AnyVisitor{});
};

namespace detail {

inline std::string path_of_part(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}
/// In place of a path, for a walk that must not allocate, as a long path would.
struct NoPath {};
inline NoPath path_of_part(NoPath, std::string_view) {
  return {};
}

template <class Path, class Part, class Visit>
void visit_part(const Path& path, Part& part, Visit& visit) {
  if constexpr (std::is_same_v<std::remove_const_t<Part>, Parameter>) {
    visit(path, part);
  } else if constexpr (Module<Part>) {
    std::remove_const_t<Part>::members(part, [&](std::string_view name, auto& inner) {
      visit_part(path_of_part(path, name), inner, visit);
    });
  } else {  // a std::vector of parts
    for (std::size_t i = 0; i < part.size(); ++i)
      visit_part(path_of_part(path, std::to_string(i)), part[i], visit);
  }
}

}  // namespace detail

/// Calls visit(path, parameter) for each parameter in the order of `members`; the path is PyTorch's, such as
/// "lstm.weight_ih_l0". Parameters without a value (a bias that is off) are left out.
template <class M, class Visit>
void for_each_parameter(M& module, Visit&& visit) {
  const auto with_value = [&](const std::string& path, auto& parameter) {
    if (parameter.value().defined()) visit(path, parameter);
  };
  detail::visit_part(std::string(), module, with_value);
}

/// The same, calling visit(parameter): for every training step, as it allocates nothing.
template <class M, class Visit>
void for_each_unnamed_parameter(M& module, Visit&& visit) {
  const auto with_value = [&](detail::NoPath, auto& parameter) {
    if (parameter.value().defined()) visit(parameter);
  };
  detail::visit_part(detail::NoPath{}, module, with_value);
}

/// The number of trainable numbers.
template <class M>
std::int64_t count_parameters(const M& module) {
  std::int64_t count = 0;
  for_each_parameter(module,
                     [&](const std::string&, const Parameter& parameter) { count += parameter.size(); });
  return count;
}

/// A line for each parameter, its path and shape, and one for their number.
template <class M>
std::string describe(const M& module) {
  std::string out;
  for_each_parameter(module, [&](const std::string& path, const Parameter& parameter) {
    out += fmt::format("{} {}\n", path, parameter.shape());
  });
  return out + fmt::format("{} parameters\n", count_parameters(module));
}

/// Converts every parameter to the dtype: a gradient check runs the same model in f64.
template <class M>
void convert(M& module, Dtype dtype) {
  for_each_parameter(module, [&](const std::string&, Parameter& parameter) {
    parameter.mutable_value() = parameter.value().to(dtype);
  });
}

}  // namespace gradus
