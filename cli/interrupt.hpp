#pragma once

namespace gradus::cli {

/// While it lives, Ctrl-C and SIGTERM are noted in place of ending the program, so that work can be saved
/// first. A second one ends it at once.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  /// Whether a signal came.
  static bool came();
  /// The exit code of a program that a signal ends, 128 and its number; 0 when none came.
  static int exit_code();
};

/// Ends the program with a code of its own, once output is written: for work that was interrupted and saved.
struct ExitCode {
  int code;
};

}  // namespace gradus::cli
