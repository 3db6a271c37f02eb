#include "models/run/text.hpp"

#include "tensor/support/checksum.hpp"
#include "tensor/support/error.hpp"
#include "text/bpe.hpp"
#include "text/byte_source.hpp"
#include "text/load.hpp"
#include "text/subwords.hpp"

namespace gradus::models {

namespace {

constexpr std::int64_t fewest_to_validate = 50;  // tokens

std::string name_of_text(const std::string& path) {
  return is_standard_input(path) ? "standard input" : path;
}

std::string loaded(const RunConfig::Data& data, const std::string& path) {
  return load_text(path, {.unit = unit_of(data), .skip_marks = data.skip_marks});
}

/// The subwords of a given tokenizer, or those that are learned from the text.
std::shared_ptr<const Subwords> subwords_of(const RunConfig::Data& data, std::string_view text,
                                            const std::string& name, const SubwordReport& report) {
  if (!data.tokenizer.empty()) return load_subwords(data.tokenizer);
  BpeTraining training{.size = data.subwords};
  if (report) training.report = report;
  if (data.min_count > 1) training.min_count = data.min_count;
  return std::make_shared<const Bpe>(Bpe::train(text, training, name));
}

/// A vocabulary and the tokens of the text that it is built from.
void build(const RunConfig::Data& data, std::string_view text, const std::string& name,
           const SubwordReport& report, RunText& out) {
  const Unit unit = unit_of(data);
  if (unit != Unit::subword) {
    out.vocabulary = Vocabulary::build(unit, text, {.min_count = data.min_count}, name);
    out.train = encode_part(out.vocabulary, text, name);
    return;
  }
  const std::shared_ptr<const Subwords> cutter = subwords_of(data, text, name, report);
  out.vocabulary = Vocabulary::of(cutter);
  out.train = encode_part(out.vocabulary, text, name);
  out.vocabulary = Vocabulary::of(cutter, count_tokens(out.train.tokens, cutter->size()));
}

}  // namespace

void require_batch(const CorpusPart& train, Unit unit, const std::string& name) {
  constexpr std::size_t fewest = 64;
  if (train.tokens.size() > fewest) return;
  fail<DataError>("{}: {} {}s to train on are less than one batch; give a text with at least {}", name,
                  train.tokens.size(), name_of(unit), fewest + 1);
}

Unit unit_of(const RunConfig::Data& data) {
  return data.unit == "bpe" || !data.tokenizer.empty() ? Unit::subword : unit_named(data.unit);
}

std::uint64_t RunText::checksum() const {
  Checksum sum;
  for (const CorpusPart* part : {&train, &valid}) {
    sum.add({reinterpret_cast<const char*>(part->tokens.data()), part->tokens.size() * sizeof(std::int32_t)});
    sum.add("|");
  }
  return sum.value();
}

RunText read_run_text(const RunConfig::Data& data, const std::optional<Vocabulary>& vocabulary,
                      const SubwordReport& report) {
  const std::string name = name_of_text(data.text), text = loaded(data, data.text);
  const auto make = [&](std::string_view train, std::string_view valid, const std::string& valid_name) {
    RunText out;
    if (vocabulary) {
      out.vocabulary = *vocabulary;
      out.train = encode_part(out.vocabulary, train, name);
    } else {
      build(data, train, name, report, out);
    }
    require_choice(out.vocabulary, name);
    if (!valid.empty()) out.valid = encode_part(out.vocabulary, valid, valid_name);
    return out;
  };
  if (!data.valid.empty()) return make(text, loaded(data, data.valid), name_of_text(data.valid));
  if (data.valid_share == 0 || text.size() < 2 * fewest_to_validate) return make(text, {}, name);
  Split parts;
  try {
    parts = split(unit_of(data), text, {.train = 1 - data.valid_share, .valid = data.valid_share}, name);
  } catch (const DataError&) {
    return make(text, {}, name);  // of a single line
  }
  RunText out = make(parts.train, parts.valid, name);
  if (std::ssize(out.valid.tokens) < fewest_to_validate) return make(text, {}, name);
  return out;
}

}  // namespace gradus::models
