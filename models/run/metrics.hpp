#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradus::models {

/// What a run reports at a step: numbers by their names, in order, such as {"loss", 4.1},
/// {"gradient_norm/embed", 0.2}.
struct MetricsLine {
  std::int64_t step = 0;
  std::vector<std::pair<std::string, double>> numbers;
};

/// A line as JSON, {"step":100,"loss":4.1}; NaN and infinities are null. Without a line end.
std::string json_line(const MetricsLine& line);

/// The lines of a run's metrics.jsonl, in order, to what is no such line, as a run that is being written may
/// end with. Numbers that are null are left out. Throws DataError where the file cannot be read.
std::vector<MetricsLine> read_metrics(const std::filesystem::path& folder);

/// TensorBoard's event files: each record is its length, a checksum of that, the bytes and a checksum of
/// them, and holds a protocol buffer of the type tensorflow.Event.
namespace events {
/// The CRC-32C (Castagnoli) of RFC 3720.
std::uint32_t crc32c(std::string_view bytes);
/// The record that begins a file, and that of a line's numbers as scalars.
std::string file_version(double wall_time);
std::string scalars(double wall_time, const MetricsLine& line);
}  // namespace events

/// Metrics that are written as they come: to `metrics.jsonl` in a folder and to a file of TensorBoard's
/// beside it. What cannot be written, as when the disk is full, is left out, and said once: training goes on.
class MetricsFiles {
 public:
  /// Goes on behind what metrics.jsonl has up to `step`; later lines, and one that a killed run left
  /// unfinished, are taken out. `warn` is told what could not be written.
  MetricsFiles(const std::filesystem::path& folder, std::int64_t step,
               std::function<void(const std::string&)> warn);

  void add(const MetricsLine& line);

 private:
  void complain(const std::filesystem::path& file);

  std::filesystem::path lines_file_, events_file_;
  std::function<void(const std::string&)> warn_;
  std::ofstream lines_, events_;
  bool complained_ = false;
};

}  // namespace gradus::models
