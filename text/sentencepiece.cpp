#include "text/sentencepiece.hpp"

#ifdef GRADUS_SENTENCEPIECE
#include <sentencepiece_processor.h>
#endif

#include <algorithm>
#include <array>

#include "tensor/support/error.hpp"
#include "tensor/support/read_file.hpp"
#include "text/base64.hpp"
#include "text/text_check.hpp"
#include "text/utf8.hpp"

namespace gradus {

namespace {

constexpr std::string_view head = "gradus sentencepiece 1";

[[maybe_unused]] [[noreturn]] void fail_missing(std::string_view name) {
  fail<DataError>(
      "{}: a SentencePiece model, and this build has no reader for it: install libsentencepiece-dev "
      "(scripts/bootstrap "
      "sentencepiece), then configure and build again",
      name);
}

}  // namespace

#ifdef GRADUS_SENTENCEPIECE

namespace {

constexpr std::string_view space_sign = "\u2581";

using Ids = std::vector<std::int32_t>;

}  // namespace

struct SentencePiece::Model {
  Model(std::string_view content, std::string_view of);

  sentencepiece::SentencePieceProcessor processor;
  std::string bytes, name;
  std::array<std::int32_t, 256> byte_ids{};
  bool falls_back = false;    // every byte has a token
  bool strips_space = false;  // decoding takes away one space at the start, which encoding puts there
  std::string stand_in;       // a character that becomes bytes, which other bytes can be written as; or empty
  Ids stand_in_ids;

  Ids encode(std::string_view text) const;
  Ids encode_bytes(std::string_view text) const;
  std::string decode_bytes(std::span<const std::int32_t> ids) const;
  void find_bytes();
  void find_stand_in();
};

SentencePiece::Model::Model(std::string_view content, std::string_view of) : bytes(content), name(of) {
  const auto status = processor.LoadFromSerializedProto({content.data(), content.size()});
  if (!status.ok())
    fail<DataError>("{}: not a SentencePiece model, or a damaged one ({})", name, status.ToString());
  find_bytes();
  if (!falls_back) return;
  for (std::int32_t id = 0; id < processor.GetPieceSize() && !strips_space; ++id) {
    const std::string& piece = processor.IdToPiece(id);
    if (!piece.starts_with(space_sign) || piece.size() == space_sign.size()) continue;
    std::string text;
    strips_space = processor.Decode(std::vector<int>{id}, &text).ok() && !text.starts_with(' ');
    break;
  }
  find_stand_in();
}

void SentencePiece::Model::find_bytes() {
  falls_back = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::int32_t id = processor.PieceToId(fmt::format("<0x{:02X}>", byte));
    byte_ids[byte] = id;
    falls_back &= processor.IsByte(id);
  }
}

/// One of the code points that are no characters, if it goes through encoding as its own bytes.
void SentencePiece::Model::find_stand_in() {
  for (const char32_t c : {0x10FFFF, 0x10FFFE, 0xFFFFE, 0xFFFFF}) {
    std::string text;
    append_utf8(text, c);
    Ids ids;
    for (const char byte : text) ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
    const Ids found = encode("a" + text + "a");
    if (std::search(found.begin(), found.end(), ids.begin(), ids.end()) == found.end()) continue;
    stand_in = text;
    stand_in_ids = ids;
    return;
  }
}

Ids SentencePiece::Model::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = processor.Encode({text.data(), text.size()}, &ids);
  if (!status.ok()) fail<DataError>("{}: the text cannot be encoded ({})", name, status.ToString());
  return ids;
}

/// What would not come back goes through as stand-ins, each of which becomes its byte at the end.
Ids SentencePiece::Model::encode_bytes(std::string_view text) const {
  std::string changed, taken;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_at(text, at).length;
    const std::string_view character = text.substr(at, std::max<std::size_t>(length, 1));
    at += character.size();
    if (length > 0 && character != space_sign && character != stand_in) {
      changed += character;
      continue;
    }
    for (const char byte : character) {
      changed += stand_in;
      taken += byte;
    }
  }
  if (taken.empty()) return encode(text);
  const Ids ids = encode(changed);
  Ids out;
  std::size_t next = 0;
  for (auto at = ids.begin(); at != ids.end();) {
    const bool here = next < taken.size() && ids.end() - at >= std::ssize(stand_in_ids) &&
                      std::equal(stand_in_ids.begin(), stand_in_ids.end(), at);
    out.push_back(here ? byte_ids[static_cast<unsigned char>(taken[next++])] : *at);
    at += here ? std::ssize(stand_in_ids) : 1;
  }
  return out;
}

std::string SentencePiece::Model::decode_bytes(std::span<const std::int32_t> ids) const {
  std::string out;
  bool stripped = !strips_space;
  for (const std::int32_t id : ids) {
    if (processor.IsControl(id)) continue;
    if (processor.IsByte(id)) {
      const auto found = std::find(byte_ids.begin(), byte_ids.end(), id);
      out += static_cast<char>(found - byte_ids.begin());
      stripped = true;
      continue;
    }
    if (processor.IsUnknown(id)) {
      out += " \u2047 ";
      continue;
    }
    std::string_view piece = processor.IdToPiece(id);
    if (!stripped && out.empty() && piece.starts_with(space_sign)) piece.remove_prefix(space_sign.size());
    stripped = true;
    for (std::size_t sign = 0; (sign = piece.find(space_sign)) != piece.npos;) {
      out += piece.substr(0, sign);
      out += ' ';
      piece.remove_prefix(sign + space_sign.size());
    }
    out += piece;
  }
  return out;
}

bool SentencePiece::available() {
  return true;
}

SentencePiece SentencePiece::from_bytes(std::string_view model, std::string_view name) {
  return SentencePiece(std::make_shared<const Model>(model, name));
}

std::int64_t SentencePiece::size() const {
  return model_->processor.GetPieceSize();
}

std::string_view SentencePiece::token(std::int32_t id) const {
  if (id < 0 || id >= size()) fail<ArgumentError>("SentencePiece: id {} of a model of {} tokens", id, size());
  return model_->processor.IdToPiece(id);
}

Ids SentencePiece::encode(std::string_view text) const {
  return model_->stand_in.empty() ? model_->encode(text) : model_->encode_bytes(text);
}

std::string SentencePiece::decode(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) token(id);
  if (model_->falls_back) return model_->decode_bytes(ids);
  std::string out;
  const auto status = model_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &out);
  if (!status.ok()) fail<DataError>("{}: the ids cannot be decoded ({})", model_->name, status.ToString());
  return out;
}

std::int32_t SentencePiece::unknown() const {
  return model_->falls_back ? -1 : model_->processor.unk_id();
}

std::int32_t SentencePiece::line_end() const {
  const std::int32_t id = model_->processor.PieceToId("\n");
  if (!model_->processor.IsUnknown(id)) return id;
  return model_->falls_back ? model_->byte_ids['\n'] : -1;
}

std::string SentencePiece::serialize() const {
  return fmt::format("{}\n{}", head, base64_lines(model_->bytes));
}

SentencePiece SentencePiece::parse(const std::vector<std::string>& tokens, std::string_view text,
                                   std::string_view name) {
  if (take(text, '\n') != head)
    fail<DataError>("{}: not a tokenizer of this version (it begins '{}')", name, head);
  const std::optional<std::string> bytes = from_base64_lines(text);
  if (!bytes) fail<DataError>("{}: its SentencePiece model is no base64, or cut short", name);
  SentencePiece out = from_bytes(*bytes, name);
  bool same = out.size() == std::ssize(tokens);
  for (std::int32_t id = 0; same && id < out.size(); ++id)
    same = out.token(id) == tokens[static_cast<std::size_t>(id)];
  if (!same) fail<DataError>("{}: its tokens are not those of its SentencePiece model", name);
  return out;
}

#else

// Every way to one ends with an error, so there is none to ask.

struct SentencePiece::Model {};

bool SentencePiece::available() {
  return false;
}
SentencePiece SentencePiece::from_bytes(std::string_view, std::string_view name) {
  fail_missing(name);
}
std::int64_t SentencePiece::size() const {
  return 0;
}
std::string_view SentencePiece::token(std::int32_t) const {
  return {};
}
std::vector<std::int32_t> SentencePiece::encode(std::string_view) const {
  return {};
}
std::string SentencePiece::decode(std::span<const std::int32_t>) const {
  return {};
}
std::int32_t SentencePiece::unknown() const {
  return -1;
}
std::int32_t SentencePiece::line_end() const {
  return -1;
}
std::string SentencePiece::serialize() const {
  return {};
}
SentencePiece SentencePiece::parse(const std::vector<std::string>&, std::string_view, std::string_view name) {
  fail_missing(name);
}

#endif

SentencePiece SentencePiece::load(const std::filesystem::path& file) {
  return from_bytes(read_file(file), file.string());
}

}  // namespace gradus
