#include "tensor/npy.hpp"

#include "tensor/ops.hpp"
#include "tensor/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;

namespace {

/// A version 1 file with a header of one's own.
std::string npy(const std::string& header, const std::string& numbers) {
  std::string bytes = "\x93NUMPY";
  bytes += std::string("\1\0", 2);
  bytes += static_cast<char>(header.size() & 255);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + numbers;
}

}  // namespace

TEST_CASE("tensors come back from .npy bit by bit", "[npy]") {
  const Folder folder;
  Rng rng(1);
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0, 4}, Shape{2, 1, 3, 2}}) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      const Tensor x = rng.normal(shape, 0, 1, dtype);
      save_npy(folder.path() / "x.npy", x);
      CHECK(identical(load_npy(folder.path() / "x.npy"), x));
      const std::string bytes = read_bytes(folder.path() / "x.npy");
      CHECK((bytes.size() - static_cast<std::size_t>(x.size()) * bytes_of(dtype)) % 64 ==
            0);  // as NumPy aligns
    }
  }
  CHECK_THROWS_AS(save_npy(folder.path() / "none" / "x.npy", ones({2})), DataError);
}

TEST_CASE("either byte order and whole numbers are read", "[npy]") {
  const Folder folder;
  const auto big = folder.write("big", npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
                                           std::string("\x3F\x80\0\0\xC0\0\0\0", 8)));
  CHECK(load_npy(big).text() == "[1, -2]");
  const auto ids =
      folder.write("ids", npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2), }",
                              std::string("\5\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16)));
  CHECK(load_npy_indices(ids).values()[0] == 5);
  CHECK(load_npy_indices(ids).values()[1] == -1);
  CHECK_THROWS_WITH(load_npy(ids), Contains("load_npy_indices"));
  CHECK_THROWS_WITH(load_npy_indices(big), Contains("load_npy"));
  const auto wide = folder.write("wide", npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }",
                                             std::string("\0\0\0\0\1\0\0\0", 8)));
  CHECK_THROWS_WITH(load_npy_indices(wide), Contains("4294967296") && Contains("32 bits"));
}

TEST_CASE("Fortran order, halves and short integers are read", "[npy]") {
  const Folder folder;
  const auto fortran = folder.write("f", npy("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2), }",
                                             std::string("\0\x3C\0\x40\0\x42\0\x44", 8)));
  CHECK(load_npy(fortran).text() == "[[1, 3], [2, 4]]");
  CHECK(load_npy(fortran).dtype() == Dtype::f32);
  const auto bytes =
      folder.write("b", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", "\1\xFF"));
  CHECK(load_npy_indices(bytes).values()[1] == 255);
  const auto flags = folder.write(
      "?", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", std::string("\1\0", 2)));
  CHECK(load_npy_indices(flags).values()[0] == 1);
}

TEST_CASE("what is no whole .npy file of numbers is refused, with its name", "[npy]") {
  const Folder folder;
  const std::string numbers(8, '\0');
  const auto refused = [&](const std::string& bytes, const char* why) {
    INFO(why);
    CHECK_THROWS_WITH(load_npy(folder.write("x.npy", bytes)), Contains("x.npy") && Contains(why));
  };
  refused("", "not a .npy");
  refused("PK\3\4 and so on", "not a .npy");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", numbers), "cut short");
  refused(npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", numbers), "<c8");
  refused(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", numbers), "|O");
  refused(npy("{'fortran_order': False, 'shape': (2,), }", numbers), "descr");
  refused(npy("{'descr': '<f4', 'fortran_order': False, }", numbers), "shape");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }", numbers), "shape");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", numbers), "shape");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': [2, ), }", numbers), "shape is '[2, )'");
  std::string wrong_version = npy("{}", "");
  wrong_version[6] = 9;
  refused(wrong_version, "version 9");
  refused(std::string("\x93NUMPY\1\0\xFF\xFF{", 11), "cut short");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647), }",
              numbers),
          "2^48");
  refused(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 2), }", numbers),
          "9 axes");
  CHECK_THROWS_AS(load_npy(folder.path() / "x.npy"), DataError);
  CHECK_THROWS_AS(load_npy(folder.path() / "none.npy"), DataError);
  CHECK_THROWS_AS(load_npy(folder.path()), DataError);
}

TEST_CASE("the order of a .npy file is True or False", "[npy]") {
  const test::Folder folder;
  const auto with = [&](const std::string& order) {
    std::string header = "{'descr': '<f4', 'fortran_order': " + order + ", 'shape': (1, 2), }";
    header.resize(117, ' ');
    header += '\n';
    std::string file("\x93NUMPY\x01\x00", 8);
    file += static_cast<char>(header.size());
    file += '\0';
    return load_npy(folder.write("x.npy", file + header + std::string(8, '\0')));
  };
  CHECK(with("False").shape() == Shape{1, 2});
  CHECK(with("False ").shape() == Shape{1, 2});
  CHECK(with("True").shape() == Shape{1, 2});
  for (const char* order : {"0", "false", "None"})
    CHECK_THROWS_WITH(with(order), Contains("fortran_order") && Contains(order));
}
