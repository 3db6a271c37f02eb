#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/module_path.hpp"

namespace gradus {

namespace detail {

/// The lines of what `describe` prints.
class Description {
 public:
  void add_module(int depth, std::string_view name, const std::string& type);
  void add_tensor(int depth, std::string_view name, const Tensor& value, bool is_buffer);
  std::string text() const;

 private:
  struct Line {
    std::string name, shape;
    std::int64_t size = -1;  // of a tensor
    bool is_buffer = false;
  };
  std::vector<Line> lines_;
};

template <class Part>
void describe_part(Description& out, int depth, std::string_view name, const Part& part) {
  if constexpr (PartLeaf<Part>) {
    if (part.value().defined()) out.add_tensor(depth, name, part.value(), std::is_same_v<Part, Buffer>);
  } else if constexpr (Module<const Part>) {
    out.add_module(depth, name, type_name<Part>());
    Part::members(
        part, [&](std::string_view inner, const auto& held) { describe_part(out, depth + 1, inner, held); });
  } else if constexpr (PartList<const Part>) {
    const std::string prefix = std::string(name) + ".";
    for (std::size_t i = 0; i < part.size(); ++i)
      describe_part(out, depth, prefix + std::to_string(i), part[i]);
  } else if constexpr (PartHolder<const Part>) {
    visit_held(part, [&](const auto& held) { describe_part(out, depth, name, held); });
  } else {
    refuse_part<std::remove_const_t<Part>>();
  }
}

}  // namespace detail

/// The tree of a module: a line for each module with its type, and for each parameter and buffer with its
/// shape and the number of its elements; then how many there are in all.
///
///   Model
///     body: Linear
///       weight            (256, 784)  200704
///       bias                  (256,)     256
///     norm: BatchNorm1d
///       weight                (256,)     256
///       bias                  (256,)     256
///       running_mean          (256,)     256  buffer
///       ...
///   201472 parameters, 513 numbers in buffers
template <class M>
std::string describe(const M& module) {
  detail::Description out;
  detail::describe_part(out, 0, {}, module);
  return out.text();
}

}  // namespace gradus
