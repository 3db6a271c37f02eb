#pragma once

#include <filesystem>
#include <regex>
#include <string>

#include "nn/weights.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"

/// Models in Hugging Face's files: the fixtures' folders, and what is checked of every such model.
namespace gradus::test {

inline std::filesystem::path folder_of(const std::string& name) {
  return source_dir() + "/tests/fixtures/transformers/" + name;
}

/// A copy of a fixture's folder with a part of its config.json replaced.
inline void copy_with(const Folder& to, const std::string& name, const std::string& pattern,
                      const std::string& text) {
  namespace fs = std::filesystem;
  for (const auto& entry : fs::directory_iterator(folder_of(name)))
    fs::copy(entry.path(), to.path() / entry.path().filename(), fs::copy_options::overwrite_existing);
  const fs::path config = to.path() / "config.json";
  const std::string before = read_file(config.string());
  const std::string after = std::regex_replace(before, std::regex(pattern), text);
  REQUIRE(after != before);
  write_file(config, after);
}

/// Checks that a network that was read has the weights of the one that was saved, bit by bit.
template <class Network>
void check_saved(const Network& network, const Network& read) {
  const Safetensors a = nn::weights(network), b = nn::weights(read);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) CHECK(identical(tensor, b.tensors.at(name)));
}

}  // namespace gradus::test
