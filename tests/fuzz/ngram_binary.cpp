#include <fstream>

#include "tests/models/ngram/ngram_hostile.hpp"

// Any bytes with right checksums, read as a binary n-gram model and used in every way.

/// `fuzz_ngram_binary --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  gradus::test::write_seeds(*argc, *argv, gradus::test::sound_files(6, 60));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  gradus::test::reseal(bytes);
  gradus::test::survives(bytes);
  return 0;
}
