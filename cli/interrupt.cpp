#include "cli/interrupt.hpp"

#include <csignal>

namespace gradus::cli {

namespace {

// A handler of signals may touch nothing else.
volatile std::sig_atomic_t number_of_signal = 0;

extern "C" void note_signal(int number) {
  number_of_signal = number;
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // the second one does what it always does
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

Interrupts::Interrupts() {
  number_of_signal = 0;
  handle(&note_signal);
}
Interrupts::~Interrupts() {
  handle(SIG_DFL);
}
bool Interrupts::came() {
  return number_of_signal != 0;
}
int Interrupts::exit_code() {
  return came() ? 128 + number_of_signal : 0;
}

}  // namespace gradus::cli
