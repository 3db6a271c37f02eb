#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "tensor/support/error.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"
#include "text/bpe.hpp"
#include "text/byte_letters.hpp"
#include "text/text_check.hpp"

// GPT-2's two files: a JSON object of tokens and their ids, and lines of two tokens that are joined.
namespace gradus {

namespace {

using nlohmann::json;

json object_of(std::string_view text, std::string_view name) {
  json out;
  try {
    out = json::parse(text);
  } catch (const json::exception& error) {
    fail<DataError>("{}: not JSON, or cut short ({})", name, error.what());
  }
  if (!out.is_object()) fail<DataError>("{}: a JSON object should stand here, not {}", name, out.type_name());
  return out;
}

/// Tokens as they are written, with their ids.
using Written = std::unordered_map<std::string, std::int32_t>;

/// Puts the tokens of a JSON object where their ids say. `literal`: those that stand for themselves.
void read_tokens(const json& listed, const std::unordered_set<std::string>& literal, std::string_view name,
                 std::vector<std::string>& tokens, Written& ids) {
  for (const auto& [written, id] : listed.items()) {
    if (!id.is_number_integer() || id < 0 || id >= tokens.size()) {
      fail<DataError>("{}: the token '{}' has the id {}; the ids of {} tokens are 0..{}", name, written,
                      id.dump().substr(0, 60), tokens.size(), tokens.size() - 1);
    }
    const std::optional<std::string> bytes = literal.count(written) == 1 ? written : from_letters(written);
    if (!bytes) fail<DataError>("{}: the token '{}' has a character that stands for no byte", name, written);
    std::string& place = tokens[id.get<std::size_t>()];
    if (!place.empty()) fail<DataError>("{}: two tokens have the id {}", name, id.get<std::int64_t>());
    place = *bytes;
    ids.emplace(written, id.get<std::int32_t>());
  }
}

void require_all(const std::vector<std::string>& tokens, std::string_view name) {
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].empty())
      fail<DataError>("{}: no token has the id {}; the ids of {} tokens are 0..{}", name, id, tokens.size(),
                      tokens.size() - 1);
  }
}

/// `place` says in errors where the merge stands.
BpeParts::Merge merge_of(std::string_view left, std::string_view right, const Written& ids,
                         const std::string& place) {
  const auto id = [&](std::string_view token) {
    const auto found = ids.find(std::string(token));
    if (found == ids.end())
      fail<DataError>("{}: '{}' of the merge of '{}' and '{}' is no token", place, token, left, right);
    return found->second;
  };
  return {id(left), id(right)};
}

/// Tokens that are neither a byte nor made by a merge.
std::vector<std::int32_t> never_made(const BpeParts& parts) {
  std::unordered_set<std::string> made;
  for (const auto& [left, right] : parts.merges)
    made.insert(parts.tokens[static_cast<std::size_t>(left)] + parts.tokens[static_cast<std::size_t>(right)]);
  std::vector<std::int32_t> out;
  for (std::size_t id = 0; id < parts.tokens.size(); ++id) {
    if (parts.tokens[id].size() > 1 && !made.contains(parts.tokens[id]))
      out.push_back(static_cast<std::int32_t>(id));
  }
  return out;
}

}  // namespace

Bpe Bpe::parse_gpt2(std::string_view encoder, std::string_view merges, std::string_view encoder_name,
                    std::string_view merges_name) {
  const json listed = object_of(encoder, encoder_name);
  BpeParts parts{.tokens = std::vector<std::string>(listed.size()),
                 .merges = {},
                 .patterns = {std::string(gpt2_pattern)}};
  Written ids;
  read_tokens(listed, {}, encoder_name, parts.tokens, ids);
  for (std::int64_t number = 1; !merges.empty(); ++number) {
    std::string_view line = take(merges, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    std::string_view right = line;
    const std::string_view left = take(right, ' ');
    const std::string place = fmt::format("{}, line {}", merges_name, number);
    if (left.empty() || right.empty() || right.find(' ') != right.npos)
      fail<DataError>("{}: '{}' is not two tokens with a space between", place, line.substr(0, 60));
    parts.merges.push_back(merge_of(left, right, ids, place));
  }
  parts.special = never_made(parts);
  return Bpe(std::move(parts), encoder_name);
}

Bpe Bpe::load_gpt2(const std::filesystem::path& encoder, const std::filesystem::path& merges) {
  return parse_gpt2(read_file(encoder), read_file(merges), encoder.string(), merges.string());
}

void Bpe::save_gpt2(const std::filesystem::path& encoder, const std::filesystem::path& merges) const {
  const BpeParts& p = parts();
  const bool gpt2 = p.patterns.size() == 1 && p.patterns[0] == gpt2_pattern;
  if (!gpt2 || p.whole_pieces || !p.added.empty()) {
    fail<ArgumentError>(
        "Bpe::save_gpt2: GPT-2's files hold tokens and merges alone, and this tokenizer {}; use save_json",
        !gpt2            ? "cuts a text otherwise than GPT-2"
        : p.whole_pieces ? "takes whole pieces"
                         : "looks for added tokens");
  }
  json listed = json::object();
  for (std::size_t id = 0; id < p.tokens.size(); ++id) listed[to_letters(p.tokens[id])] = id;
  std::string lines = "#version: 0.2\n";
  for (const auto& [left, right] : p.merges)
    lines += to_letters(token(left)) + ' ' + to_letters(token(right)) + '\n';
  write_file(encoder, listed.dump());
  write_file(merges, lines);
}

// tokenizer.json of Hugging Face's library.

namespace {

/// An object of the file, with the path that errors give its fields.
class Field {
 public:
  Field(const json& value, std::string path, std::string_view name)
      : value_(&value), path_(std::move(path)), name_(name) {}

  const json& value() const { return *value_; }
  bool has(const char* key) const {
    return value_->is_object() && value_->contains(key) && !(*value_)[key].is_null();
  }
  /// Throws DataError where it is missing.
  Field at(const char* key) const {
    if (!has(key)) wrong("has no '{}'", key);
    return {(*value_)[key], path_.empty() ? key : path_ + "." + key, name_};
  }
  Field at(std::size_t i) const { return {(*value_)[i], fmt::format("{}[{}]", path_, i), name_}; }
  std::size_t size() const {
    if (!value_->is_array()) wrong("is {}, not a list", value_->type_name());
    return value_->size();
  }
  std::string text(const char* key) const {
    const Field of = at(key);
    if (!of.value().is_string()) of.wrong("is {}, not text", of.value().type_name());
    return of.value().get<std::string>();
  }
  /// A switch, or what it is where it is not there.
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const Field of = at(key);
    if (!of.value().is_boolean()) of.wrong("is {}, not true or false", of.value().type_name());
    return of.value().get<bool>();
  }
  void refuse_flag(const char* key, bool otherwise = false) const {
    if (flag(key, otherwise)) wrong("has '{}', which is not supported", key);
  }
  template <class... Args>
  [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
    fail<DataError>("{}: {} {}", name_, path_.empty() ? "the file" : path_,
                    fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const json* value_;
  std::string path_;
  std::string_view name_;
};

/// The patterns that a step of the pre-tokenizer cuts by; true for the last step, which takes bytes.
bool add_step(const Field& step, std::vector<std::string>& patterns) {
  const std::string type = step.text("type");
  if (type == "ByteLevel") {
    step.refuse_flag("add_prefix_space", true);
    if (step.flag("use_regex", true)) patterns.emplace_back(gpt2_pattern);
    return true;
  }
  if (type == "Digits") {
    patterns.emplace_back(step.flag("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    return false;
  }
  if (type != "Split")
    step.wrong("is '{}', which is not supported; ByteLevel is, with Split and Digits before it", type);
  const Field pattern = step.at("pattern");
  if (!pattern.has("Regex")) pattern.wrong("has no 'Regex'; to split by other means is not supported");
  const std::string behavior = step.text("behavior");
  if (behavior != "Isolated") step.wrong("has the behavior '{}'; only Isolated is supported", behavior);
  step.refuse_flag("invert");
  patterns.push_back(pattern.text("Regex"));
  return false;
}

std::vector<std::string> read_patterns(const Field& root) {
  const Field cutter = root.at("pre_tokenizer");
  std::vector<std::string> out;
  bool done = false;
  if (cutter.text("type") != "Sequence") {
    done = add_step(cutter, out);
  } else {
    const Field steps = cutter.at("pretokenizers");
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (done) steps.at(i).wrong("stands behind ByteLevel, which is supported only as the last step");
      done = add_step(steps.at(i), out);
    }
  }
  if (!done) cutter.wrong("has no ByteLevel; only byte-level tokenizers are supported");
  return out;
}

/// Refuses what would give other ids and is not supported.
void refuse_others(const Field& root) {
  if (root.has("normalizer")) {
    const Field normalizer = root.at("normalizer");
    const std::string type = normalizer.text("type");
    if (type != "Sequence" || normalizer.at("normalizers").size() > 0)
      normalizer.wrong("is '{}'; tokenizers that change the text are not supported", type);
  }
  if (root.has("decoder") && root.at("decoder").text("type") != "ByteLevel")
    root.at("decoder").wrong("is '{}'; only ByteLevel is supported", root.at("decoder").text("type"));
  const Field model = root.at("model");
  if (!model.value().is_object()) model.wrong("is {}, not an object", model.value().type_name());
  const std::string type = model.has("type") ? model.text("type") : "BPE";
  if (type != "BPE") model.wrong("is '{}'; only BPE is supported", type);
  if (model.has("dropout") && model.at("dropout").value() != 0)
    model.wrong("has dropout, which is not supported");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (model.has(key) && !model.text(key).empty()) model.wrong("has '{}', which is not supported", key);
  }
  model.refuse_flag("byte_fallback");
}

struct AddedToken {
  std::int64_t id;
  std::string text;
  bool special;
};

std::vector<AddedToken> read_added(const Field& root) {
  std::vector<AddedToken> out;
  if (!root.has("added_tokens")) return out;
  const Field listed = root.at("added_tokens");
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const Field token = listed.at(i);
    for (const char* key : {"single_word", "lstrip", "rstrip"}) token.refuse_flag(key);
    const Field id = token.at("id");
    if (!id.value().is_number_integer() || id.value() < 0 || id.value() >= 1 << 24)
      id.wrong("is {}, no id", id.value().dump().substr(0, 60));
    out.push_back({id.value().get<std::int64_t>(), token.text("content"), token.flag("special", false)});
    if (out.back().text.empty()) token.wrong("is empty");
  }
  return out;
}

void read_merges(const Field& merges, const Written& ids, std::string_view name, BpeParts& parts) {
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const json& merge = merges.value()[i];
    const bool pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
    const std::string line = merge.is_string() ? merge.get<std::string>() : std::string();
    const std::size_t space = line.find(' ');
    if (!pair && space == line.npos) merges.at(i).wrong("is not two tokens");
    const std::string place = fmt::format("{}: model.merges[{}]", name, i);
    parts.merges.push_back(
        pair ? merge_of(merge[0].get<std::string>(), merge[1].get<std::string>(), ids, place)
             : merge_of(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1),
                        ids, place));
  }
}

}  // namespace

Bpe Bpe::parse_json(std::string_view text, std::string_view name) {
  const json content = object_of(text, name);
  const Field root(content, "", name);
  refuse_others(root);
  const Field model = root.at("model"), vocab = model.at("vocab");
  if (!vocab.value().is_object()) vocab.wrong("is {}, not an object", vocab.value().type_name());
  const std::vector<AddedToken> added = read_added(root);
  std::unordered_set<std::string> literal;
  std::size_t size = vocab.value().size();
  for (const AddedToken& token : added) {
    literal.insert(token.text);
    if (!vocab.value().contains(token.text)) ++size;
  }
  BpeParts parts{.tokens = std::vector<std::string>(size),
                 .merges = {},
                 .patterns = read_patterns(root),
                 .whole_pieces = model.flag("ignore_merges", false)};
  Written ids;
  read_tokens(vocab.value(), literal, fmt::format("{}: model.vocab", name), parts.tokens, ids);
  for (const AddedToken& token : added) {
    if (token.id >= std::ssize(parts.tokens)) {
      fail<DataError>("{}: the added token '{}' has the id {}; the ids of {} tokens are 0..{}", name,
                      token.text, token.id, size, size - 1);
    }
    std::string& place = parts.tokens[static_cast<std::size_t>(token.id)];
    if (!place.empty() && place != token.text)
      fail<DataError>("{}: the added token '{}' has the id {} of another token", name, token.text, token.id);
    place = token.text;
    (token.special ? parts.special : parts.added).push_back(static_cast<std::int32_t>(token.id));
  }
  require_all(parts.tokens, name);
  read_merges(model.at("merges"), ids, name, parts);
  return Bpe(std::move(parts), name);
}

Bpe Bpe::load_json(const std::filesystem::path& file) {
  return parse_json(read_file(file), file.string());
}

std::string Bpe::to_json() const {
  const BpeParts& p = parts();
  const json byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  json cutter = byte_level;
  if (p.patterns.size() == 1 && p.patterns[0] == gpt2_pattern) {
    cutter["use_regex"] = true;
  } else if (!p.patterns.empty()) {
    json steps = json::array();
    for (const std::string& pattern : p.patterns)
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", pattern}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
    steps.push_back(byte_level);
    cutter = {{"type", "Sequence"}, {"pretokenizers", steps}};
  }
  std::unordered_set<std::int32_t> literal;
  json added = json::array();
  for (const bool special : {true, false}) {
    for (const std::int32_t id : special ? p.special : p.added) {
      literal.insert(id);
      added.push_back({{"id", id},
                       {"content", token(id)},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", special}});
    }
  }
  json vocab = json::object();
  for (std::int32_t id = 0; id < size(); ++id)
    vocab[literal.count(id) == 1 ? std::string(token(id)) : to_letters(token(id))] = id;
  if (std::ssize(vocab) != size())
    fail<ArgumentError>("Bpe::to_json: a special token is spelled as the letters of another token");
  json merges = json::array();
  for (const auto& [left, right] : p.merges)
    merges.push_back(to_letters(token(left)) + ' ' + to_letters(token(right)));
  const json out{{"version", "1.0"},
                 {"truncation", nullptr},
                 {"padding", nullptr},
                 {"added_tokens", added},
                 {"normalizer", nullptr},
                 {"pre_tokenizer", cutter},
                 {"post_processor", nullptr},
                 {"decoder", byte_level},
                 {"model",
                  {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", ""},
                   {"end_of_word_suffix", ""},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", p.whole_pieces},
                   {"vocab", vocab},
                   {"merges", merges}}}};
  try {
    return out.dump();
  } catch (const json::exception&) {
    fail<ArgumentError>("Bpe::to_json: a special token or a pattern is no UTF-8, which JSON cannot hold");
  }
}

void Bpe::save_json(const std::filesystem::path& file) const {
  write_file(file, to_json());
}

}  // namespace gradus
