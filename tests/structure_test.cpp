#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/paths.hpp"

// What the design asks of the sources themselves.

namespace fs = std::filesystem;
using gradus::test::read_bytes;

namespace {

const fs::path root = gradus::test::source_dir();

std::vector<fs::path> sources(const std::string& folder) {
  std::vector<fs::path> out;
  if (!fs::exists(root / folder)) return out;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".hpp" || extension == ".cpp") out.push_back(entry.path());
  }
  return out;
}

std::vector<std::string> includes(const fs::path& file) {
  const std::string text = read_bytes(file);
  const std::regex line(R"(#include ["<]([^">]+)[">])");
  std::vector<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) out.push_back((*it)[1]);
  return out;
}

/// The lines of a text without leading spaces, so that a snippet may stand at another depth.
std::string flush_left(const std::string& text) {
  return std::regex_replace(text, std::regex("\n +"), "\n");
}

}  // namespace

TEST_CASE("includes run one way: tensor, autograd, nn and optim, models, distributed, cli", "[structure]") {
  const std::map<std::string, std::set<std::string>> may_include{
      {"tensor", {"tensor"}},
      {"autograd", {"tensor", "autograd"}},
      {"nn", {"tensor", "autograd", "nn"}},
      {"optim", {"tensor", "autograd", "optim"}},
      {"text", {"tensor", "text"}},
      {"models", {"tensor", "autograd", "nn", "optim", "text", "models"}},
      {"distributed", {"tensor", "autograd", "nn", "optim", "text", "models", "distributed"}},
      {"cli", {"tensor", "autograd", "nn", "optim", "text", "models", "distributed", "cli"}}};
  for (const auto& [folder, allowed] : may_include) {
    const auto files = sources(folder);
    CHECK(files.size() > 3);
    for (const fs::path& file : files) {
      for (const std::string& include : includes(file)) {
        const std::string other = include.substr(0, include.find('/'));
        INFO(file << " includes " << include);
        if (may_include.count(other) == 1) CHECK(allowed.count(other) == 1);
        // Third-party packages stay in their corners.
        if (other == "xsimd") CHECK(file == root / "tensor/kernels/impl/arch.hpp");
        if (other == "tbb" || other == "oneapi") CHECK(file.filename() == "parallel.cpp");
        if (other == "Eigen") {
          CHECK(std::set<fs::path>{"linalg.cpp", "decompositions.cpp", "svd.cpp"}.count(file.filename()) ==
                1);
          CHECK(file.parent_path() == root / "tensor/ops");
        }
        if (other == "xtensor") CHECK(file.filename() == "xtensor.hpp");
        if (other == "toml++") CHECK(file == root / "models/run/config.cpp");
        if (other == "sentencepiece_processor.h") CHECK(file == root / "text/sentencepiece.cpp");
        if (other == "mpi.h") CHECK(file == root / "distributed/communicator.cpp");
        if (other == "pcre2.h") CHECK(file == root / "text/regex.cpp");
        if (other == "httplib.h")
          CHECK((file == root / "cli/http_server.cpp" || file == root / "cli/serve.cpp"));
      }
    }
  }
}

TEST_CASE("gradus.hpp includes every header but the internal ones", "[structure]") {
  const std::vector<std::string> listed = includes(gradus::test::umbrella_header());
  const std::set<std::string> included(listed.begin(), listed.end());
  for (const char* folder : {"tensor", "autograd", "nn", "optim", "text", "models"}) {
    for (const fs::path& file : sources(folder)) {
      const std::string name = fs::relative(file, root).string();
      if (file.extension() != ".hpp") continue;
      // xtensor is met at the user's edge alone: its header is included by who wants it.
      const bool internal = read_bytes(file).find("\n// Internal: ") != std::string::npos ||
                            name.starts_with("tensor/kernels/") || name == "tensor/xtensor.hpp";
      INFO(name);
      CHECK(included.count(name) == (internal ? 0 : 1));
    }
  }
}

TEST_CASE("no source file is longer than 600 lines", "[structure]") {
  for (const char* folder : {"tensor", "autograd", "nn", "optim", "text", "models", "distributed", "cli",
                             "examples", "tests", "bench"}) {
    for (const fs::path& file : sources(folder)) {
      const std::string text = read_bytes(file);
      INFO(file);
      CHECK(std::count(text.begin(), text.end(), '\n') <= 600);
    }
  }
}

TEST_CASE("every C++ snippet of the documents is code of an example, which the tests compile and run",
          "[structure]") {
  std::string examples;
  for (const fs::path& file : sources("examples")) examples += "\n" + flush_left(read_bytes(file));
  std::vector<fs::path> documents{root / "README.md", root / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") documents.push_back(entry.path());
  }
  int snippets = 0;
  for (const fs::path& document : documents) {
    const std::string text = read_bytes(document);
    const std::string open = "```cpp\n";
    for (std::size_t at = 0; (at = text.find(open, at)) != text.npos;) {
      at += open.size();
      const std::size_t end = text.find("```", at);
      REQUIRE(end != text.npos);
      const std::string snippet = flush_left("\n" + text.substr(at, end - at));
      INFO(document << ":" << snippet);
      CHECK(examples.find(snippet) != examples.npos);
      ++snippets;
    }
  }
  CHECK(snippets >= 3);
}

TEST_CASE("every name that docs/pytorch.md has for Gradus is one of the library's", "[structure]") {
  std::set<std::string> words;
  const std::regex word(R"([A-Za-z_]\w*)");
  const auto each_word = [&](const std::string& text, const auto& visit) {
    for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it) visit(it->str());
  };
  for (const char* folder : {"tensor", "autograd", "nn", "optim", "text", "models", "distributed"}) {
    for (const fs::path& file : sources(folder)) {
      // Not what comments say: a name that is gone may live on there.
      const std::string code = std::regex_replace(read_bytes(file), std::regex("//[^\n]*"), "");
      if (file.extension() == ".hpp") each_word(code, [&](const std::string& name) { words.insert(name); });
    }
  }
  // What the table calls the reader's own objects.
  const std::set<std::string> own{"x", "y", "a", "b", "p", "model", "optimizer", "loss", "rng", "tape"};
  // | PyTorch | Gradus | remark |
  const std::regex row(R"(\n\|[^|\n]*\|([^|\n]*)\|)"), code("`([^`]*)`");
  const std::string text = read_bytes(root / "docs/pytorch.md");
  int names = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    const std::string cell = (*it)[1];
    for (std::sregex_iterator span(cell.begin(), cell.end(), code); span != end; ++span) {
      INFO(span->str());
      each_word((*span)[1], [&](const std::string& name) {
        if (own.count(name) == 0) CHECK(words.count(name) == 1);
        ++names;
      });
    }
  }
  CHECK(names > 150);
}

TEST_CASE("docs/compared.md says what each layer, loss, optimizer and schedule is compared with",
          "[structure]") {
  std::set<std::string> named;
  const std::regex code("`(\\w+)`");
  const std::string text = read_bytes(root / "docs/compared.md");
  for (std::sregex_iterator it(text.begin(), text.end(), code), end; it != end; ++it) named.insert((*it)[1]);

  // Layers are structs with `members`; a cell goes with its layer, and activations are named together.
  const std::set<std::string> parts{"Stateless", "Recurrent", "MinRecurrent", "SingleStep"};
  const std::regex begins(R"(^(?:struct|class) (\w+).*)"), step(R"(^using (\w+) = SingleStep.*)"),
      loss(R"(^Variable (\w+)\(.*)"), rule("(\\w+)Rule"), schedule("\\w+Schedule");
  std::map<std::string, int> found;
  const auto check = [&](const char* what, const std::string& name) {
    INFO(what << " " << name);
    ++found[what];
    if (parts.count(name) == 0 && !name.ends_with("Cell")) CHECK(named.count(name) == 1);
  };
  for (const char* folder : {"nn", "optim"}) {
    for (const fs::path& file : sources(folder)) {
      const std::string header = read_bytes(file);
      if (file.extension() != ".hpp" || header.find("\n// Internal: ") != std::string::npos) continue;
      std::istringstream lines(header);
      std::smatch match;
      for (std::string line, type; std::getline(lines, line);) {
        if (std::regex_match(line, match, begins)) {
          type = match[1];
          if (std::regex_match(type, schedule)) check("schedule", type);
          if (std::regex_match(type, match, rule)) check("optimizer", match[1]);
        } else if (line.find("static void members(auto& self") != std::string::npos) {
          check("layer", type);
        } else if (std::regex_match(line, match, step)) {
          check("layer", match[1]);
        } else if (std::regex_match(line, match, loss)) {
          check("loss", match[1]);
        }
      }
    }
  }
  CHECK(found["layer"] > 20);
  CHECK(found["loss"] > 15);
  CHECK(found["optimizer"] > 10);
  CHECK(found["schedule"] > 10);
}

TEST_CASE("the custom part of each example stays under 30 lines", "[structure]") {
  // What stands between the two marks.
  const std::string begin = "// custom begins\n", end = "// custom ends\n";
  int marked = 0;
  for (const fs::path& file : sources("examples")) {
    const std::string text = read_bytes(file);
    const std::size_t from = text.find(begin), to = text.find(end);
    if (from == text.npos) continue;
    REQUIRE(to != text.npos);
    INFO(file);
    CHECK(std::count(text.begin() + static_cast<std::ptrdiff_t>(from + begin.size()),
                     text.begin() + static_cast<std::ptrdiff_t>(to), '\n') < 30);
    ++marked;
  }
  CHECK(marked >= 3);
}
