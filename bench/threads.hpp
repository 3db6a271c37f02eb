#pragma once

#include <string>

#include "tensor/support/parallel.hpp"

namespace bench {

/// Takes `--threads N` out of the arguments, where it stands first, and sets it: 0, one a core, without it.
inline void take_threads(int& argc, char**& argv) {
  gradus::set_threads(0);
  if (argc < 3 || std::string(argv[1]) != "--threads") return;
  gradus::set_threads(std::stoi(argv[2]));
  argv[2] = argv[0];
  argc -= 2;
  argv += 2;
}

}  // namespace bench
