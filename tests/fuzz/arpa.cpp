#include "tests/models/ngram/ngram_hostile.hpp"

// Any bytes, read as an ARPA file: an error of ours, or a sound model that can be used in every way.

/// `fuzz_arpa --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  gradus::test::write_seeds(*argc, *argv, gradus::test::sound_arpa(4, 30));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gradus::test::survives({reinterpret_cast<const char*>(data), size});
  return 0;
}
