#include "cli/charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "text/escapes.hpp"

namespace gradus::cli {

namespace {

using Points = std::vector<std::pair<double, double>>;

// Of a chart, in the units of its view box.
constexpr double width = 640, height = 260, left = 64, right = 14, top = 30, bottom = 40;
constexpr std::size_t most_points = 400;  // of a line; more are not seen

/// A step of 1, 2 or 5 times a power of ten, so that about `count` fit into a range.
double round_step(double range, int count) {
  const double rough = range / count, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double times : {1.0, 2.0, 5.0}) {
    if (rough <= times * power) return times * power;
  }
  return 10 * power;
}

std::string number(double value) {
  if (value != 0 && (std::abs(value) < 1e-3 || std::abs(value) >= 1e6)) return fmt::format("{:.2g}", value);
  return fmt::format("{:.6g}", std::round(value * 1e6) / 1e6);
}

/// An axis from the smallest to the largest number, and where it has marks.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> marks;

  double share(double value) const {
    if (logarithmic) return (std::log(value) - std::log(low)) / (std::log(high) - std::log(low));
    return (value - low) / (high - low);
  }
};

std::vector<double> round_marks(double low, double high, int count) {
  std::vector<double> out;
  const double step = round_step(high - low, count);
  for (double at = std::ceil(low / step - 1e-9) * step; at <= high + 1e-9 * step; at += step)
    out.push_back(at);
  return out;
}

Axis axis_of(double low, double high, int count, bool logarithmic) {
  Axis out{low, high, logarithmic, {}};
  if (logarithmic) {
    if (high < low * 1.1) {
      out.low = low / 1.1;
      out.high = high * 1.1;
    }
    for (double power = std::pow(10, std::floor(std::log10(out.low))); power <= out.high; power *= 10) {
      for (const double times : {1.0, 2.0, 5.0}) {
        if (times * power >= out.low && times * power <= out.high) out.marks.push_back(times * power);
      }
    }
    // Over less than a factor of five or so, marks at equal distances tell more.
    if (out.marks.size() < 3) out.marks = round_marks(out.low, out.high, count);
    return out;
  }
  if (!(high - low > 1e-12 * std::max(std::abs(low), std::abs(high)))) {
    out.low = low - std::max(std::abs(low) * 0.1, 1e-9);
    out.high = high + std::max(std::abs(high) * 0.1, 1e-9);
  }
  out.marks = round_marks(out.low, out.high, count);
  return out;
}

Points shown(const Points& all, bool logarithmic) {
  Points out;
  for (const auto& [x, y] : all) {
    if (std::isfinite(x) && std::isfinite(y) && (!logarithmic || y > 1e-300)) out.emplace_back(x, y);
  }
  if (out.size() <= most_points) return out;
  Points few;
  for (std::size_t i = 0; i < most_points; ++i) few.push_back(out[i * (out.size() - 1) / (most_points - 1)]);
  return few;
}

double x_of(const Axis& axis, double value) {
  return left + axis.share(value) * (width - left - right);
}
double y_of(const Axis& axis, double value) {
  return height - bottom - axis.share(value) * (height - top - bottom);
}

std::string grid(const Axis& x, const Axis& y, std::string_view x_name) {
  std::string out;
  for (const double mark : y.marks) {
    const double at = y_of(y, mark);
    out += fmt::format(R"(<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", left, at,
                       width - right, at);
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", left - 6,
                       at + 4, number(mark));
  }
  for (const double mark : x.marks)
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                       x_of(x, mark), height - bottom + 16, number(mark));
  out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", width - right,
                     height - 6, html(x_name));
  return out;
}

std::string legend(const std::vector<Line>& lines) {
  std::string out = R"(<ul class="legend">)";
  for (const Line& line : lines) {
    out += fmt::format(
        R"(<li><svg viewBox="0 0 24 8" class="key"><line class="line c{}{}" x1="0" y1="4" x2="24" y2="4"/></svg>{}</li>)",
        line.color % 8, line.dashed ? " dashed" : "", html(line.name));
  }
  return out + "</ul>";
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (const char c : escaped(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string line_chart(std::string_view title, std::string_view x_name, const std::vector<Line>& lines,
                       bool logarithmic) {
  std::vector<Line> kept;
  std::optional<std::pair<double, double>> xs, ys;
  const auto widen = [](auto& range, double value) {
    range = range ? std::pair(std::min(range->first, value), std::max(range->second, value))
                  : std::pair(value, value);
  };
  for (const Line& line : lines) {
    Line one{line.name, line.color, line.dashed, shown(line.points, logarithmic)};
    if (one.points.empty()) continue;
    for (const auto& [x, y] : one.points) {
      widen(xs, x);
      widen(ys, y);
    }
    kept.push_back(std::move(one));
  }
  if (kept.empty()) return {};
  const Axis x = axis_of(xs->first, xs->second, 6, false), y = axis_of(ys->first, ys->second, 5, logarithmic);
  std::string out = fmt::format(
      R"(<figure class="chart"><svg viewBox="0 0 {} {}" role="img" aria-label="{}"><text class="title" x="{}" y="18">{}</text>)",
      width, height, html(title), left, html(title));
  out += grid(x, y, x_name);
  for (const Line& line : kept) {
    std::string points;
    for (const auto& [px, py] : line.points)
      points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", x_of(x, px), y_of(y, py));
    const auto& [last_x, last_y] = line.points.back();
    const std::string about = fmt::format("{}: {} at {}", line.name, number(last_y), number(last_x));
    out += fmt::format(R"(<polyline class="line c{}{}" points="{}"><title>{}</title></polyline>)",
                       line.color % 8, line.dashed ? " dashed" : "", points, html(about));
    if (line.points.size() == 1)
      out +=
          fmt::format(R"(<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>)",
                      line.color % 8, x_of(x, last_x), y_of(y, last_y), html(about));
  }
  out += "</svg>";
  if (kept.size() > 1) out += legend(kept);
  return out + "</figure>\n";
}

std::string heat_map(std::string_view title, const Tensor& values, std::span<const std::string> rows,
                     std::span<const std::string> columns) {
  constexpr double cell = 16, row_names = 90, column_names = 74;
  const double wide = row_names + cell * static_cast<double>(columns.size()) + 4,
               high = column_names + cell * static_cast<double>(rows.size()) + 4;
  std::string out = fmt::format(
      R"(<figure class="map"><figcaption>{}</figcaption><svg viewBox="0 0 {:.0f} {:.0f}" style="width:{:.0f}px" role="img" aria-label="{}">)",
      html(title), wide, high, wide, html(title));
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const double at = row_names + cell * (static_cast<double>(j) + 0.7);
    out += fmt::format(R"x(<text class="tick" transform="translate({:.1f},{:.1f}) rotate(-60)">{}</text>)x",
                       at, column_names - 5, html(columns[j]));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double y = column_names + cell * static_cast<double>(i);
    out += fmt::format(R"(<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                       row_names - 5, y + 12, html(rows[i]));
    for (std::size_t j = 0; j < columns.size(); ++j) {
      const double value = values.at(static_cast<std::int64_t>(i * columns.size() + j));
      if (!(value >= 0.005)) continue;
      out += fmt::format(
          R"(<rect class="cell" x="{:.1f}" y="{:.1f}" width="{}" height="{}" fill-opacity="{:.2f}"><title>{}, {}: {:.2f}</title></rect>)",
          row_names + cell * static_cast<double>(j), y, cell - 1, cell - 1, std::min(value, 1.0),
          html(rows[i]), html(columns[j]), value);
    }
  }
  return out + "</svg></figure>\n";
}

std::string name_map(std::string_view title, const std::vector<std::string>& names,
                     const std::vector<std::pair<double, double>>& places) {
  if (names.empty()) return {};
  constexpr double side_x = 900, side_y = 560, edge = 40;
  double low_x = places[0].first, high_x = low_x, low_y = places[0].second, high_y = low_y;
  for (const auto& [x, y] : places) {
    low_x = std::min(low_x, x);
    high_x = std::max(high_x, x);
    low_y = std::min(low_y, y);
    high_y = std::max(high_y, y);
  }
  const auto share = [](double value, double low, double high) {
    return high > low ? (value - low) / (high - low) : 0.5;
  };
  std::string out = fmt::format(
      R"(<figure class="chart wide"><svg viewBox="0 0 {} {}" role="img" aria-label="{}"><text class="title" x="10" y="18">{}</text>)",
      side_x, side_y, html(title), html(title));
  for (std::size_t i = 0; i < names.size(); ++i) {
    out += fmt::format(R"(<text class="name" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                       edge + share(places[i].first, low_x, high_x) * (side_x - 2 * edge),
                       edge + share(places[i].second, low_y, high_y) * (side_y - 2 * edge), html(names[i]));
  }
  return out + "</svg></figure>\n";
}

}  // namespace gradus::cli
