#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "tensor/compact.hpp"
#include "tensor/indices.hpp"
#include "tensor/support/function_ref.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

namespace {

/// Lays out the elements of an array as NumPy does: a row a line, in columns that are aligned to the right.
class Printer {
 public:
  /// element(position): the text of the element at a row-major position.
  Printer(const Shape& shape, FunctionRef<std::string(std::int64_t)> element)
      : shape_(shape), abridged_(shape.size() > most_elements) {
    collect(0, 0, element);
    for (const std::string& cell : cells_) width_ = std::max(width_, cell.size());
  }

  std::string text() && {
    if (shape_.rank() == 0) return std::move(cells_[0]);
    if (shape_.size() == 0) return "[]";
    write(0, 0);
    return std::move(out_);
  }

 private:
  static constexpr std::int64_t most_elements = 1000;
  static constexpr std::int64_t edge = 3;  // so many entries are shown at each end of an axis
  static constexpr std::size_t line = 100;
  static constexpr std::int64_t gap = -1;

  /// The entries along an axis that are shown.
  std::vector<std::int64_t> entries(int axis) const {
    const std::int64_t length = shape_[axis];
    std::vector<std::int64_t> out;
    for (std::int64_t i = 0; i < length; ++i) {
      if (abridged_ && i == edge && length > 2 * edge) {
        out.push_back(gap);
        i = length - edge;
      }
      out.push_back(i);
    }
    return out;
  }

  void collect(int axis, std::int64_t position, FunctionRef<std::string(std::int64_t)> element) {
    if (axis == shape_.rank()) return cells_.push_back(element(position));
    for (const std::int64_t i : entries(axis))
      if (i != gap) collect(axis + 1, position * shape_[axis] + i, element);
  }

  void new_line(int axis) { out_.append("\n").append(static_cast<std::size_t>(axis) + 1, ' '); }

  void write(int axis, std::size_t column) {
    out_ += '[';
    ++column;
    const std::size_t start = column;
    bool first = true;
    for (const std::int64_t i : entries(axis)) {
      if (axis + 1 == shape_.rank()) {
        const std::string cell = i == gap ? "..." : fmt::format("{:>{}}", cells_[next_++], width_);
        if (!first) out_ += ',';
        if (!first && column + 3 + cell.size() > line) {
          new_line(axis);
          column = start;
        } else if (!first) {
          out_ += ' ';
          column += 2;
        }
        out_ += cell;
        column += cell.size();
      } else {
        if (!first) {
          out_ += ',';
          out_.append(static_cast<std::size_t>(shape_.rank() - axis - 2), '\n');
          new_line(axis);
        }
        if (i == gap) {
          out_ += "...";
        } else {
          write(axis + 1, start);
        }
      }
      first = false;
    }
    out_ += ']';
  }

  Shape shape_;
  bool abridged_;
  std::vector<std::string> cells_;  // what is shown, in row-major order
  std::size_t width_ = 0, next_ = 0;
  std::string out_;
};

std::string text_of(const Tensor& x) {
  if (!x.defined()) return "undefined";
  const int digits = x.dtype() == Dtype::f64 ? 8 : 6;
  const Tensor numbers = x.to(computing_dtype(x.dtype()));
  std::string out = Printer(x.shape(), [&](std::int64_t i) {
                      return fmt::format("{:.{}g}", numbers.at(i), digits);
                    }).text();
  return x.rank() == 0 ? out : fmt::format("{} {} {}", out, x.shape(), name_of(x.dtype()));
}

std::string text_of(const Indices& ids) {
  std::string out =
      Printer(ids.shape(), [&](std::int64_t i) { return std::to_string(ids.data()[i]); }).text();
  return ids.rank() == 0 ? out : fmt::format("{} {} indices", out, ids.shape());
}

}  // namespace

std::ostream& operator<<(std::ostream& to, const Shape& shape) {
  return to << shape.text();
}
std::ostream& operator<<(std::ostream& to, const Indices& ids) {
  return to << text_of(ids);
}
std::ostream& operator<<(std::ostream& to, const Tensor& x) {
  return to << text_of(x);
}

namespace detail {
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Shape& shape,
                                    fmt::format_context& context) {
  return how.format(shape.text(), context);
}
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Indices& ids,
                                    fmt::format_context& context) {
  return how.format(text_of(ids), context);
}
fmt::format_context::iterator print(const fmt::formatter<fmt::string_view>& how, const Tensor& x,
                                    fmt::format_context& context) {
  return how.format(text_of(x), context);
}
}  // namespace detail

}  // namespace gradus
