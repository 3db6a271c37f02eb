#include "tensor/files/stored_array.hpp"

#include <cmath>
#include <limits>

#include "tensor/npy.hpp"
#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tensor/safetensors.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/weight_files.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;
using gradus::test::weight_file;

namespace {

/// What make_weights_fixtures.py writes for a type.
Tensor written_for(NumberType type) {
  const Dtype dtype = type == NumberType::f64 ? Dtype::f64 : Dtype::f32;
  if (type == NumberType::f64 || type == NumberType::f32)
    return Tensor::of({-1.5, 0, 0.1, 2}, dtype).reshape({2, 2});
  if (type == NumberType::f16) return Tensor::of({-1.5, 0, 0.0999755859375, 2}).reshape({2, 2});
  if (type == NumberType::bf16) return Tensor::of({-1.5, 0, 0.10009765625, 2}).reshape({2, 2});
  if (type == NumberType::boolean) return Tensor::of({1, 0, 0, 1}).reshape({2, 2});
  const double first = name_of(type)[0] == 'u' ? 1 : -1;
  return Tensor::of({first, 0, 3, 127}, bytes_of(type) > 2 ? Dtype::f64 : Dtype::f32).reshape({2, 2});
}

StoredArray through_file(const Tensor& x, NumberType type, const char* name = "x.safetensors") {
  const Folder folder;
  StoredArrays content;
  content.arrays.emplace("x", StoredArray(x, type));
  return open_arrays(save_arrays(folder.path() / name, content)).at("x");
}

double through(NumberType type, double value) {
  return StoredArray(Tensor::scalar(value, Dtype::f64), type).tensor().item();
}

}  // namespace

TEST_CASE("every type of number is read from safetensors, .npz and .pt as PyTorch and NumPy wrote it",
          "[files]") {
  for (const char* file : {"types.safetensors", "types.pt", "arrays.npz", "arrays_compressed.npz"}) {
    const StoredArrays content = open_arrays(weight_file(file));
    for (const NumberType type : all_number_types) {
      INFO(file << " " << name_of(type));
      if (type == NumberType::bf16 && std::string(file).ends_with("npz")) continue;
      const StoredArray& array = content.at(name_of(type));
      CHECK(array.type() == type);
      CHECK(identical(array.tensor(), written_for(type)));
      CHECK(identical(array.tensor(Dtype::f32), written_for(type).to(Dtype::f32)));
      if (is_floating(type)) {
        CHECK_THROWS_WITH(array.indices(), Contains(name_of(type)));
      } else {
        CHECK(array.indices().values()[3] == written_for(type).at(3));
      }
    }
  }
  CHECK(load_safetensors(weight_file("types.safetensors")).tensors.at("i64").dtype() == Dtype::f64);
}

TEST_CASE("integers that have no place in the dtype are refused by name, where they are asked for",
          "[files]") {
  const Tensor large = Tensor::of({16777217, 4}, Dtype::f64);
  for (const char* file : {"x.safetensors", "x.npz", "x.pt"}) {
    const StoredArray array = through_file(large, NumberType::i64, file);
    CHECK(identical(array.tensor(), large));
    CHECK_THROWS_WITH(array.tensor(Dtype::f32),
                      Contains("x holds 16777217") || Contains("x.npy holds 16777217"));
    CHECK_THROWS_AS(array.tensor(Dtype::f32), DataError);
  }
  // 2^53 + 1, which no double is; the least and the largest integers.
  const auto one = [](const std::string& dtype, const std::string& bytes) {
    const std::string header = R"({"count":{"dtype":")" + dtype + R"(","shape":[],"data_offsets":[0,8]}})";
    return static_cast<char>(header.size()) + std::string(7, '\0') + header + bytes;
  };
  const std::string odd = one("I64", std::string("\1\0\0\0\0\0\x20\0", 8));
  CHECK_THROWS_WITH(parse_arrays(odd, "m").at("count").tensor(),
                    Contains("m: the tensor count holds 9007199254740993"));
  CHECK_THROWS_WITH(parse_safetensors(odd, "m"), Contains("the tensor count holds"));
  const std::string least = one("I64", std::string("\0\0\0\0\0\0\0\x80", 8));
  CHECK(parse_arrays(least, "m").at("count").tensor(Dtype::f32).item() == -0x1p63);
  CHECK_THROWS_WITH(parse_arrays(least, "m").at("count").indices(), Contains("count") && Contains("32 bits"));
  const std::string most = one("U64", std::string(8, '\xFF'));
  CHECK_THROWS_WITH(parse_arrays(most, "m").at("count").tensor(), Contains("18446744073709551615"));
  CHECK_THROWS_WITH(StoredArray(Tensor::of({0.5}), NumberType::i8), Contains("0.5"));
  CHECK_THROWS_AS(StoredArray(Tensor::of({256}), NumberType::u8), ArgumentError);
  CHECK_THROWS_AS(StoredArray(Tensor::of({-1}), NumberType::u64), ArgumentError);
  CHECK_THROWS_AS(StoredArray(Tensor::of({std::nan("")}), NumberType::i32), ArgumentError);
  CHECK_THROWS_AS(StoredArray(Tensor::of({2}), NumberType::boolean), ArgumentError);
}

TEST_CASE("halves are exact when read, and the nearest when written, of two the even one", "[files]") {
  std::vector<double> given, expected;
  double before = 0;
  for (int bits = 0; bits < 0x7C00; ++bits) {
    // The format's definition: 10 bits of fraction, 5 of exponent.
    const int exponent = bits >> 10, fraction = bits & 1023;
    const double value =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    const double middle = (before + value) / 2, even = bits % 2 == 0 ? value : before;
    const double tiny = std::ldexp(value - before, -40);  // a float does not hold the sum
    given.insert(given.end(), {value, -value, middle, middle + tiny, middle - tiny});
    expected.insert(expected.end(), {value, -value, even, value, before});
    before = value;
  }
  const Tensor all = Tensor::from(given, {static_cast<std::int64_t>(given.size())});
  CHECK(identical(StoredArray(all, NumberType::f16).tensor(Dtype::f64), Tensor::from(expected, all.shape())));
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(through(NumberType::f16, 65519.99) == 65504);
  CHECK(through(NumberType::f16, 65520) == infinity);
  CHECK(through(NumberType::f16, -1e300) == -infinity);
  CHECK(through(NumberType::f16, 1e-300) == 0);
  CHECK(std::isnan(through(NumberType::f16, std::nan(""))));
  CHECK(std::signbit(through(NumberType::f16, -0.0)));
  CHECK(through(NumberType::bf16, 1 + 0x1p-8) == 1);
  CHECK(through(NumberType::bf16, 1 + 3 * 0x1p-8) == 1 + 0x1p-6);
  CHECK(through(NumberType::bf16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7);
  CHECK(through(NumberType::bf16, -infinity) == -infinity);
  CHECK(through(NumberType::bf16, 3.4e38) == infinity);
  CHECK(std::isnan(through(NumberType::bf16, std::nan(""))));
}

TEST_CASE("every format gives back what was written, of every type", "[files]") {
  const Folder folder;
  StoredArrays content;
  for (const NumberType type : all_number_types)
    content.arrays.emplace(
        name_of(type),
        StoredArray(type == NumberType::boolean ? Tensor::of({1, 0, 1}) : Tensor::of({0, 3, 127}), type));
  content.arrays.emplace("empty", StoredArray(zeros({0, 2})));
  content.arrays.emplace("scalar", StoredArray(Tensor::scalar(-0.0, Dtype::f64)));
  content.arrays.emplace("ids", StoredArray(Indices{5, -7}));
  content.metadata["note"] = "kept by safetensors alone";
  for (const char* name : {"x.safetensors", "x.pt", "x.npz", "x"}) {
    INFO(name);
    if (std::string(name) == "x.npz") {
      CHECK_THROWS_WITH(save_arrays(folder.path() / name, content), Contains("bf16"));
      content.arrays.erase("bf16");
    }
    REQUIRE(save_arrays(folder.path() / name, content) == folder.path() / name);
    const StoredArrays read = open_arrays(folder.path() / name);
    REQUIRE(read.arrays.size() == content.arrays.size());
    for (const auto& [key, array] : content.arrays) {
      INFO(key);
      CHECK(read.at(key).type() == array.type());
      CHECK(identical(read.at(key).tensor(), array.tensor()));
    }
    // Read and written once more: the same bytes, from a file too.
    const std::filesystem::path again = folder.path() / (std::string("again_") + name);
    save_arrays(again, read);
    CHECK(read_bytes(again) == read_bytes(folder.path() / name));
  }
  CHECK(read_bytes(folder.path() / "x").substr(8, 1) == "{");
  CHECK(open_arrays(folder.path() / "x.safetensors").metadata == content.metadata);
  save_arrays(folder.path() / "packed.npz", content, {.compressed = true});
  CHECK(identical(open_arrays(folder.path() / "packed.npz").at("f64").tensor(), content.at("f64").tensor()));
}

TEST_CASE("floating-point numbers are written as f16, bf16, f32 or f64 on request, others as they are",
          "[files]") {
  const Folder folder;
  StoredArrays content;
  content.arrays.emplace("w", StoredArray(Tensor::of({0.1, -2})));
  content.arrays.emplace("v", StoredArray(Tensor::of({0.1}, Dtype::f64)));
  content.arrays.emplace("n", StoredArray(Tensor::of({3}), NumberType::i64));
  for (const NumberType type : {NumberType::f16, NumberType::bf16, NumberType::f32, NumberType::f64}) {
    save_arrays(folder.path() / "x.pt", content, {.type = type});
    const StoredArrays read = open_arrays(folder.path() / "x.pt");
    CHECK(read.at("w").type() == type);
    CHECK(read.at("n").type() == NumberType::i64);
    CHECK(read.at("v").tensor(Dtype::f64).item() == through(type, 0.1));
  }
  CHECK_THROWS_AS(save_arrays(folder.path() / "x", content, {.type = NumberType::i8}), ArgumentError);
  CHECK_THROWS_AS(save_arrays(folder.path() / "x.pt", content, {.max_bytes = 9}), ArgumentError);
  CHECK_THROWS_AS(save_arrays(folder.path() / "x.pt", content, {.compressed = true}), ArgumentError);
}

TEST_CASE("safetensors in several parts are written up to a size, and read through their index", "[files]") {
  const Folder folder;
  const auto file = folder.path() / "model.safetensors";
  StoredArrays content;
  for (const char* name : {"a", "b", "c", "d"})
    content.arrays.emplace(name, StoredArray(full({10}, name[0])));
  content.arrays.emplace("large", StoredArray(ones({100})));
  content.metadata["note"] = "n";
  CHECK(save_arrays(file, content, {.max_bytes = 10000}) == file);
  const auto index = save_arrays(file, content, {.max_bytes = 100});
  CHECK(index == folder.path() / "model.safetensors.index.json");
  CHECK(folder.files() == 5);  // two of two tensors, the large one, the index; the first is from before
  CHECK(std::filesystem::exists(folder.path() / "model-00003-of-00003.safetensors"));
  const StoredArrays read = open_arrays(index);
  REQUIRE(read.arrays.size() == 5);
  CHECK(read.metadata == content.metadata);
  for (const auto& [name, array] : content.arrays) CHECK(identical(read.at(name).tensor(), array.tensor()));
  CHECK_THROWS_WITH(read.at("e"), Contains("no array e") && Contains("a, b, c, d, large"));
  // As others write it.
  CHECK(identical(open_arrays(weight_file("lstm_lm.safetensors.index.json")).at("head.bias").tensor(),
                  open_arrays(weight_file("lstm_lm.safetensors")).at("head.bias").tensor()));

  const auto refused = [&](const std::string& text, const char* why) {
    INFO(text);
    CHECK_THROWS_WITH(open_arrays(folder.write("bad.index.json", text)), Contains(why));
    CHECK_THROWS_AS(open_arrays(folder.path() / "bad.index.json"), DataError);
  };
  refused("{}", "no index");
  refused("{\"weight_map\": 3}", "no index");
  refused("{\"weight_map\": {", "not JSON");
  for (const char* part : {"../model.safetensors", "/etc/passwd", "", ".."})
    refused(std::string(R"({"weight_map": {"a": ")") + part + "\"}}", "no file beside it");
  refused(R"({"weight_map": {"a": "none.safetensors"}})", "none.safetensors");
  refused(R"({"weight_map": {"z": "model-00001-of-00003.safetensors"}})", "z is not in model-00001");
}

TEST_CASE("a .npz of NumPy's gives arrays in either byte order and either order of axes", "[files][npz]") {
  for (const char* file : {"arrays.npz", "arrays_compressed.npz"}) {
    const StoredArrays content = open_arrays(weight_file(file));
    CHECK(content.at("big_endian").tensor().text() == "[[1.5, -2], [3, 4]]");
    CHECK(content.at("big_integers").tensor().text() == "[[1, -2], [300, 4]]");
    CHECK(content.at("big_integers").indices().values()[2] == 300);
    CHECK(content.at("fortran").tensor().text() == "[[0, 1, 2], [3, 4, 5]]");
    CHECK(content.at("scalar").tensor().item() == 2.5);
    CHECK(content.at("empty").shape() == Shape{0, 3});
    CHECK(content.at("of.part/\xC3\xA4").tensor().text() == "[0, 1, 2]");
  }
  CHECK(open_arrays(weight_file("arrays_compressed.npz")).at("zeros").shape() == Shape{50000});
}

TEST_CASE("a damaged .npz is found by its checksums, sizes and places", "[files][npz]") {
  const Folder folder;
  const std::string stored = read_bytes(weight_file("arrays.npz")),
                    packed = read_bytes(weight_file("arrays_compressed.npz"));
  const auto read = [](const std::string& bytes, const std::string& name) {
    return parse_arrays(bytes, "x.npz").at(name).tensor();
  };
  std::string bytes = stored;
  const std::size_t number = bytes.find("f64.npy") + 7;
  const std::size_t in_numbers = bytes.find('\n', number) + 5;
  bytes[in_numbers] ^= 1;
  CHECK_THROWS_WITH(read(bytes, "f64"), Contains("x.npz: f64.npy: its checksum is another"));
  CHECK(read(bytes, "f32").defined());
  // Sizes that the compressed bytes could never have: refused before memory is taken.
  bytes = packed;
  const std::size_t entry = bytes.rfind("zeros.npy") - 46;
  REQUIRE(bytes.substr(entry, 4) == "PK\1\2");
  bytes.replace(entry + 24, 4, "\xFF\xFF\xFF\x7F");
  CHECK_THROWS_WITH(read(bytes, "f64"), Contains("zeros.npy is to be 2147483647 bytes, more than"));
  bytes = packed;
  bytes[entry + 16] ^= 1;
  CHECK_THROWS_WITH(read(bytes, "zeros"), Contains("zeros.npy: its checksum is another"));
  CHECK_THROWS_WITH(parse_arrays(stored.substr(0, 3000), "x.npz"), Contains("without its end"));
  CHECK_THROWS_WITH(parse_arrays(packed.substr(0, packed.size() - 30), "x.npz"), Contains("without its end"));
}

TEST_CASE("what is no file of arrays is refused with what it is", "[files]") {
  const Folder folder;
  const auto refused = [&](const std::string& bytes, const char* why) {
    INFO(why);
    CHECK_THROWS_WITH(open_arrays(folder.write("x", bytes)), Contains("x: ") && Contains(why));
    CHECK_THROWS_AS(open_arrays(folder.path() / "x"), DataError);
  };
  refused("", "0 bytes, which are no whole safetensors file");
  refused(read_bytes(weight_file("lstm_lm_logits.npy")), "load_npy");
  refused("\x80\x04\x95 and so on", "a pickle of Python's");
  refused("\x80", "1 bytes, which are no whole safetensors file");
  refused("PK\3\4", "without its end");
  StoredArrays content;
  content.arrays.emplace("x", StoredArray(ones({2})));
  save_arrays(folder.path() / "x.npz", content);
  std::string zip = read_bytes(folder.path() / "x.npz");
  for (std::size_t at = 0; (at = zip.find("x.npy")) != zip.npos;) zip.replace(at, 5, "x.txt");
  refused(zip, "neither NumPy (.npz) nor PyTorch (.pt)");
  CHECK_THROWS_WITH(open_arrays(folder.path() / "none"), Contains("none cannot be opened"));
  CHECK_THROWS_WITH(open_arrays(folder.path()), Contains("is a folder"));
}

TEST_CASE("a file that is cut short while it is open gives an error, no crash", "[files]") {
  const Folder folder;
  for (const char* name : {"x.safetensors", "x.npz", "x.pt"}) {
    StoredArrays content;
    content.arrays.emplace("a", StoredArray(ones({100000})));
    const auto file = save_arrays(folder.path() / name, content);
    const StoredArrays opened = open_arrays(file);
    std::filesystem::resize_file(file, 1000);
    CHECK_THROWS_WITH(opened.at("a").tensor(), Contains("was cut short while it was read"));
  }
}

TEST_CASE("empty ids and types of their own come back from every format", "[files]") {
  const test::Folder folder;
  StoredArrays content;
  content.arrays.emplace("ids", StoredArray(Indices(std::vector<std::int32_t>{}, Shape{0})));
  content.arrays.emplace("longs", StoredArray(zeros({0, 2}), NumberType::i64));
  content.arrays.emplace("w", StoredArray(ones({2})));
  for (const bool compressed : {false, true}) {
    save_arrays(folder.path() / "x.npz", content, {.compressed = compressed});
    const StoredArrays read = open_arrays(folder.path() / "x.npz");
    CHECK(read.at("ids").indices().size() == 0);
    CHECK(read.at("longs").shape() == Shape{0, 2});
  }
}

TEST_CASE("parts that could not all be written leave what was there", "[files]") {
  const test::Folder folder;
  const auto of = [](double value) {
    StoredArrays out;
    for (const char* name : {"a", "b", "c"}) out.arrays.emplace(name, StoredArray(full({4}, value)));
    return out;
  };
  const auto index = save_arrays(folder.path() / "m.safetensors", of(1), {.max_bytes = 16});
  StoredArrays bad = of(2);
  bad.arrays.emplace("d\xFF", StoredArray(ones({4})));
  CHECK_THROWS_AS(save_arrays(folder.path() / "m.safetensors", bad, {.max_bytes = 16}), ArgumentError);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  CHECK(files == 4);  // three parts and their index
  const StoredArrays kept = open_arrays(index);
  for (const char* name : {"a", "b", "c"}) CHECK(kept.at(name).tensor().at(0) == 1);
  // A content that fits one file takes the place of one in parts.
  CHECK(save_arrays(folder.path() / "m.safetensors", of(3), {.max_bytes = 1000}) ==
        folder.path() / "m.safetensors");
  CHECK_FALSE(std::filesystem::exists(index));
  CHECK(open_arrays(folder.path() / "m.safetensors").at("a").tensor().at(0) == 3);
  CHECK_THROWS_AS(save_arrays("-", of(1), {.max_bytes = 16}), ArgumentError);
}

TEST_CASE("names that a format cannot hold are refused", "[files]") {
  const test::Folder folder;
  StoredArrays content;
  content.arrays.emplace("__metadata__", StoredArray(ones({1})));
  CHECK_THROWS_WITH(save_arrays(folder.path() / "x.safetensors", content), Contains("__metadata__"));
  content.arrays.clear();
  content.arrays.emplace(std::string(70000, 'a'), StoredArray(ones({1})));
  CHECK_THROWS_WITH(save_arrays(folder.path() / "x.npz", content), Contains("70004 bytes"));
  content.arrays.clear();
  content.arrays.emplace("\xFF", StoredArray(ones({1})));
  for (const char* file : {"x.npz", "x.pt", "x.safetensors"})
    CHECK_THROWS_WITH(save_arrays(folder.path() / file, content), Contains("UTF-8"));
}
