#include "tests/support/hostile.hpp"
#include "tests/support/weight_files.hpp"

// Any bytes, read as PyTorch's files: an error of ours, or arrays.

using namespace gradus;
using namespace gradus::test;

/// `fuzz_pt --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const Folder folder;
  const auto file = [&](const char* file_name, const SaveOptions& options) {
    return read_bytes(save_arrays(folder.path() / file_name, small_arrays(), options));
  };
  write_seeds(
      *argc, *argv,
      {file("x.pt", {}), read_bytes(weight_file("types.pt")), read_bytes(weight_file("conv_net.pt"))});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  goes([&] { read_every_array(parse_arrays(bytes, "the hostile file")); });
  return 0;
}
