// A program and a plugin that both use Gradus. Usage: program PLUGIN one|two, for the number of copies of the
// library that the two were linked to have in the process.
#include <gradus.hpp>

#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <string>

#include "tests/shared/plugin.hpp"

using namespace gradus;

namespace {

int failures = 0;
void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

template <class F>
F* find(void* plugin, const char* name) {
  return reinterpret_cast<F*>(dlsym(plugin, name));
}

/// The plugin's layer is recorded by the program's tape, and its errors are caught here.
void check_one_copy(void* plugin) {
  Parameter& scale = *find<decltype(scale_parameter)>(plugin, "scale_parameter")();
  const Parameter x(Tensor::scalar(3));
  check(x.id() != scale.id(), "parameters of program and plugin have ids of their own");
  Tape tape;
  const std::unique_ptr<Variable> y(find<decltype(scaled)>(plugin, "scaled")(x));
  const Gradients gradients = tape.backward(*y);
  check(gradients[x].item() == 2, "the gradient of the program's parameter");
  check(gradients[scale].item() == 3, "the gradient of the plugin's parameter");
  check(fmt::format("{} {} {}", x, x.shape(), Indices({1})) == "3 () [1] (1,) indices", "values are printed");
  try {
    find<decltype(scaled)>(plugin, "scaled")(Variable(ones({2})) * y->value().item() + *y);
    check(false, "a value of a tape that was consumed is refused in the plugin");
  } catch (const TapeError&) {
  }
}

/// Two copies know nothing of each other: they are told apart, and a value that goes from one to the other is
/// refused.
void check_two_copies(void* plugin) {
  const Parameter x(Tensor::scalar(3));
  check(x.id() != find<decltype(scale_parameter)>(plugin, "scale_parameter")()->id(),
        "parameters of two copies have ids of their own");
  Tape tape;
  const Variable y = x * 2;
  try {
    find<decltype(meet_under_own_tape)>(plugin, "meet_under_own_tape")(y);
    check(false, "a value of another copy is refused");
  } catch (const std::exception& e) {
    check(std::string(e.what()).find("another copy of Gradus") != std::string::npos, e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  void* plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  std::string(argv[2]) == "one" ? check_one_copy(plugin) : check_two_copies(plugin);
  return failures;
}
