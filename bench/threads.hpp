#pragma once

#include <string>

#include "tensor/support/parallel.hpp"

namespace bench {

/// Sets the number of threads from `--threads N` if the arguments begin with it, and removes it from them;
/// otherwise one for each core.
inline void take_threads(int& argc, char**& argv) {
  gradus::set_threads(0);
  if (argc < 3 || std::string(argv[1]) != "--threads") return;
  gradus::set_threads(std::stoi(argv[2]));
  argv[2] = argv[0];
  argc -= 2;
  argv += 2;
}

}  // namespace bench
