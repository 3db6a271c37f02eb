#include "tests/support/hostile.hpp"
#include "tests/support/weight_files.hpp"

// Any bytes, read as the index of a safetensors file in several parts, two of which lie beside it.

using namespace gradus;
using namespace gradus::test;

namespace {

const std::filesystem::path& index_file() {
  static const Folder folder;
  static const std::filesystem::path index =
      save_arrays(folder.path() / "x.safetensors", small_arrays(), {.max_bytes = 60});
  return index;
}

}  // namespace

/// `fuzz_shards --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  write_seeds(*argc, *argv, {read_bytes(index_file())});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::ofstream(index_file(), std::ios::binary)
      << std::string_view(reinterpret_cast<const char*>(data), size);
  goes([&] { read_every_array(open_arrays(index_file())); });
  return 0;
}
