#pragma once

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "text/tokenizer.hpp"

namespace gradus::test {

inline std::string shared_path(const std::string& name) {
  return source_dir() + "/../shared/" + name;
}

/// A file of the shared folder, unpacked; empty, with a message, where there is none.
inline std::string shared_text(const std::string& name) {
  if (!std::filesystem::exists(shared_path(name))) {
    WARN("skipped: " << name << " is not there");
    return {};
  }
  const std::string command = "gzip -dcf '" + shared_path(name) + "'";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
    text.append(buffer.data(), count);
  return text;
}

/// KenLM's reference was made with <unk> as an ordinary word.
inline std::string renamed(const std::string& text) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = text.find("<unk>", from)) != text.npos; from = at + 5) {
    out.append(text, from, at - from);
    out += "UNK";
  }
  return out.append(text, from);
}

inline std::vector<std::int32_t> with_line_end_first(const Vocabulary& vocabulary, const std::string& text) {
  std::vector<std::int32_t> tokens = encode(vocabulary, text);
  tokens.insert(tokens.begin(), vocabulary.line_end());
  return tokens;
}

}  // namespace gradus::test
