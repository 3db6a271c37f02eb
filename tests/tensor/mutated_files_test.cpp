#include <functional>

#include "tensor/npy.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/hostile.hpp"
#include "tests/support/weight_files.hpp"

using namespace gradus;
using gradus::test::Folder;
using gradus::test::read_bytes;

namespace {

/// Damages bytes as disks, networks and attackers do: bits turned, bytes replaced by those with which bounds
/// are missed, ends cut off, pieces repeated, moved or left out.
std::string mutated(std::string bytes, Rng& rng) {
  const auto place = [&](std::size_t end) { return static_cast<std::size_t>(rng.below(end)); };
  for (std::uint64_t i = 0, count = 1 + rng.below(4); i < count && bytes.size() > 8; ++i) {
    const std::size_t at = place(bytes.size()),
                      length = 1 + place(std::min<std::size_t>(bytes.size() - at, 16));
    switch (rng.below(6)) {
      case 0:
        bytes[at] ^= static_cast<char>(1 << rng.below(8));
        break;
      case 1:
        bytes.replace(at, length, std::string(length, rng.below(2) == 0 ? '\xFF' : '\0'));
        break;
      case 2:
        bytes[at] = "\x7F\x80\1.()}]0q"[rng.below(10)];
        break;
      case 3:
        bytes.insert(at, bytes.substr(place(bytes.size()), length));
        break;
      case 4:
        bytes.erase(at, length);
        break;
      default:
        if (rng.below(8) == 0)
          bytes.resize(at);
        else
          bytes.replace(at, length, bytes.substr(place(bytes.size()), length));
    }
  }
  return bytes;
}

/// No more numbers than the file can hold, deflated 1032 times.
void check_sizes(const StoredArrays& content, std::size_t bytes) {
  for (const auto& entry : content.arrays) {
    const StoredArray& array = entry.second;
    if (static_cast<std::size_t>(array.shape().size()) * bytes_of(array.type()) > 1032 * bytes)
      FAIL(entry.first << " is larger than its file can hold");
  }
}

/// Reads 1000 damaged files; those that are refused are refused by a DataError of ours. Returns how many are
/// not.
int survivors(const std::string& sound, const std::function<void(const std::string&)>& read) {
  Rng rng(17);
  int read_well = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string bytes = mutated(sound, rng);
    try {
      read(bytes);
      ++read_well;
    } catch (const DataError&) {
    }
  }
  return read_well;
}

}  // namespace

TEST_CASE("1000 damaged files of each format are read or refused: no crash, no memory beyond their size",
          "[files][mutated]") {
  const Folder folder;
  const StoredArrays content = test::small_arrays();
  const auto bytes_of_file = [&](const char* name, const SaveOptions& options = {}) {
    return read_bytes(save_arrays(folder.path() / name, content, options));
  };
  const auto read = [](const std::string& bytes) {
    const StoredArrays arrays = parse_arrays(bytes, "damaged");
    check_sizes(arrays, bytes.size());
    test::read_every_array(arrays);
  };
  int read_well = 0;
  for (const std::string& sound : {bytes_of_file("x.safetensors"), bytes_of_file("x.npz"),
                                   bytes_of_file("packed.npz", {.compressed = true}), bytes_of_file("x.pt"),
                                   read_bytes(test::weight_file("lstm_lm.pt"))}) {
    REQUIRE_NOTHROW(read(sound));
    const int count = survivors(sound, read);
    read_well += count;
    CHECK(count < 1000);
  }
  CHECK(read_well > 0);
}

TEST_CASE("1000 damaged indexes of parts and .npy files are read or refused", "[files][mutated]") {
  const Folder folder;
  const auto index = save_arrays(folder.path() / "x.safetensors", test::small_arrays(), {.max_bytes = 30});
  const std::string sound = read_bytes(index);
  CHECK(survivors(sound, [&](const std::string& bytes) {
          folder.write("x.safetensors.index.json", bytes);
          test::read_every_array(open_arrays(index));
        }) < 1000);
  const auto file = folder.path() / "x.npy";
  save_npy(file, Tensor::of({1, 2, 3}));
  CHECK(survivors(read_bytes(file), [&](const std::string& bytes) {
          const test::MemoryFile damaged(bytes);
          load_npy(damaged.path());
        }) < 1000);
}
