#include "autograd/describe.hpp"

#include <algorithm>

namespace gradus::detail {

void Description::add_module(int depth, std::string_view name, const std::string& type) {
  // What a template was made of stands below.
  const std::string plain = type.substr(0, type.find('<'));
  lines_.push_back({fmt::format("{:{}}{}{}{}", "", 2 * depth, name, name.empty() ? "" : ": ", plain), {}});
}

void Description::add_tensor(int depth, std::string_view name, const Tensor& value, bool is_buffer) {
  lines_.push_back(
      {fmt::format("{:{}}{}", "", 2 * depth, name), value.shape().text(), value.size(), is_buffer});
}

std::string Description::text() const {
  std::size_t name_width = 0, shape_width = 0, size_width = 0;
  std::int64_t parameters = 0, buffers = 0;
  for (const Line& line : lines_) {
    if (line.size < 0) continue;
    name_width = std::max(name_width, line.name.size());
    shape_width = std::max(shape_width, line.shape.size());
    size_width = std::max(size_width, std::to_string(line.size).size());
    (line.is_buffer ? buffers : parameters) += line.size;
  }
  std::string out;
  for (const Line& line : lines_) {
    if (line.size < 0) {
      out += line.name + "\n";
    } else {
      out += fmt::format("{:<{}}  {:>{}}  {:>{}}{}\n", line.name, name_width, line.shape, shape_width,
                         line.size, size_width, line.is_buffer ? "  buffer" : "");
    }
  }
  out += fmt::format("{} parameters", parameters);
  return out + (buffers > 0 ? fmt::format(", {} numbers in buffers\n", buffers) : "\n");
}

}  // namespace gradus::detail
