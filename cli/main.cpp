#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "tensor/support/error.hpp"

namespace {

/// 0 when all output could be written.
int finish() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fprintf(stderr, "gradus: the output could not be written; is the disk full?\n");
  return 1;
}

/// The arguments in the order that CLI11 takes them, the last one first. A list such as "--prune 0 0 1", as
/// other toolkits have it, is joined to "--prune 0,0,1".
std::vector<std::string> arguments(int argc, char** argv) {
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  std::vector<std::string> out;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const bool listed = out.size() > 1 && out[out.size() - 2] == "--prune" && is_number(text) &&
                        out.back().find_first_not_of("0123456789,") == std::string::npos &&
                        !out.back().empty();
    if (listed) {
      out.back() += "," + text;
    } else {
      out.push_back(text);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

// Exit codes: 0 done, 1 the text, model or machine does not allow it (the message says why), 2 wrong usage.
int main(int argc, char** argv) {
  // So that writing beyond the limit of a file's size fails with an error, which is reported, instead of
  // ending the program.
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app("gradus: trains, compares and uses n-gram and neural language models");
  app.name(argv[0]);
  app.require_subcommand(1);
  app.set_version_flag("--version", "gradus 0.1.0");
  app.footer("Begin with: gradus demo");
  gradus::cli::add_demo(app);
  gradus::cli::add_train(app);
  gradus::cli::add_eval(app);
  gradus::cli::add_generate(app);
  gradus::cli::add_score(app);
  gradus::cli::add_ngram(app);
  try {
    app.parse(arguments(argc, argv));
    return finish();
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? finish() : 2;
  } catch (const gradus::Error& error) {
    std::fprintf(stderr, "gradus: %s\n", error.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "gradus: not enough memory for this text and model; try a smaller one\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gradus: %s\n", error.what());
  }
  return 1;
}
