#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tensor/support/error.hpp"
#include "tensor/support/write_file.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/folder.hpp"

using namespace gradus;
using gradus::test::Folder;
using gradus::test::read_bytes;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777;
}

/// The umask for as long as it lives.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

}  // namespace

TEST_CASE("a new file has the mode of the umask, and a replaced one keeps its own", "[files]") {
  const Folder folder;
  const fs::path file = folder.path() / "model";
  {
    const Umask mask(027);
    write_file(file, "first");
    CHECK(mode_of(file) == 0640);
  }
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  write_file(file, "second");
  CHECK(mode_of(file) == 0600);
  CHECK(read_bytes(file) == "second");
}

TEST_CASE("a symbolic link stays one, and the file that it leads to is written", "[files]") {
  const Folder folder;
  const fs::path link = folder.path() / "link";
  fs::create_symlink("second", link);
  fs::create_symlink(folder.path() / "there", folder.path() / "second");
  write_file(link, "new");
  CHECK(fs::is_symlink(link));
  CHECK(read_bytes(folder.path() / "there") == "new");
  write_file(link, "newer");
  CHECK(read_bytes(folder.path() / "there") == "newer");
  fs::create_symlink(folder.path() / "none" / "file", folder.path() / "dangling");
  CHECK_THROWS_WITH(write_file(folder.path() / "dangling", "x"), Catch::Contains("make its folder first"));
  CHECK(fs::is_symlink(folder.path() / "dangling"));
  fs::create_symlink("loop", folder.path() / "loop");
  CHECK_THROWS_AS(write_file(folder.path() / "loop", "x"), DataError);
  CHECK(fs::is_symlink(folder.path() / "loop"));
}

TEST_CASE("a file that is not committed leaves nothing, and the old one as it was", "[files]") {
  const Folder folder;
  const fs::path file = folder.write("model", "old");
  {
    const FileReplacement replacement(file);
    CHECK(folder.files() == 2);
  }
  CHECK(folder.files() == 1);
  CHECK(read_bytes(file) == "old");
}

TEST_CASE("what a killed process left is removed, what a living one writes is not", "[files]") {
  const Folder folder;
  const fs::path file = folder.path() / "model", left = folder.write(".model.gradus-part0", "half");
  SECTION("killed") {
    write_file(file, "whole");
    CHECK_FALSE(fs::exists(left));
  }
  SECTION("living") {
    const int other = ::open(left.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(other >= 0);
    REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
    write_file(file, "whole");
    CHECK(read_bytes(left) == "half");
    ::close(other);
  }
  SECTION("a link that another user may have laid there") {
    fs::remove(left);
    const fs::path victim = folder.write("victim", "precious");
    fs::create_symlink(victim, left);
    write_file(file, "whole");
    CHECK(read_bytes(victim) == "precious");
  }
  CHECK(read_bytes(file) == "whole");
}

TEST_CASE("files of others with similar names stay", "[files]") {
  const Folder folder;
  for (const char* name : {"model.part0", "model.partabcdef", ".model.part0", ".model.gradus-part"})
    folder.write(name, name);
  write_file(folder.path() / "model", "whole");
  CHECK(folder.files() == 5);
  CHECK(read_bytes(folder.path() / "model.part0") == "model.part0");
}

TEST_CASE("two replacements of one file do not disturb each other", "[files]") {
  const Folder folder;
  const fs::path file = folder.path() / "model";
  FileReplacement first(file), second(file);
  REQUIRE(::write(first.descriptor(), "first", 5) == 5);
  REQUIRE(::write(second.descriptor(), "second", 6) == 6);
  second.commit();
  CHECK(read_bytes(file) == "second");
  first.commit();
  CHECK(read_bytes(file) == "first");
  CHECK(folder.files() == 1);
}

TEST_CASE("a name that is too long is an error of writing", "[files]") {
  const Folder folder;
  CHECK_THROWS_AS(write_file(folder.path() / std::string(300, 'x'), "content"), DataError);
  CHECK(folder.files() == 0);
}
