#include "tensor/npy.hpp"
#include "tests/support/hostile.hpp"
#include "tests/support/weight_files.hpp"

// Any bytes, read as a .npy file, as safetensors or whatever else they may be: an error of ours, or tensors.

namespace {

/// A file whose header's length stands in `width` bytes before the header.
std::string with_header(std::string bytes, std::size_t width, const std::string& header,
                        std::size_t numbers) {
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 255);
  return bytes + header + std::string(numbers, '\x3F');
}

}  // namespace

/// `fuzz_arrays --seeds=FOLDER` writes files to begin from, and ends.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string npy("\x93NUMPY\1\0", 8);
  gradus::test::write_seeds(
      *argc, *argv,
      {with_header(npy, 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24),
       with_header(npy, 2, "{'descr': '>i8', 'fortran_order': False, 'shape': (1,), }", 8),
       with_header("", 8,
                   R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("b":{"dtype":"F64","shape":[1,2],"data_offsets":[8,24]},"__metadata__":{"k":"v"}})",
                   24),
       with_header("", 8,
                   R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U64","shape":[],"data_offsets":[8,16]},)"
                   R"("c":{"dtype":"BOOL","shape":[3],"data_offsets":[4,7]}})",
                   16)});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gradus::test::goes;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!bytes.starts_with("\x93NUMPY")) {
    goes([&] { gradus::test::read_every_array(gradus::parse_arrays(bytes, "the hostile file")); });
    return 0;
  }
  const gradus::test::MemoryFile file(bytes);
  goes([&] { gradus::load_npy(file.path()); });
  goes([&] { gradus::load_npy_indices(file.path()); });
  return 0;
}
