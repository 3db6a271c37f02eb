#pragma once

#include <concepts>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/members.hpp"

namespace gradus {

/// The parameters of a module by reference, under their paths, as a module of one type for modules of any:
/// what is generic over modules, such as an optimizer, is then compiled once. The module must stay where it
/// is, and have the same parameters; those without a value are left out.
class ParameterView {
 public:
  ParameterView() = default;
  template <class M>
  requires(!std::same_as<std::remove_const_t<M>, ParameterView>) explicit ParameterView(M& module) {
    for_each_parameter(module, [&](const std::string& path, Parameter& parameter) {
      parts_.emplace_back(path, &parameter);
    });
  }
  /// The parameters and their paths.
  const std::vector<std::pair<std::string, Parameter*>>& parts() const { return parts_; }

  static void members(auto& self, auto&& visit) {
    for (auto& [path, parameter] : self.parts_) visit(path, *parameter);
  }

 private:
  std::vector<std::pair<std::string, Parameter*>> parts_;
};

}  // namespace gradus
