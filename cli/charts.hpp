#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/tensor.hpp"

/// Pictures for an HTML page, as SVG. Colours are the page's, by the classes c0 to c7, text, axis and grid.
namespace gradus::cli {

/// A text where HTML wants one: control characters and bytes that are no UTF-8 are shown as \xHH.
std::string html(std::string_view text);

struct Line {
  std::string name;
  std::size_t color = 0;
  bool dashed = false;
  std::vector<std::pair<double, double>> points;  // (x, y), x rising; those that are not finite are left out
};
/// Lines over an axis from the smallest to the largest x, with a legend where there are several.
/// `logarithmic`: the y axis, of which points of 0 or less are left out. Empty where no line has a point.
std::string line_chart(std::string_view title, std::string_view x_name, const std::vector<Line>& lines,
                       bool logarithmic = false);

/// A table of numbers from 0 to 1 as squares, with a name for each row and column.
std::string heat_map(std::string_view title, const Tensor& values, std::span<const std::string> rows,
                     std::span<const std::string> columns);

/// Names at their places in the plane.
std::string name_map(std::string_view title, const std::vector<std::string>& names,
                     const std::vector<std::pair<double, double>>& places);

}  // namespace gradus::cli
