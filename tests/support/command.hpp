#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"

namespace gradus::test {

struct Result {
  int code;
  std::string out, error;
};

/// Runs a program in the folder; it and its arguments go through the shell.
inline Result run_program(const Folder& folder, const std::string& program, const std::string& arguments,
                          const std::string& input = "") {
  const Folder output;  // not among the folder's own files
  const auto in = output.write("in", input);
  // The arguments last, so that a redirection among them holds.
  const std::string command = "cd '" + folder.path().string() + "' && " + program + " <'" + in.string() +
                              "' >'" + (output.path() / "out").string() + "' 2>'" +
                              (output.path() / "error").string() + "' " + arguments;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(output.path() / "out"),
          read_bytes(output.path() / "error")};
}

/// Runs `gradus` in the folder; the arguments go through the shell.
inline Result gradus_command(const Folder& folder, const std::string& arguments,
                             const std::string& input = "") {
  return run_program(folder, "'" + bin_dir() + "/gradus'", arguments, input);
}

/// What a command that succeeds prints, and the same as JSON.
inline std::string output(const Folder& folder, const std::string& arguments) {
  const Result result = gradus_command(folder, arguments);
  INFO(arguments << ": " << result.error);
  REQUIRE(result.code == 0);
  return result.out;
}
inline nlohmann::json json(const Folder& folder, const std::string& arguments) {
  return nlohmann::json::parse(output(folder, arguments + " --json"));
}

/// Expects a refusal: exit code 1, one line on stderr with the text in it, and no file left behind.
inline void refused(const Folder& folder, const std::string& arguments,
                    const std::vector<std::string>& texts) {
  INFO(arguments);
  const std::size_t before = folder.files();
  const Result result = gradus_command(folder, arguments);
  CHECK(result.code == 1);
  CHECK(result.error.starts_with("gradus: "));
  CHECK(std::count(result.error.begin(), result.error.end(), '\n') == 1);
  for (const std::string& text : texts) CHECK_THAT(result.error, Catch::Contains(text));
  CHECK(folder.files() == before);
}

/// Expects wrong usage: exit code 2, the text on stderr, nothing on stdout, and no file left behind.
inline void misused(const Folder& folder, const std::string& arguments, const std::string& text) {
  INFO(arguments);
  const std::size_t before = folder.files();
  const Result result = gradus_command(folder, arguments);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.error, Catch::Contains(text));
  CHECK(folder.files() == before);
}

}  // namespace gradus::test
