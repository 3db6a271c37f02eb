#include "tensor/safetensors.hpp"

#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using Catch::Contains;

namespace {

/// A file of this header and these numbers.
std::string file_of(const std::string& header, const std::string& numbers) {
  return static_cast<char>(header.size()) + std::string(7, '\0') + header + numbers;
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& place) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + place + "}";
}

}  // namespace

TEST_CASE("tensors of both dtypes and all ranks, and what is said of them, come back bit by bit",
          "[safetensors]") {
  const test::Folder folder;
  Safetensors content;
  content.metadata["made by"] = "a test \"of\" \xC3\xA4";
  content.tensors.emplace("scalar", Tensor::scalar(-0.0, Dtype::f64));
  content.tensors.emplace("f32", Tensor::of({1.5, -0.0, 3e38}));
  content.tensors.emplace("f64", Tensor::of({1e-300, 0.1, 2, 3, 4, 5}, Dtype::f64).reshape({1, 2, 3}));
  content.tensors.emplace("none", zeros({0, 3}));
  save_safetensors(folder.path() / "x", content);
  const Safetensors read = load_safetensors(folder.path() / "x");
  CHECK(read.metadata == content.metadata);
  REQUIRE(read.tensors.size() == 4);
  for (const auto& [name, value] : content.tensors) CHECK(identical(read.tensors.at(name), value));
  save_safetensors(folder.path() / "empty", {});
  CHECK(load_safetensors(folder.path() / "empty").tensors.empty());
}

TEST_CASE("what is no whole safetensors file of numbers is refused, with its name", "[safetensors]") {
  const std::string numbers(8, '\0');
  const auto refused = [](const std::string& bytes, const char* why) {
    INFO(bytes);
    CHECK_THROWS_WITH(parse_safetensors(bytes, "x.safetensors"),
                      Contains("x.safetensors: ") && Contains(why));
    CHECK_THROWS_AS(parse_safetensors(bytes, "x.safetensors"), DataError);
  };
  const auto one = [&](const std::string& dtype, const std::string& shape, const std::string& place) {
    return file_of("{\"w\":" + entry(dtype, shape, place) + "}", numbers);
  };
  REQUIRE(parse_safetensors(one("F32", "[2]", "[0,8]"), "x").tensors.at("w").text() == "[0, 0]");
  refused("", "0 bytes, which are no whole safetensors file");
  refused("1234567", "7 bytes");
  refused(file_of("{}", "").replace(0, 1, "\3"), "10 bytes");  // a header longer than the file
  refused(file_of("{\"w\":", ""), "its safetensors header is not JSON");
  refused(file_of("[1, 2]", ""), "its safetensors header is not JSON");
  refused(one("F8_E4M3", "[8]", "[0,8]"), "the tensor w is F8_E4M3; F64, F32, F16, BF16");
  refused(one("C64", "[1]", "[0,8]"), "the tensor w is C64");
  for (const char* place : {"[0,4]", "[0,12]", "[8,0]", "[0]", "[0,4,8]", "[]"})
    refused(one("F32", "[2]", place), "the place of the tensor w does not fit its shape (2,)");
  refused(one("F64", "[2]", "[0,16]"), "the tensor w reaches past the end");
  refused(one("F32", "[2]", "[4,12]"), "the tensor w reaches past the end");
  refused(one("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), "its safetensors header holds a shape of 9 axes");
  refused(one("F32", "[-2]", "[0,8]"), "its safetensors header holds");
  refused(file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", numbers), "lacks something");
  refused(file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":\"2\",\"data_offsets\":[0,8]}}", numbers),
          "lacks something");
  refused(file_of("{\"__metadata__\":3}", ""), "lacks something");
  refused(file_of("{\"a\":" + entry("F32", "[2]", "[0,8]") + ",\"b\":" + entry("F32", "[1]", "[4,8]") + "}",
                  numbers),
          "the tensor b lies over others");
}

TEST_CASE("bytes of a safetensors file need no file", "[safetensors]") {
  Safetensors content;
  content.tensors.emplace("a", full({2}, 1.5));
  content.tensors.emplace("none", zeros({0, 3}, Dtype::f64));
  content.metadata.emplace("key", "value");
  const std::string bytes = safetensors_bytes(content);
  const Safetensors back = parse_safetensors(bytes, "bytes");
  CHECK(back.metadata == content.metadata);
  CHECK(identical(back.tensors.at("a"), content.tensors.at("a")));
  CHECK(back.tensors.at("none").shape() == Shape{0, 3});
  const gradus::test::Folder folder;
  save_safetensors(folder.path() / "file", content);
  CHECK(gradus::test::read_bytes(folder.path() / "file") == bytes);
}
