#pragma once

#include <concepts>
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
/// A part is a Parameter, another module, or a std::vector or std::array of either. Everything here is
/// generic over that.
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

template <class Part>
concept TensorLike = std::derived_from<Part, Variable> || std::same_as<std::remove_const_t<Part>, Tensor>;
/// What stands for several parts.
template <class Part>
concept PartList = !TensorLike<Part> && requires(Part & parts) {
  parts.size();
  parts[0];
};

/// For a type that is no part of a module: says what to write instead, before the compiler says what is wrong
/// inside of the functions that walk over parts. P is not const.
template <class P>
constexpr void refuse_part() {
  constexpr bool member_of_object = requires(P & module) {
    module.members(module, AnyVisitor{});
  }
  || requires(P & module) {
    module.members(AnyVisitor{});
  };
  if constexpr (Module<P>) {
    static_assert(
        always_false<P>,
        "`members` of a module takes its first argument as auto& self, as it serves const modules too: "
        "static void members(auto& self, auto&& visit)");
  } else if constexpr (member_of_object) {
    static_assert(always_false<P>,
                  "`members` of a module is static: static void members(auto& self, auto&& visit)");
  } else if constexpr (TensorLike<P>) {
    static_assert(
        always_false<P>,
        "a Tensor or a Variable is no part of a module: a Parameter is, which is trained and saved");
  } else if constexpr (std::is_arithmetic_v<P> || std::is_enum_v<P>) {
    static_assert(always_false<P>,
                  "a number is no part of a module: leave it out of `members`, or make it a Parameter");
  } else if constexpr (std::is_array_v<P>) {
    static_assert(always_false<P>, "an array is no part of a module: make it a std::vector or a std::array");
  } else if constexpr (requires(P & part) { *part; }) {
    static_assert(always_false<P>,
                  "a pointer is no part of a module: hold the part itself, or several in a std::vector");
  } else {
    static_assert(
        always_false<P>,
        "a module is a struct with a public template static void members(auto& self, auto&& visit), which "
        "calls visit(\"name\", self.part) for each part: a Parameter, a module or a std::vector of either");
  }
}

template <class M, class Part>
constexpr void refuse_const_part() {
  static_assert(always_false<M, Part>,
                "`members` of a module takes its first argument as auto& self, so that parts can be changed: "
                "static void members(auto& self, auto&& visit)");
}

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
      if constexpr (!std::is_const_v<Part> && std::is_const_v<std::remove_reference_t<decltype(inner)>>) {
        refuse_const_part<Part, decltype(inner)>();
      } else {
        visit_part(path_of_part(path, name), inner, visit);
      }
    });
  } else if constexpr (PartList<Part>) {
    for (std::size_t i = 0; i < part.size(); ++i)
      visit_part(path_of_part(path, std::to_string(i)), part[i], visit);
  } else {
    refuse_part<std::remove_const_t<Part>>();  // once for a type
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
