#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "autograd/buffer.hpp"
#include "autograd/variable.hpp"

/// Modules are plain structs with one static function that names their parts:
///
///   static void members(auto& self, auto&& visit) {
///     visit("embed", self.embed);
///     visit("head", self.head);
///   }
///
/// A part is a Parameter, a Buffer, another module, or a std::vector or std::array of parts, whose names are
/// their numbers; or a std::optional, std::unique_ptr or std::variant of parts, which has the name of what it
/// holds and is left out where it holds nothing. Everything here is generic over that.
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
  parts.front();
  parts[std::size_t{}];
};

/// What may hold a part: optional and unique_ptr.
template <class Part>
constexpr bool is_holder = false;
template <class Part>
constexpr bool is_holder<std::optional<Part>> = true;
template <class Part, class Deleter>
constexpr bool is_holder<std::unique_ptr<Part, Deleter>> = !std::is_array_v<Part>;
template <class Part>
constexpr bool is_variant = false;
template <class... Parts>
constexpr bool is_variant<std::variant<Parts...>> = true;
template <class Part>
concept PartHolder = is_holder<std::remove_const_t<Part>> || is_variant<std::remove_const_t<Part>>;

/// Calls visit(part) with what a holder holds, if it does; it is const in a const holder.
template <class Holder, class Visit>
void visit_held(Holder& holder, Visit&& visit) {
  const auto pass_on = [&]<class Part>(Part& part) {
    if constexpr (std::is_const_v<Holder>) {
      visit(std::as_const(part));
    } else {
      visit(part);
    }
  };
  if constexpr (is_variant<std::remove_const_t<Holder>>) {
    if (holder.valueless_by_exception()) return;
    const auto unless_none = [&]<class Part>(Part& part) {
      if constexpr (!std::same_as<std::remove_const_t<Part>, std::monostate>) pass_on(part);
    };
    std::visit(unless_none, holder);
  } else if (holder) {
    pass_on(*holder);
  }
}

template <class P>
constexpr bool is_array_pointer = false;
template <class P, class Deleter>
constexpr bool is_array_pointer<std::unique_ptr<P[], Deleter>> = true;

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
        "a Tensor or a Variable is no part of a module: a Parameter is, which is trained and saved, or a "
        "Buffer, which is saved alone");
  } else if constexpr (std::is_arithmetic_v<P> || std::is_enum_v<P>) {
    static_assert(always_false<P>,
                  "a number is no part of a module: leave it out of `members`, or make it a Parameter");
  } else if constexpr (std::is_array_v<P> || is_array_pointer<P>) {
    static_assert(always_false<P>, "an array is no part of a module: make it a std::vector or a std::array");
  } else if constexpr (requires(P & part) { *part; }) {
    static_assert(always_false<P>,
                  "a pointer is no part of a module, but for a std::unique_ptr: hold the part itself, or "
                  "several in a std::vector");
  } else if constexpr (requires(P & parts) { parts.begin(); }) {
    static_assert(always_false<P>,
                  "this container is no part of a module: hold several parts in a std::vector or a "
                  "std::array, whose numbers are their names");
  } else {
    static_assert(
        always_false<P>,
        "a module is a struct with a public template static void members(auto& self, auto&& visit), which "
        "calls visit(\"name\", self.part) for each part: a Parameter, a Buffer, a module, or a std::vector, "
        "std::array, std::optional, std::unique_ptr or std::variant of them");
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

template <class Part>
concept PartLeaf =
    std::same_as<std::remove_const_t<Part>, Parameter> || std::same_as<std::remove_const_t<Part>, Buffer>;

/// Refuses what a holder holds before it is walked over, as the compiler's message would grow with the walk.
template <class Part>
constexpr void check_part() {
  constexpr bool is_part = PartLeaf<Part> || Module<Part> || PartList<Part> || PartHolder<Part> ||
                           std::same_as<Part, std::monostate>;
  if constexpr (!is_part) refuse_part<std::remove_const_t<Part>>();
}
template <class Holder>
struct CheckHeld;
template <template <class...> class Holder, class... Parts>
struct CheckHeld<Holder<Parts...>> {
  static constexpr void check() { (check_part<Parts>(), ...); }
};
template <class Part, class Deleter>
struct CheckHeld<std::unique_ptr<Part, Deleter>> {
  static constexpr void check() { check_part<Part>(); }
};

/// Whether a visitor wants modules of a type as a whole, not the parts in them.
template <class Visit, class Part>
concept TakesWhole = requires {
  requires std::remove_const_t<Visit>::template takes_whole<std::remove_const_t<Part>>;
};

/// Calls visit(path, leaf) for each Parameter and Buffer in a part, and for each module that it takes whole.
template <class Path, class Part, class Visit>
void visit_part(const Path& path, Part& part, Visit& visit) {
  if constexpr (PartLeaf<Part> || TakesWhole<Visit, Part>) {
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
  } else if constexpr (PartHolder<Part>) {
    CheckHeld<std::remove_const_t<Part>>::check();
    visit_held(part, [&](auto& held) { visit_part(path, held, visit); });
  } else {
    refuse_part<std::remove_const_t<Part>>();  // once for a type
  }
}

}  // namespace detail

/// Calls visit(path, parameter) for each parameter in the order of `members`; the path is PyTorch's, such as
/// "lstm.weight_ih_l0". Parameters without a value (a bias that is off) are left out.
template <class M, class Visit>
void for_each_parameter(M& module, Visit&& visit) {
  const auto with_value = [&]<class Leaf>(const std::string& path, Leaf& leaf) {
    if constexpr (std::derived_from<Leaf, Parameter>) {
      if (leaf.value().defined()) visit(path, leaf);
    }
  };
  detail::visit_part(std::string(), module, with_value);
}

/// The same, calling visit(parameter): for every training step, as it allocates nothing.
template <class M, class Visit>
void for_each_unnamed_parameter(M& module, Visit&& visit) {
  const auto with_value = [&]<class Leaf>(detail::NoPath, Leaf& leaf) {
    if constexpr (std::derived_from<Leaf, Parameter>) {
      if (leaf.value().defined()) visit(leaf);
    }
  };
  detail::visit_part(detail::NoPath{}, module, with_value);
}

/// Calls visit(path, buffer) for each buffer that has a value, in the order of `members`.
template <class M, class Visit>
void for_each_buffer(M& module, Visit&& visit) {
  const auto with_value = [&]<class Leaf>(const std::string& path, Leaf& leaf) {
    if constexpr (std::same_as<std::remove_const_t<Leaf>, Buffer>) {
      if (leaf.value().defined()) visit(path, leaf);
    }
  };
  detail::visit_part(std::string(), module, with_value);
}

/// The number of trainable numbers.
template <class M>
std::int64_t count_parameters(const M& module) {
  std::int64_t count = 0;
  for_each_parameter(module,
                     [&](const std::string&, const Parameter& parameter) { count += parameter.size(); });
  return count;
}

/// The number of numbers in buffers.
template <class M>
std::int64_t count_buffers(const M& module) {
  std::int64_t count = 0;
  for_each_buffer(module, [&](const std::string&, const Buffer& buffer) { count += buffer.value().size(); });
  return count;
}

/// Converts every parameter, and every buffer but those that keep their dtype, to the dtype: a gradient check
/// runs the same model in f64.
template <class M>
void convert(M& module, Dtype dtype) {
  for_each_parameter(module, [&](const std::string&, Parameter& parameter) {
    parameter.mutable_value() = parameter.value().to(dtype);
  });
  for_each_buffer(module, [&](const std::string&, Buffer& buffer) {
    if (buffer.dtypes() == Buffer::Dtypes::converted) buffer.update(buffer.value().to(dtype));
  });
}

}  // namespace gradus
