#include "tests/support/paths.hpp"

namespace gradus::test {

std::string source_dir() {
  return GRADUS_SOURCE_DIR;
}
std::string bin_dir() {
  return GRADUS_BIN_DIR;
}
std::string umbrella_header() {
  return GRADUS_UMBRELLA;
}

}  // namespace gradus::test
