#include "models/ngram/store/image.hpp"

#include <zlib.h>

#include <cstring>
#include <utility>
#include <vector>

#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::uint32_t this_byte_order = 0x01020304;
constexpr std::uint64_t alignment = 64;
// After every section, because packed bits are read in whole words.
constexpr std::uint64_t padding = 16;
// The header of every version begins with the same fields, up to the byte order.
constexpr std::size_t version_end = offsetof(Header, file_size);

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + alignment - 1) / alignment * alignment;
}

std::uint32_t crc(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

/// The checksum of one section, computed on all threads, in parts whose memory is released.
std::uint32_t section_sum(const Mapping& mapping, const Section& section) {
  constexpr std::uint64_t part = std::uint64_t{1} << 20, wave = 16 * part;
  const std::span<const std::byte> bytes = mapping.bytes().subspan(section.offset, section.size);
  uLong sum = 0;
  for (std::uint64_t from = 0; from < bytes.size(); from += wave) {
    const std::span<const std::byte> here = bytes.subspan(from, std::min(wave, bytes.size() - from));
    const auto at = [&](std::int64_t i) {
      const std::uint64_t begin = static_cast<std::uint64_t>(i) * part;
      return here.subspan(begin, std::min(part, here.size() - begin));
    };
    std::array<std::uint32_t, wave / part> sums{};
    const auto parts = static_cast<std::int64_t>((here.size() + part - 1) / part);
    parallel::for_chunks(parts, [&](std::int64_t i) { sums[static_cast<std::size_t>(i)] = crc(at(i)); });
    for (std::int64_t i = 0; i < parts; ++i)
      sum = ::crc32_combine(sum, sums[static_cast<std::size_t>(i)], static_cast<z_off_t>(at(i).size()));
    mapping.release();
  }
  return static_cast<std::uint32_t>(sum);
}

std::uint32_t header_sum(Header header) {
  header.checksum = 0;
  return crc(std::as_bytes(std::span(&header, 1)));
}

template <class Head>
auto all_sections(Head& header) {
  std::vector<decltype(&header.parts.front())> out;
  for (auto& part : header.parts) out.push_back(&part);
  for (auto& level : header.level_parts) {
    for (auto& part : level) out.push_back(&part);
  }
  return out;
}

}  // namespace

Image::Image(Mapping mapping, std::string name) : mapping_(std::move(mapping)), name_(std::move(name)) {
  bytes_ = std::as_const(mapping_).bytes();
  const auto wrong = [&](const char* what) { fail<DataError>("{}: {}; write the model again", name_, what); };
  if (bytes_.size() < image_magic.size() ||
      std::memcmp(bytes_.data(), image_magic.data(), image_magic.size()) != 0) {
    fail<DataError>("{}: not a binary n-gram model", name_);
  }
  if (bytes_.size() < version_end) wrong("cut short in its header");
  const Header& h = header();
  if (h.byte_order != this_byte_order) wrong("written on a machine of another byte order");
  if (h.version != image_version) {
    fail<DataError>(
        "{}: an n-gram model in version {} of the format, and this program reads version {}; build it again "
        "from its text, or export it to ARPA with the program that wrote it",
        name_, h.version, image_version);
  }
  if (bytes_.size() < sizeof(Header)) wrong("cut short in its header");
  if (h.header_size != sizeof(Header) || h.checksum != header_sum(h)) wrong("its header is damaged");
  if (h.file_size != bytes_.size()) {
    fail<DataError>("{}: {} bytes, where its header names {}; it was cut short or added to", name_,
                    bytes_.size(), h.file_size);
  }
  if (h.layout > static_cast<std::uint32_t>(NgramLayout::compact) || h.order < 1 || h.order > max_order ||
      h.vocab < 1 || h.vocab > max_vocab || h.sentence_end < -1 || h.sentence_end >= h.vocab ||
      h.fallback > static_cast<std::uint32_t>(NgramFallback::nothing) || h.quantized > 32 ||
      h.method > static_cast<std::uint32_t>(NgramMethod::stupid_backoff) || h.impossible < -1 ||
      h.impossible >= h.vocab) {
    wrong("its header names sizes out of range");
  }
  for (std::uint32_t n = 0; n < max_order; ++n) {
    if (n < h.order ? h.levels[n].count >= none : h.levels[n].count != 0)
      wrong("its header names counts out of range");
  }
  if (h.levels.front().count != static_cast<std::uint64_t>(h.vocab) + 1)
    wrong("its header contradicts itself about the vocabulary");
  std::uint64_t end = sizeof(Header);
  for (const Section* section : all_sections(h)) {
    if (section->size == 0) continue;
    if (section->offset < sizeof(Header) || section->offset % alignment != 0 ||
        section->offset > bytes_.size() || section->size > bytes_.size() - section->offset ||
        bytes_.size() - section->offset - section->size < padding) {
      wrong("its header names a section outside of the file");
    }
    end = std::max(end, section->offset + section->size);
  }
  std::uint64_t discounts = 0;
  for (const LevelHeader& level : h.levels) discounts += level.discounts;
  if (h.part(Part::discounts).size != discounts * sizeof(double))
    wrong("its header contradicts itself about the discounts");
  if (aligned(end + padding) != bytes_.size()) wrong("its sections end before the file does");
}

NgramDescription Image::description() const {
  const Header& h = header();
  NgramDescription out{.order = static_cast<int>(h.order),
                       .vocab = h.vocab,
                       .sentence_end = h.sentence_end,
                       .fallback = static_cast<NgramFallback>(h.fallback),
                       .method = std::string(text(h.part(Part::method)))};
  if (h.estimated != 0) {
    out.options = {.order = out.order,
                   .method = static_cast<NgramMethod>(h.method),
                   .k = h.add,
                   .katz_cutoff = h.katz_cutoff,
                   .backoff = h.backoff,
                   .impossible = h.impossible,
                   .sentence_end = out.sentence_end};
  }
  std::span<const double> amounts = numbers<double>(h.part(Part::discounts));
  for (int n = 1; n <= out.order && h.part(Part::discounts).size > 0; ++n) {
    const LevelHeader& level = h.level(n);
    const auto own = amounts.first(level.discounts);
    out.discounts.push_back({{own.begin(), own.end()}, level.discount_fallback != 0});
    amounts = amounts.subspan(level.discounts);
  }
  return out;
}

void Image::check_sums() const {
  for (const Section* section : all_sections(header())) {
    if (section->size == 0 || section_sum(mapping_, *section) == section->checksum) continue;
    fail<DataError>("{}: the bytes {} to {} are damaged; write the model again", name_, section->offset,
                    section->offset + section->size);
  }
}

ImageWriter::ImageWriter(Mapping mapping) : mapping_(std::move(mapping)) {
  mapping_.resize(sizeof(Header));
  std::memcpy(header().magic.data(), image_magic.data(), image_magic.size());
  header().version = image_version;
  header().byte_order = this_byte_order;
  header().header_size = sizeof(Header);
}

void ImageWriter::describe(const NgramDescription& d, NgramLayout layout) {
  Header& h = header();
  h.layout = static_cast<std::uint32_t>(layout);
  h.order = static_cast<std::uint32_t>(d.order);
  h.vocab = d.vocab;
  h.sentence_end = d.sentence_end;
  h.fallback = static_cast<std::uint32_t>(d.fallback);
  const NgramOptions options = d.options.value_or(NgramOptions());
  h.estimated = d.options ? 1 : 0;
  h.method = static_cast<std::uint32_t>(options.method);
  h.add = options.k;
  h.katz_cutoff = options.katz_cutoff;
  h.backoff = options.backoff;
  h.impossible = options.impossible;
  std::vector<double> amounts;
  for (std::size_t n = 0; n < d.discounts.size(); ++n) {
    const std::vector<double>& amount = d.discounts[n].amount;
    LevelHeader& level = h.levels[n];
    level.discounts = static_cast<std::uint8_t>(amount.size());
    level.discount_fallback = d.discounts[n].fallback ? 1 : 0;
    amounts.insert(amounts.end(), amount.begin(), amount.end());
  }
  put(d.method, Part::method);
  put(amounts, Part::discounts);
}

std::uint64_t ImageWriter::reserve(std::uint64_t size) {
  if (size == 0) return 0;  // an empty section has no place
  const std::uint64_t offset = aligned(mapping_.bytes().size());
  mapping_.resize(offset + size + padding);
  return offset;
}

void ImageWriter::resize(Section& last) {
  if (last.size == 0) return;
  if (last.offset == 0) last.offset = aligned(mapping_.bytes().size());  // it was empty
  mapping_.resize(last.offset + last.size + padding);
}

Mapping ImageWriter::finish() {
  mapping_.resize(aligned(mapping_.bytes().size()));
  for (Section* section : all_sections(header())) {
    if (section->size > 0) section->checksum = section_sum(mapping_, *section);
  }
  header().file_size = mapping_.bytes().size();
  header().checksum = header_sum(header());
  return std::move(mapping_);
}

}  // namespace gradus::models::ngram
