#include "models/run/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <limits>
#include <set>
#include <sstream>

namespace gradus::models::detail {
/// What toml++ takes for granted and some damaged text breaks (such as lines of many brackets) would end the
/// program.
struct ParserFault : std::exception {};
constexpr void expect_of_parser(bool holds) {
  if (!holds) throw ParserFault();
}
}  // namespace gradus::models::detail
// The library asks by a macro alone.
#define TOML_ASSERT(condition) ::gradus::models::detail::expect_of_parser(static_cast<bool>(condition))
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "models/kinds.hpp"
#include "optim/any_optimizer.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/suggestion.hpp"
#include "text/byte_source.hpp"
#include "text/text_check.hpp"

namespace gradus::models {

namespace {

constexpr std::uintmax_t largest_file = std::uintmax_t{1} << 20;

std::string place(const std::string& name, const toml::node& node) {
  const auto line = node.source().begin.line;
  return line > 0 && !name.starts_with("the setting ") ? fmt::format("{}, line {}", name, line) : name;
}

[[noreturn]] void fail_type(const std::string& at, std::string_view section, std::string_view key,
                            const toml::node& node, const char* wanted) {
  std::ostringstream given;
  node.visit([&](const auto& value) { given << value; });
  std::string shown = given.str();
  if (shown.size() > 60) shown = shown.substr(0, 60) + "...";
  fail<DataError>("{}: {}.{} is {}; it must be {}", at, section, key, shown, wanted);
}

// Each takes a value of TOML, or says what it must be.
const char* take(const toml::node& node, std::string& value) {
  if (!node.is_string()) return "a text in quotes";
  value = *node.value<std::string>();
  return nullptr;
}
const char* take(const toml::node& node, bool& value) {
  if (!node.is_boolean()) return "true or false";
  value = *node.value<bool>();
  return nullptr;
}
const char* take(const toml::node& node, std::int64_t& value) {
  if (!node.is_integer()) return "a whole number";
  value = *node.value<std::int64_t>();
  return nullptr;
}
const char* take(const toml::node& node, std::uint64_t& value) {
  if (!node.is_integer() || *node.value<std::int64_t>() < 0) return "a whole number of 0 or more";
  value = static_cast<std::uint64_t>(*node.value<std::int64_t>());
  return nullptr;
}
const char* take(const toml::node& node, double& value) {
  if (!node.is_number()) return "a number";
  value = *node.value<double>();
  return nullptr;
}
template <class T>
const char* take(const toml::node& node, std::optional<T>& value) {
  T taken{};
  const char* const wrong = take(node, taken);
  if (wrong == nullptr) value = taken;
  return wrong;
}
template <class T>
const char* take(const toml::node& node, std::vector<T>& value) {
  if (!node.is_array()) return "a list, such as [1, 2]";
  std::vector<T> taken;
  for (const toml::node& element : *node.as_array()) {
    if (take(element, taken.emplace_back()) != nullptr) return "a list of values of one type";
  }
  value = std::move(taken);
  return nullptr;
}

template <class T>
std::string toml_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    std::ostringstream out;
    out << toml::default_formatter(
        toml::value<std::string>(value),
        toml::default_formatter::default_flags & ~toml::format_flags::allow_literal_strings);
    return out.str();
  } else {
    return fmt::format("{}", value);  // of a double the shortest that gives it again
  }
}
template <class T>
std::string toml_text(const std::vector<T>& values) {
  std::vector<std::string> all;
  for (const T& value : values) all.push_back(toml_text(value));
  return fmt::format("[{}]", fmt::join(all, ", "));
}

/// The keys of each section, but for the optimizer's options.
std::map<std::string, std::vector<std::string>> known_keys() {
  std::map<std::string, std::vector<std::string>> out;
  const RunConfig any;
  visit_settings(any, [&](const char* section, const char* key, const auto&, const char*) {
    out[section].push_back(key);
  });
  return out;
}

/// An option of an optimizer: of any, since the name may be another one's by a flag.
bool is_optimizer_option(const std::string& key) {
  return std::ranges::any_of(optim::optimizer_names(), [&](const std::string& name) {
    return optim::optimizer_options(name).contains(key);
  });
}

void take_option(RunConfig& config, const std::string& at, const std::string& key, const toml::node& node) {
  double number = 0;
  if (node.is_boolean()) {
    number = *node.value<bool>() ? 1 : 0;
  } else if (const char* const wrong = take(node, number); wrong != nullptr) {
    fail_type(at, "optimizer", key, node, wrong);
  }
  config.optimizer.options[key] = number;
}

void take_section(RunConfig& config, const std::string& name, const std::string& section,
                  const toml::table& table, const std::vector<std::string>& keys) {
  for (const auto& [toml_key, toml_node] : table) {
    const toml::node& node = toml_node;  // which a lambda can refer to in C++20 with clang 14, too
    const std::string key(toml_key.str()), at = place(name, node);
    if (section == "optimizer" && is_optimizer_option(key)) {
      take_option(config, at, key, node);
      continue;
    }
    if (std::ranges::find(keys, key) == keys.end())
      fail<DataError>("{}: there is no setting '{}' in [{}]{}", at, key, section, suggestion(key, keys));
    visit_settings(config, [&](const char* of, const char* one, auto& value, const char*) {
      if (of != section || one != key) return;
      if (const char* const wrong = take(node, value); wrong != nullptr)
        fail_type(at, section, key, node, wrong);
    });
  }
}

toml::table parsed(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    fail<DataError>("{}, line {}: it is no TOML: {}", name, error.source().begin.line, error.description());
  } catch (const detail::ParserFault&) {
    fail<DataError>("{}: it is no TOML, for brackets or names that do not fit together", name);
  }
}

void merge_table(RunConfig& config, const toml::table& table, const std::string& name) {
  const auto keys = known_keys();
  std::vector<std::string> sections;
  for (const auto& [section, list] : keys) sections.push_back(section);
  for (const auto& [toml_key, node] : table) {
    const std::string section(toml_key.str());
    const auto found = keys.find(section);
    if (found == keys.end() || !node.is_table()) {
      fail<DataError>("{}: {} '{}' is no section of a configuration{}", place(name, node),
                      node.is_table() ? "the table" : "the setting", section, suggestion(section, sections));
    }
    take_section(config, name, section, *node.as_table(), found->second);
  }
}

}  // namespace

void merge_toml(RunConfig& config, std::string_view text, const std::string& name) {
  RunConfig merged = config;
  merge_table(merged, parsed(text, name), name);
  check_config(merged, name);
  config = std::move(merged);
}

void merge_toml_file(RunConfig& config, const std::filesystem::path& file) {
  std::error_code none;  // reading says what is wrong
  const std::uintmax_t size = std::filesystem::file_size(file, none);
  if (!none && size > largest_file)
    fail<DataError>("{}: a configuration of {} bytes; is it the right file?", file.string(), size);
  merge_toml(config, read_file(file), file.string());
}

namespace {

/// The right side of a setting as TOML, by the type that the setting has: a text may stand without quotes,
/// and a list without brackets.
std::string right_side(const auto&, const std::string& value) {
  return value;
}
std::string right_side(const std::string&, const std::string& value) {
  const bool quoted = value.size() > 1 && value.front() == '"' && value.back() == '"';
  return quoted ? value : toml_text(value);
}
template <class T>
std::string right_side(const std::vector<T>&, const std::string& value) {
  if (value.starts_with('[')) return value;
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= value.size() && !value.empty();) {
    const std::size_t end = std::min(value.find(',', from), value.size());
    parts.push_back(right_side(T{}, value.substr(from, end - from)));
    from = end + 1;
  }
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

}  // namespace

void merge_setting(RunConfig& config, std::string_view setting) {
  const std::size_t equals = setting.find('='), point = setting.find('.');
  if (equals == setting.npos || point == setting.npos || point > equals)
    fail<DataError>("'{}' is no setting; give section.key=value, such as model.width=256", setting);
  const std::string section(setting.substr(0, point)), key(setting.substr(point + 1, equals - point - 1)),
      value(setting.substr(equals + 1));
  std::string right = value;
  visit_settings(config, [&](const char* of, const char* one, const auto& old, const char*) {
    if (of == section && one == key) right = right_side(old, value);
  });
  const auto text_of = [&] { return fmt::format("[{}]\n{} = {}\n", section, key, right); };
  try {
    static_cast<void>(parsed(text_of(), ""));
  } catch (const DataError&) {
    right = toml_text(value);  // which is then of the wrong type, and said to be
  }
  merge_toml(config, text_of(), fmt::format("the setting {}", setting));
}

std::string to_toml(const RunConfig& config) {
  std::string out, open;
  const auto line = [&](const std::string& setting, const std::string& about) {
    out += about.empty() ? setting + "\n" : fmt::format("{:<36} # {}\n", setting, about);
  };
  visit_settings(config,
                 [&]<class T>(const char* section, const char* key, const T& value, const char* about) {
                   if (section != open) out += fmt::format("{}[{}]\n", open.empty() ? "" : "\n", section);
                   open = section;
                   if constexpr (requires { value.has_value(); }) {
                     if (value) {
                       line(fmt::format("{} = {}", key, toml_text(*value)), about);
                     } else {
                       line(fmt::format("# {} =", key), about);
                     }
                   } else {
                     line(fmt::format("{} = {}", key, toml_text(value)), about);
                   }
                   if (open != "optimizer" || key != std::string_view("name")) return;
                   for (const auto& [option, number] : config.optimizer.options)
                     line(fmt::format("{} = {}", option, toml_text(number)), "");
                 });
  return out;
}

namespace {

/// What a check says of a setting.
class Checker {
 public:
  explicit Checker(const std::string& name) : name_(name) {}
  void require(bool fits, const char* setting, const auto& value, const char* wanted) const {
    if (!fits) fail<DataError>("{}: {} is {}; it must be {}", name_, setting, value, wanted);
  }
  void at_least(std::int64_t least, const char* setting, std::int64_t value) const {
    constexpr std::int64_t most = std::int64_t{1} << 40;
    if (value < least || value > most)
      fail<DataError>("{}: {} is {}; it must be from {} to {}", name_, setting, value, least, most);
  }
  void at_least(std::int64_t least, const char* setting, const std::optional<std::int64_t>& value) const {
    if (value) at_least(least, setting, *value);
  }
  void rate(const char* setting, double value) const {
    require(value >= 0 && value < 1, setting, value, "at least 0 and below 1");
  }
  void rate(const char* setting, const std::optional<double>& value) const {
    if (value) rate(setting, *value);
  }
  void not_negative(const char* setting, double value) const {
    require(value >= 0 && std::isfinite(value), setting, value, "a number of 0 or more");
  }
  void one_of(const char* setting, const std::string& value, const std::vector<std::string>& names) const {
    if (std::ranges::find(names, value) == names.end())
      fail<DataError>("{}: {} is '{}'{}", name_, setting, value, suggestion(value, names));
  }

 private:
  const std::string& name_;
};

void check_model(const RunConfig::Model& m, const Checker& check) {
  std::vector<std::string> kinds{"ngram"};
  for (const NetworkKind& kind : network_kinds()) kinds.emplace_back(kind.name);
  check.one_of("model.kind", m.kind, kinds);
  check.at_least(1, "model.order", m.order);
  check.at_least(1, "model.embedding", m.embedding);
  check.at_least(1, "model.width", m.width);
  check.at_least(1, "model.layers", m.layers);
  if (m.layers) check.require(*m.layers <= 1024, "model.layers", *m.layers, "at most 1024");
  if (m.order) check.require(*m.order <= 1000, "model.order", *m.order, "at most 1000");
  check.at_least(1, "model.heads", m.heads);
  check.at_least(0, "model.kv_heads", m.kv_heads);
  check.at_least(1, "model.context", m.context);
  check.at_least(0, "model.sinks", m.sinks);
  check.at_least(0, "model.inner", m.inner);
  check.rate("model.dropout", m.dropout);
  check.rate("model.input_dropout", m.input_dropout);
  check.rate("model.layer_dropout", m.layer_dropout);
  check.rate("model.output_dropout", m.output_dropout);
  check.rate("model.word_dropout", m.word_dropout);
  check.rate("model.weight_dropout", m.weight_dropout);
  check.require(m.rope_theta > 0 && std::isfinite(m.rope_theta), "model.rope_theta", m.rope_theta, "above 0");
  check.require(m.norm_eps > 0 && std::isfinite(m.norm_eps), "model.norm_eps", m.norm_eps, "above 0");
}

void check_training(const RunConfig::Training& t, const Checker& check) {
  check.at_least(1, "training.epochs", t.epochs);
  check.at_least(0, "training.updates", t.updates);
  check.at_least(1, "training.batch", t.batch);
  check.at_least(1, "training.steps", t.steps);
  check.at_least(1, "training.accumulate", t.accumulate);
  check.at_least(1, "training.pieces", t.pieces);
  if (t.pieces) {
    check.require(std::has_single_bit(static_cast<std::uint64_t>(*t.pieces)) && *t.pieces <= 4096,
                  "training.pieces", *t.pieces, "a power of two up to 4096, such as 8");
  }
  check.at_least(1, "training.evaluate_every", t.evaluate_every);
  check.at_least(1, "training.log_every", t.log_every);
  check.at_least(0, "training.patience", t.patience);
  check.at_least(0, "training.save_every", t.save_every);
  check.at_least(1, "training.keep", t.keep);
  check.at_least(1, "training.average_patience", t.average_patience);
  check.not_negative("training.clip", t.clip);
  check.not_negative("training.activation_penalty", t.activation_penalty);
  check.not_negative("training.change_penalty", t.change_penalty);
  check.not_negative("training.save_seconds", t.save_seconds);
  check.rate("training.average_decay", t.average_decay);
  check.one_of("training.contexts", t.contexts, {"in order", "random"});
  check.one_of("training.precision", t.precision, {"f32", "f64"});
  check.one_of("training.matmul_precision", t.matmul_precision, {"exact", "high", "medium"});
  check.one_of("training.average", t.average, {"none", "exponential", "mean", "triggered"});
}

}  // namespace

std::pair<std::string, double> decay_of(std::string_view entry) {
  const std::size_t equals = entry.rfind('=');
  const auto trimmed = [](std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
  };
  double decay = 0;
  const std::string_view pattern = trimmed(entry.substr(0, std::min(equals, entry.size())));
  if (equals == entry.npos || pattern.empty() || !to_number(trimmed(entry.substr(equals + 1)), decay) ||
      !(decay >= 0 && std::isfinite(decay)))
    fail<DataError>(
        "optimizer.decay_of has '{}'; give a pattern and a number of 0 or more, as in embed.* = 0.1", entry);
  return {std::string(pattern), decay};
}

void check_config(const RunConfig& config, const std::string& name) {
  const Checker check(name);
  check.rate("data.valid_share", config.data.valid_share);
  check.one_of("data.unit", config.data.unit, {"word", "character", "byte", "bpe"});
  check.one_of("data.reading", config.data.reading, {"continuous", "lines"});
  check.at_least(256, "data.subwords", config.data.subwords);
  check.at_least(1, "data.min_count", config.data.min_count);
  check_model(config.model, check);
  check_training(config.training, check);
  check.one_of("optimizer.name", config.optimizer.name, optim::optimizer_names());
  for (const auto& [option, value] : config.optimizer.options)
    check.require(std::isfinite(value), ("optimizer." + option).c_str(), value, "a finite number");
  check.one_of("schedule.name", config.schedule.name,
               {"constant", "cosine", "linear", "one-cycle", "inverse-sqrt", "plateau"});
  check.at_least(0, "schedule.warmup", config.schedule.warmup);
  check.at_least(0, "schedule.patience", config.schedule.patience);
  check.require(config.schedule.final >= 0 && config.schedule.final <= 1, "schedule.final",
                config.schedule.final, "from 0 to 1");
  check.require(config.schedule.factor > 0 && config.schedule.factor < 1, "schedule.factor",
                config.schedule.factor, "above 0 and below 1");
  for (const std::string& entry : config.optimizer.decay_of) static_cast<void>(decay_of(entry));
  check.require(!config.start.extend || !config.start.from.empty(), "start.extend", config.start.extend,
                "left out where start.from names no model");
  check.at_least(0, "start.lora_rank", config.start.lora_rank);
  check.require(config.start.lora_alpha > 0 && std::isfinite(config.start.lora_alpha), "start.lora_alpha",
                config.start.lora_alpha, "above 0");
  check.rate("start.lora_dropout", config.start.lora_dropout);
}

}  // namespace gradus::models
