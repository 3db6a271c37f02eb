#include "models/ngram/image.hpp"

#include <zlib.h>

#include <cstring>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/parallel.hpp"

namespace gradus::models::ngram {

namespace {

constexpr std::uint32_t this_byte_order = 0x01020304;
constexpr std::uint64_t alignment = 64;
// Beyond every section: whoever reads bits reads whole words.
constexpr std::uint64_t padding = 16;

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + alignment - 1) / alignment * alignment;
}

std::uint32_t crc(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
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
  if (bytes_.size() < sizeof(Header)) wrong("cut short in its header");
  const Header& h = header();
  if (h.byte_order != this_byte_order) wrong("written on a machine of another byte order");
  if (h.version != image_version) {
    fail<DataError>("{}: of the format's version {}; this program reads version {}", name_, h.version,
                    image_version);
  }
  if (h.header_size != sizeof(Header) || h.checksum != header_sum(h)) wrong("its header is damaged");
  if (h.file_size != bytes_.size()) {
    fail<DataError>("{}: {} bytes, where its header names {}; it was cut short or added to", name_,
                    bytes_.size(), h.file_size);
  }
  if (h.layout > static_cast<std::uint32_t>(NgramLayout::compact) || h.order < 1 || h.order > max_order ||
      h.vocab < 1 || h.vocab > max_vocab || h.sentence_end < -1 || h.sentence_end >= h.vocab ||
      h.fallback > static_cast<std::uint32_t>(NgramFallback::nothing) || h.quantized > 32) {
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
  if (aligned(end + padding) != bytes_.size()) wrong("its sections end before the file does");
}

NgramDescription Image::description() const {
  const Header& h = header();
  return {static_cast<int>(h.order), h.vocab, h.sentence_end, static_cast<NgramFallback>(h.fallback),
          std::string(text(h.part(Part::method)))};
}

void Image::check_sums() const {
  const auto sections = all_sections(header());
  std::vector<char> right(sections.size());
  parallel::for_chunks(static_cast<std::int64_t>(sections.size()), [&](std::int64_t i) {
    const Section& section = *sections[static_cast<std::size_t>(i)];
    right[static_cast<std::size_t>(i)] =
        section.size == 0 || crc(bytes_.subspan(section.offset, section.size)) == section.checksum;
  });
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (right[i] == 0) {
      fail<DataError>("{}: the bytes {} to {} are damaged; write the model again", name_, sections[i]->offset,
                      sections[i]->offset + sections[i]->size);
    }
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
  const std::span<char> method = add<char>(d.method.size(), Part::method);
  std::copy(d.method.begin(), d.method.end(), method.begin());
}

std::uint64_t ImageWriter::reserve(std::uint64_t size) {
  if (size == 0) return 0;  // then the place means nothing
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
  const auto sections = all_sections(header());
  parallel::for_chunks(static_cast<std::int64_t>(sections.size()), [&](std::int64_t i) {
    Section& section = *sections[static_cast<std::size_t>(i)];
    if (section.size > 0) section.checksum = crc(mapping_.bytes().subspan(section.offset, section.size));
  });
  header().file_size = mapping_.bytes().size();
  header().checksum = header_sum(header());
  return std::move(mapping_);
}

}  // namespace gradus::models::ngram
