#include "models/ngram/store/writer.hpp"

#include <algorithm>
#include <optional>

#include "models/ngram/store/compact_layout.hpp"
#include "models/ngram/store/fast_builder.hpp"
#include "models/ngram/store/image.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/standard_output.hpp"
#include "tensor/support/write_file.hpp"

namespace gradus::models {

using namespace ngram;

struct NgramWriter::Parts {
  NgramStorage storage;
  std::filesystem::path file;  // empty: memory
  bool whole_file = false;     // not a regular file: the image is made in memory and written at the end
  std::string vocabulary;      // serialized
  std::int64_t vocabulary_size = 0;
  NgramDescription description;
  std::optional<FileReplacement> replacement;
  std::optional<ImageWriter> image;  // of the fast layout
  std::optional<FastBuilder> builder;
  std::optional<Image> written;

  bool compact() const { return storage.layout == NgramLayout::compact; }
  bool in_memory() const { return file.empty() || whole_file; }
  Mapping final_mapping() { return in_memory() ? Mapping::memory() : Mapping::write(*replacement); }
  Mapping fast_mapping() {
    if (!compact()) return final_mapping();
    return in_memory() ? Mapping::memory() : Mapping::scratch(file);
  }
};

NgramWriter::NgramWriter(NgramStorage storage) : parts_(std::make_unique<Parts>()) {
  const bool compact = storage.layout == NgramLayout::compact;
  if (storage.quantize != 0 && (!compact || storage.quantize < 2 || storage.quantize > 16)) {
    fail<ArgumentError>(
        "an n-gram model quantized to {} bits; the compact layout takes 2 to 16, the fast one none",
        storage.quantize);
  }
  parts_->storage = storage;
}

NgramWriter::NgramWriter(const std::filesystem::path& file, const Vocabulary& vocabulary,
                         NgramStorage storage)
    : NgramWriter(storage) {
  parts_->file = file;
  parts_->whole_file = is_special(file) || is_standard_output(file);
  parts_->vocabulary = vocabulary.serialize();
  parts_->vocabulary_size = vocabulary.size();
}

NgramWriter::~NgramWriter() = default;

void NgramWriter::describe(const NgramDescription& d) {
  if (d.order < 1 || d.order > max_order || d.vocab < 1 || d.vocab > max_vocab || d.sentence_end < -1 ||
      d.sentence_end >= d.vocab) {
    fail<ArgumentError>(
        "an n-gram model of order {} over {} words with the sentence end {}: orders are 1 to {}, words 1 to "
        "{}",
        d.order, d.vocab, d.sentence_end, max_order, max_vocab);
  }
  const auto too_many = [](const Discounts& of_order) { return of_order.amount.size() > 255; };
  if (d.discounts.size() > static_cast<std::size_t>(d.order) ||
      std::any_of(d.discounts.begin(), d.discounts.end(), too_many)) {
    fail<ArgumentError>("an n-gram model of order {} with the discounts of {} orders, each of at most 255",
                        d.order, d.discounts.size());
  }
  if (d.options && (d.options->impossible < -1 || d.options->impossible >= d.vocab))
    fail<ArgumentError>("the unknown word {} is not in 0..{}", d.options->impossible, d.vocab - 1);
  if (!parts_->file.empty() && parts_->vocabulary_size != d.vocab) {
    fail<ArgumentError>("an n-gram model over {} words to be written with a vocabulary of {}", d.vocab,
                        parts_->vocabulary_size);
  }
  parts_->description = d;
  if (!parts_->in_memory()) parts_->replacement.emplace(parts_->file);
  parts_->image.emplace(parts_->fast_mapping());
  parts_->image->describe(d, NgramLayout::fast);
  parts_->image->put(parts_->vocabulary, Part::vocabulary);
  parts_->builder.emplace(*parts_->image);
}

void NgramWriter::begin_order(int order, std::int64_t count) {
  parts_->builder->begin_order(order, count);
}

void NgramWriter::add(std::span<const std::int32_t> ngram, float log_prob, float backoff) {
  parts_->builder->add(ngram, log_prob, backoff);
}

void NgramWriter::finish() {
  parts_->builder->finish();
  Mapping mapping = parts_->image->finish();
  if (parts_->compact()) {
    const Image fast(std::move(mapping), "the n-gram model");
    ImageWriter to(parts_->final_mapping());
    to.describe(parts_->description, NgramLayout::compact);
    to.put(parts_->vocabulary, Part::vocabulary);
    write_compact(fast, to, parts_->storage.quantize);
    mapping = to.finish();
  }
  if (parts_->whole_file) {
    const auto bytes = mapping.bytes();
    const std::string_view whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (is_standard_output(parts_->file)) {
      write_standard_output(whole);
    } else {
      write_file(parts_->file, whole);
    }
  }
  if (parts_->replacement) parts_->replacement->commit();
  parts_->written.emplace(std::move(mapping),
                          parts_->file.empty() ? "the n-gram model" : parts_->file.string());
}

NgramModel NgramWriter::model() {
  return NgramModel(std::move(parts_->written).value());
}

}  // namespace gradus::models
