#include "models/run/metrics.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "tensor/support/error.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

std::string json_line(const MetricsLine& line) {
  nlohmann::ordered_json out{{"step", line.step}};
  for (const auto& [name, value] : line.numbers) out[name] = value;  // JSON has no NaN: null
  return out.dump();
}

namespace events {

std::uint32_t crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    constexpr std::uint32_t polynomial = 0x82F63B78;  // with its bits reversed
    std::array<std::uint32_t, 256> out{};
    for (std::uint32_t i = 0; i < out.size(); ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? c >> 1 ^ polynomial : c >> 1;
      out[i] = c;
    }
    return out;
  }();
  std::uint32_t c = ~std::uint32_t{0};
  for (const char byte : bytes) c = table[(c ^ static_cast<unsigned char>(byte)) & 0xFF] ^ c >> 8;
  return ~c;
}

namespace {

/// The lowest bytes first, as the format wants them.
template <class T>
std::string little_endian(T value) {
  std::string out(sizeof value, '\0');
  for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

/// As TFRecord masks it, so that a checksum of what holds checksums is sound.
std::string masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return little_endian((crc >> 15 | crc << 17) + 0xA282EAD8U);
}

std::string record(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  return length + masked_crc(length) + event + masked_crc(event);
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
// Fields of a protocol buffer: their number and type, and the value.
std::string field(int number, double value) {
  return varint(static_cast<std::uint64_t>(number << 3 | 1)) +
         little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string field(int number, float value) {
  return varint(static_cast<std::uint64_t>(number << 3 | 5)) +
         little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string field(int number, std::int64_t value) {
  return varint(static_cast<std::uint64_t>(number << 3)) + varint(static_cast<std::uint64_t>(value));
}
std::string field(int number, const std::string& value) {
  return varint(static_cast<std::uint64_t>(number << 3 | 2)) + varint(value.size()) + value;
}

}  // namespace

std::string file_version(double wall_time) {
  return record(field(1, wall_time) + field(3, std::string("brain.Event:2")));
}

std::string scalars(double wall_time, const MetricsLine& line) {
  std::string summary;
  for (const auto& [name, value] : line.numbers)
    summary += field(1, field(1, name) + field(2, static_cast<float>(value)));
  return record(field(1, wall_time) + field(2, line.step) + field(5, summary));
}

}  // namespace events

namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Calls take(line, its text) with each line that is whole; one that was cut short by a full disk is not.
template <class Take>
void for_each_line(const std::string& all, const Take& take) {
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = all.find('\n', begin)) != all.npos; begin = end + 1) {
    const std::string_view text = std::string_view(all).substr(begin, end + 1 - begin);
    const auto line = nlohmann::ordered_json::parse(text, nullptr, false);
    if (line.is_object() && line.contains("step") && line["step"].is_number_integer()) take(line, text);
  }
}

/// The lines of steps up to `step`, of those that are whole.
std::string lines_until(const std::string& all, std::int64_t step) {
  std::string out;
  for_each_line(all, [&](const auto& line, std::string_view text) {
    if (line["step"] <= step) out += text;
  });
  return out;
}

}  // namespace

std::vector<MetricsLine> read_metrics(const std::filesystem::path& folder) {
  std::vector<MetricsLine> out;
  for_each_line(read_file(folder / "metrics.jsonl"),
                [&](const nlohmann::ordered_json& line, std::string_view) {
                  MetricsLine& one = out.emplace_back();
                  one.step = line["step"].get<std::int64_t>();
                  for (const auto& [name, value] : line.items()) {
                    if (name != "step" && value.is_number())
                      one.numbers.emplace_back(name, value.get<double>());
                  }
                });
  return out;
}

MetricsFiles::MetricsFiles(const std::filesystem::path& folder, std::int64_t step,
                           std::function<void(const std::string&)> warn)
    : lines_file_(folder / "metrics.jsonl"), warn_(std::move(warn)) {
  std::error_code none;
  if (std::filesystem::exists(lines_file_, none)) {
    const std::string all = read_file(lines_file_);
    const std::string kept = lines_until(all, step);
    if (kept.size() != all.size()) write_file(lines_file_, kept);
  }
  lines_.open(lines_file_, std::ios::binary | std::ios::app);
  const double now = wall_time();
  // One file a start, as TensorBoard's own writer makes them; the step says where a resumed run goes on.
  events_file_ = folder / fmt::format("events.out.tfevents.{:.0f}.gradus.{}", std::floor(now), step);
  events_.open(events_file_, std::ios::binary | std::ios::trunc);
  events_ << events::file_version(now) << std::flush;
  if (!lines_) complain(lines_file_);
  if (!events_) complain(events_file_);
}

void MetricsFiles::add(const MetricsLine& line) {
  // After a failure the next write is tried again, on a line of its own; what was cut short is dropped when
  // the run is resumed.
  const bool failed = !lines_;
  lines_.clear();
  events_.clear();
  if (failed) lines_ << '\n';
  if (!(lines_ << json_line(line) << '\n' << std::flush)) complain(lines_file_);
  if (!(events_ << events::scalars(wall_time(), line) << std::flush)) complain(events_file_);
}

void MetricsFiles::complain(const std::filesystem::path& file) {
  if (std::exchange(complained_, true)) return;
  warn_(fmt::format("{}: metrics could not be written ({}); training goes on", file.string(),
                    std::strerror(errno)));
}

}  // namespace gradus::models
