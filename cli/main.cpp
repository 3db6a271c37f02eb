#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"
#include "cli/interrupt.hpp"
#include "cli/together.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/version.hpp"

namespace {

/// 0 when all output could be written.
int finish() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fprintf(
      stderr,
      "gradus: the standard output could not be written; check that it is open and its disk not full\n");
  return 1;
}

/// Takes the numbers of standard streams that the caller closed, so that no file gets one of them and is
/// written to by what is meant for the stream: writing to these fails.
void occupy_closed_streams() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF) {
      const int lowest_free = ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
      static_cast<void>(lowest_free);  // it is this one
    }
  }
}

/// Whether a text is not empty and has no other characters than these.
bool consists_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == text.npos;
}

/// The arguments in the order that CLI11 takes them, the last one first. A list such as "--prune 0 0 1" or
/// "--prune=0 0 1", as other toolkits have it, is joined to "--prune 0,0,1".
std::vector<std::string> arguments(int argc, char** argv) {
  constexpr std::string_view prune = "--prune", digits = "0123456789", list = "0123456789,";
  std::vector<std::string> out;
  bool listed = false;  // whether the last argument is a list that may go on
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    const bool goes_on = listed && consists_of(text, digits);
    listed = goes_on || (i > 1 && argv[i - 1] == prune && consists_of(text, list)) ||
             (text.starts_with("--prune=") && consists_of(std::string_view(text).substr(8), list));
    if (goes_on) {
      out.back() += "," + text;
    } else {
      out.push_back(text);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// A first word that is no command's name, which CLI11 would only call missing: "there is no command x; ...",
/// or nothing. The same for the commands of a command. `arguments`: the last one first.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* at = &app;
  std::string path = "gradus";
  for (auto word = arguments.rbegin(); word != arguments.rend() && !word->starts_with('-'); ++word) {
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty()) break;
    std::string names;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : commands) {
      names += (names.empty() ? "" : ", ") + command->get_name();
      if (command->get_name() == *word) found = command;
    }
    if (found == nullptr) return "there is no command '" + path + " " + *word + "'; there are: " + names;
    at = found;
    path += " " + *word;
  }
  return {};
}

}  // namespace

// Exit codes: 0 done, 1 the text, model or machine does not allow it (the message says why), 2 wrong usage,
// 128 and the number of a signal that ended the work, which was saved.
int main(int argc, char** argv) {
  // So that writing beyond the limit of a file's size fails with an error, which is reported, instead of
  // ending the program.
  std::signal(SIGXFSZ, SIG_IGN);
  occupy_closed_streams();
  CLI::App app("gradus: trains, compares and uses n-gram and neural language models");
  app.name(argv[0]);
  app.require_subcommand(1);
  app.set_version_flag("--version", "gradus " + std::string(gradus::version));
  app.footer("Begin with: gradus demo");
  gradus::cli::add_demo(app);
  gradus::cli::add_train(app);
  gradus::cli::add_eval(app);
  gradus::cli::add_adapt(app);
  gradus::cli::add_compare(app);
  gradus::cli::add_generate(app);
  gradus::cli::add_score(app);
  gradus::cli::add_next(app);
  gradus::cli::add_serve(app);
  gradus::cli::add_report(app);
  gradus::cli::add_ngram(app);
  try {
    const std::vector<std::string> given = arguments(argc, argv);
    const std::string unknown = unknown_command(app, given);
    if (!unknown.empty()) {
      if (gradus::cli::is_said_by_first()) return 2;
      std::fprintf(stderr, "gradus: %s\nRun with --help for more information.\n", unknown.c_str());
      return 2;
    }
    app.parse(std::vector<std::string>(given));
    return finish();
  } catch (const CLI::ParseError& error) {
    if (gradus::cli::is_said_by_first()) return error.get_exit_code() == 0 ? 0 : 2;
    const int code = app.exit(error);
    return code == 0 ? finish() : 2;
  } catch (const gradus::cli::ExitCode& exit) {
    const int unwritten = finish();
    return unwritten != 0 ? unwritten : exit.code;
  } catch (const std::exception&) {
    const gradus::cli::Ending ending = gradus::cli::ending_by(std::current_exception());
    std::fprintf(stderr, "%s\n", ending.line().c_str());
    return ending.code;
  }
}
