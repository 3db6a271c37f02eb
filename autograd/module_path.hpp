#pragma once

#include <cstdint>
#include <string>

#include "autograd/members.hpp"
#include "autograd/op.hpp"

namespace gradus {

namespace detail {

/// How the parts of one type of module are found; `find` tells the types apart.
struct ModuleType {
  std::string (*name)();
  /// Puts the path from a module of this type to its part of that type at that address into `path`; false
  /// when it has none.
  bool (*find)(const void* module, const void* part, const ModuleType* type, std::string& path);
};

/// "RecurrentNetwork<Lstm>" from the compiler's text of a function with "M = gradus::...".
std::string short_type_name(const char* pretty_function);

template <class M>
std::string type_name() {
  return short_type_name(__PRETTY_FUNCTION__);
}

/// In place: a step of training takes nothing from the heap for a path that fits where the last one stood.
template <class Name>
void put_before(std::string& path, const Name& name) {
  if (!path.empty()) path.insert(0, 1, '.');
  path.insert(0, name);
}

/// Sets `path` to that of the wanted part inside this one, where it is, and `path` is then empty for the part
/// itself. Looks at direct parts only, or at all.
template <class Part>
bool find_part(const Part& part, const void* wanted, const ModuleType* type, bool deep, std::string& path);

template <class M>
bool find_in_module(const void* module, const void* wanted, const ModuleType* type, std::string& path) {
  const M& owner = *static_cast<const M*>(module);
  // Most often the part is a direct one: a deep search would look at everything that stands before it.
  for (const bool deep : {false, true}) {
    bool found = false;
    M::members(owner, [&](const auto& name, const auto& part) {
      if (found || !find_part(part, wanted, type, deep, path)) return;
      found = true;
      put_before(path, name);
    });
    if (found) return true;
  }
  return false;
}

template <class M>
inline constexpr ModuleType module_type{&type_name<M>, &find_in_module<M>};

/// The same, or one line that says what is wrong with a type that is no module.
template <class M>
constexpr const ModuleType* checked_module_type() {
  if constexpr (Module<const M>) {
    return &module_type<M>;
  } else {
    refuse_part<M>();
    return nullptr;
  }
}

template <class Part>
bool find_part(const Part& part, const void* wanted, const ModuleType* type, bool deep, std::string& path) {
  if constexpr (PartLeaf<Part>) {
    return false;
  } else if constexpr (Module<const Part>) {
    path.clear();
    if (&part == wanted && module_type<Part>.find == type->find) return true;
    return deep && find_in_module<Part>(&part, wanted, type, path);
  } else if constexpr (PartList<const Part>) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (!find_part(part[i], wanted, type, deep, path)) continue;
      put_before(path, std::to_string(i));
      return true;
    }
    return false;
  } else if constexpr (PartHolder<const Part>) {
    bool found = false;
    visit_held(part, [&](const auto& held) { found = find_part(held, wanted, type, deep, path); });
    return found;
  } else {
    refuse_part<std::remove_const_t<Part>>();
    return false;
  }
}

/// What ops are recorded in: the call of a module, or a sweep, which stands in for the module of the op that
/// is being differentiated. `tape` and `scope` remember its entry in a tape's table.
struct ScopeFrame : Frame {
  const void* module;      // null in a sweep
  const ModuleType* type;  // null in a sweep
  std::uint32_t tape = 0;
  std::uint32_t scope = 0;

  ScopeFrame(Kind of, const void* called, const ModuleType* type_of) noexcept
      : Frame(of), module(called), type(type_of) {}

  /// The innermost one of this thread, or null.
  static ScopeFrame* innermost() noexcept { return from(error_context); }
  /// The next one around it.
  ScopeFrame* around() const noexcept { return from(outer); }

 private:
  static ScopeFrame* from(ErrorContext* context) noexcept {
    auto* frame = static_cast<Frame*>(context);
    while (frame != nullptr && frame->kind == Kind::op) frame = static_cast<Frame*>(frame->outer);
    return static_cast<ScopeFrame*>(frame);
  }
};

}  // namespace detail

/// Marks the call of a module while it lives; the first line of a module's operator():
///
///   Variable operator()(const Variable& x) const {
///     const InModule here(*this);
///     return head(tanh(hidden(x)));
///   }
///
/// Errors thrown inside then begin with the module's path, "in Model.encoder.layers.1: ", and so do the
/// ops that a tape records, when it is printed or differentiated. The path is worked out from
/// `members` when it is needed; a module without this line is left out of it, and the path begins at the type
/// of the outermost module that has one. The module must outlive the scope, which belongs on the stack. Costs
/// a few stores.
class InModule : detail::ScopeFrame {
 public:
  template <class M>
  explicit InModule(const M& called) noexcept
      : ScopeFrame(Kind::module, &called, detail::checked_module_type<M>()) {}
  InModule(const InModule&) = delete;
  InModule& operator=(const InModule&) = delete;
  ~InModule() = default;
};

/// The path of the module that is being called on this thread, "LstmLm.head"; empty outside of all.
std::string module_path();

}  // namespace gradus
