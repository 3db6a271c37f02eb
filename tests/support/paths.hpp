#pragma once

#include <string>

namespace gradus::test {

/// The folder of the sources, and that of the programs built.
std::string source_dir();
std::string bin_dir();
/// The file gradus.hpp.
std::string umbrella_header();

}  // namespace gradus::test
